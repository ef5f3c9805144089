import { describe, expect, test } from 'vitest'
import { generateLabelledWaf, type Labelled, type WafOptions } from '../../bench/generate/waf.ts'

const options: WafOptions = {
  seed: 31,
  count: 30_000,
  startMs: Date.UTC(2026, 10, 22, 15),
  durationMs: 86_400_000,
  people: 3_000,
  attackOdds: 2,
  crowds: true,
}
const labelled = [...generateLabelledWaf(options)]
const of = (name: Labelled['of']): Labelled[] => labelled.filter(each => each.of === name)

describe('a labelled day', () => {
  test('has every attack and every crowd, and says which record is whose', () => {
    const names = new Map(labelled.map(each => [each.of, each.hostile]))
    const attacks = ['scanner', 'sqli', 'xss', 'traversal', 'stuffing', 'burst', 'coupons', 'probes'] as const
    for (const name of attacks) expect([name, names.get(name)]).toEqual([name, true])
    for (const name of ['sale-rush', 'office', 'crawl', 'uptime', 'hostile-page', 'baited', 'carrier'] as const) {
      expect([name, names.get(name), of(name).length > 40]).toEqual([name, false, true])
    }
    for (const { record, ip, timeMs } of labelled.slice(0, 500)) {
      const parsed = JSON.parse(record) as { timestamp: number; httpRequest: { clientIp: string } }
      expect([parsed.timestamp, parsed.httpRequest.clientIp]).toEqual([timeMs, ip])
    }
  })

  test('no attacker shares an address with anybody else', () => {
    const attackers = new Set(labelled.filter(each => each.hostile).map(({ ip }) => ip))
    expect(labelled.filter(each => !each.hostile && attackers.has(each.ip))).toEqual([])
  })

  test('the office is one address with many log-ins, the monitor one address all day', () => {
    expect(new Set(of('office').map(({ ip }) => ip)).size).toBe(1)
    expect(of('office').filter(({ record }) => record.includes('"uri":"/login"')).length).toBeGreaterThan(10)
    const seen = of('uptime').map(({ timeMs }) => timeMs - options.startMs)
    expect([new Set(of('uptime').map(({ ip }) => ip)).size, Math.min(...seen) < 7_200_000]).toEqual([1, true])
    expect(Math.max(...seen)).toBeGreaterThan(79_200_000)
  })

  test('visitors of a hostile page and baited crawlers send attacks, each enough to look like an attacker, and are none', () => {
    for (const name of ['hostile-page', 'baited'] as const) {
      const own = of(name)
      expect(own.every(({ attack, hostile }) => attack && !hostile)).toBe(true)
      const counts = Map.groupBy(own, ({ ip }) => ip)
      expect(own.length / counts.size).toBeGreaterThan(5)
    }
    const told = of('hostile-page').filter(({ record }) => record.includes('"value":"cross-site"'))
    expect([told.length > 100, told.length < of('hostile-page').length * 0.8]).toEqual([true, true])
  })

  test('the carrier is one address with hundreds of log-ins in browsers and the app, none of them challenged', () => {
    const own = of('carrier')
    expect(new Set(own.map(({ ip }) => ip)).size).toBe(1)
    expect(own.some(({ attack }) => attack)).toBe(false)
    const logIns = own.filter(({ record }) => /"uri":"(\/api\/auth)?\/login"/.test(record))
    expect(logIns.length).toBeGreaterThan(100)
    expect(logIns.some(({ record }) => record.includes('okhttp'))).toBe(true)
    expect(logIns.filter(({ record }) => !record.includes('"action":"ALLOW"'))).toEqual([])
  })

  test('is the same whenever it is made', () => {
    expect([...generateLabelledWaf({ ...options, count: 2_000 })]).toEqual([
      ...generateLabelledWaf({ ...options, count: 2_000 }),
    ])
  })
})
