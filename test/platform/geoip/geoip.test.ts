import { mkdtempSync } from 'node:fs'
import { rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { hasCode } from '../../../platform/errors.ts'
import { GeoIp, type GeoIpOptions } from '../../../platform/geoip/geoip.ts'
import { embeddedDatabases, geoIpStatus, shareGeoIp } from '../../../platform/geoip/shared.ts'
import type { Log } from '../../../platform/log.ts'
import { createMetrics } from '../../../platform/metrics.ts'
import { renderFragment } from '../../../platform/ocsf/fragment.ts'
import { FakeClock } from '../../support/clock.ts'
import { control, type MmdbOptions, mmdbFile, type Value } from '../../support/mmdb.ts'

const folder = mkdtempSync(join(tmpdir(), 'haetae-geoip-'))
const cityOf = (name: string): Value => ({ country: { iso_code: 'KR' }, city: { names: { en: name } } })
const cityFile = (name: string, options: MmdbOptions = {}) =>
  mmdbFile({ '1.0.0.0/8': cityOf(name), '2a00::/12': cityOf(`${name} 6`) }, options)
const asnFile = mmdbFile(
  { '1.0.0.0/8': { autonomous_system_number: 64500, autonomous_system_organization: 'Example' } },
  { databaseType: 'GeoLite2-ASN' },
)

/** Written beside and renamed over, as careful updaters do. */
async function replace(path: string, bytes: Buffer | string): Promise<void> {
  await writeFile(`${path}.new`, bytes)
  await rename(`${path}.new`, path)
}

let files = 0
async function file(bytes: Buffer | string): Promise<string> {
  const path = join(folder, `database-${files++}`)
  await writeFile(path, bytes)
  return path
}

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

function observed() {
  const lines: string[] = []
  const line = (level: string) => (message: string) => void lines.push(`${level} ${message}`)
  const log: Log = {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    child: () => log,
  }
  return { lines, log, clock: new FakeClock(), metrics: createMetrics() }
}

const settings = { ageDaysMax: 60, addressesMax: 1000, checkMs: 10_000 }
async function open(options: Pick<GeoIpOptions, 'city' | 'asn'>, deps = observed()) {
  const geoIp = await GeoIp.open({ ...settings, ...options }, deps)
  closing.push(() => geoIp.close())
  return { geoIp, ...deps }
}
const refusal = async (options: Pick<GeoIpOptions, 'city' | 'asn'>) =>
  open(options).then(
    () => undefined,
    error => error as Error,
  )
const town = (geoIp: GeoIp, address = '1.2.3.4') => geoIp.lookup(address).location?.city

describe('the databases from npm', () => {
  let geoIp: GeoIp
  beforeAll(async () => {
    geoIp = await GeoIp.open(
      { ...settings, city: embeddedDatabases('city'), asn: embeddedDatabases('asn') },
      observed(),
    )
  })
  afterAll(() => geoIp.close())

  it('know public addresses of both families, and their systems', () => {
    expect(geoIp.lookup('8.8.8.8')).toMatchObject({
      kind: 'found',
      location: {
        country: 'US',
        region: 'California',
        city: 'Mountain View',
        continent: 'North America',
        lat: 37.422,
        long: -122.085,
        geo: { lat: 37.422, lon: -122.085 },
      },
      autonomousSystem: { number: 15169, name: 'Google LLC' },
    })
    expect(geoIp.lookup('1.1.1.1')).toMatchObject({
      location: { country: 'AU', city: 'Sydney' },
      autonomousSystem: { number: 13335, name: 'Cloudflare, Inc.' },
    })
    expect(geoIp.lookup('210.89.160.88')).toMatchObject({
      location: { country: 'KR', region: 'Gyeonggi-do' },
      autonomousSystem: { number: 23576 },
    })
    expect(geoIp.lookup('81.2.69.142')).toMatchObject({ location: { country: 'GB', city: 'London' } })
    expect(geoIp.lookup('2001:4860:4860::8888')).toMatchObject({
      kind: 'found',
      location: { continent: 'North America' },
      autonomousSystem: { number: 15169 },
    })
    expect(geoIp.lookup('2a02:6b8::1')).toMatchObject({ location: { country: 'RU', city: 'Moscow' } })
    expect(geoIp.lookup('::ffff:8.8.8.8').location).toBe(geoIp.lookup('8.8.8.8').location)
    expect(geoIp.lookup('::FFFF:0808:0808').location).toBe(geoIp.lookup('8.8.8.8').location)
    expect(geoIp.lookup('0:0:0:0:0:ffff:808:808').autonomousSystem).toBe(geoIp.lookup('8.8.8.8').autonomousSystem)
    expect(geoIp.status().map(({ topic, layout }) => [topic, layout])).toEqual([
      ['city', 'flat'],
      ['city', 'flat'],
      ['asn', 'ranges'],
      ['asn', 'ranges'],
    ])
    for (const { builtMs } of geoIp.status()) expect(builtMs).toBeGreaterThan(Date.UTC(2026, 0))
    for (const { builtMs } of geoIp.status()) expect(builtMs).toBeLessThan(Date.UTC(2026, 6))
  })

  it('are never in the way: no text makes a lookup throw', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.ipV4(),
      fc.ipV6(),
      fc.string({ unit: fc.constantFrom(...'0123456789abf:.x%/'.split('')) }),
    )
    fc.assert(
      fc.property(text, address => {
        const answer = geoIp.lookup(address)
        expect(geoIp.lookup(address)).toBe(answer)
        expect(answer.kind === 'found').toBe(
          answer.kind !== 'special' && (answer.location ?? answer.autonomousSystem) !== undefined,
        )
      }),
      { numRuns: 5000 },
    )
  })
})

describe('an answer', () => {
  it('from a MaxMind file covers both families', async () => {
    const { geoIp } = await open({ city: [await file(cityFile('Seoul'))], asn: [await file(asnFile)] })
    expect(geoIp.lookup('1.2.3.4')).toEqual({
      kind: 'found',
      location: { country: 'KR', city: 'Seoul', continent: 'Asia' },
      autonomousSystem: { number: 64500, name: 'Example' },
    })
    expect(geoIp.lookup('2a00::1')).toMatchObject({
      kind: 'found',
      location: { city: 'Seoul 6' },
      autonomousSystem: undefined,
    })
    expect(geoIp.lookup('9.9.9.9')).toEqual({ kind: 'unknown', location: undefined, autonomousSystem: undefined })
    expect(geoIp.lookup('X.X.X.X').kind).toBe('invalid')
    expect(geoIp.lookup('192.168.0.1')).toEqual({
      kind: 'special',
      location: undefined,
      autonomousSystem: undefined,
      scope: 'private',
    })
  })

  it('is one frozen, rendered object for all addresses of a data record', async () => {
    const { geoIp } = await open({ city: [await file(cityFile('Seoul'))], asn: [await file(asnFile)] })
    const { location, autonomousSystem } = geoIp.lookup('1.2.3.4')
    expect(geoIp.lookup('1.99.99.99').location).toBe(location)
    expect(geoIp.lookup('::ffff:1.0.0.1').autonomousSystem).toBe(autonomousSystem)
    expect(Object.isFrozen(location)).toBe(true)
    expect(renderFragment(location!)).toBe('{"country":"KR","city":"Seoul","continent":"Asia"}')
  })

  it('comes from the first file that knows', async () => {
    const other = mmdbFile({ '1.0.0.0/8': cityOf('other'), '9.0.0.0/8': cityOf('Busan') })
    const { geoIp } = await open({ city: [await file(cityFile('Seoul')), await file(other)], asn: [] })
    expect([town(geoIp), town(geoIp, '9.9.9.9')]).toEqual(['Seoul', 'Busan'])
  })

  it('over a damaged record is `failed`, and has what the other databases know', async () => {
    // 600 sound records, so that the check at opening does not meet the broken one.
    const networks: Record<string, Value> = {}
    for (let n = 0; n < 600; n++) networks[`5.${n >> 8}.${n & 255}.0/24`] = cityOf(`C${n}`)
    networks['1.2.3.4/32'] = 'BREAK'
    const bytes = mmdbFile(networks)
    const at = bytes.indexOf('BREAK')
    control(2, 28).copy(bytes, at - 1)
    bytes[at - 1] = 0x1f // an array of about a million values
    bytes[at] = 0x04
    const { geoIp } = await open({ city: [await file(bytes)], asn: [await file(asnFile)] })
    expect(geoIp.lookup('1.2.3.4')).toEqual({
      kind: 'failed',
      location: undefined,
      autonomousSystem: { number: 64500, name: 'Example' },
    })
    expect(town(geoIp, '5.1.1.1')).toBe('C257')
  })
})

describe('opening', () => {
  it.each<[string, 'city' | 'asn', Buffer | string, RegExp]>([
    ['text', 'city', 'hello', /no MaxMind DB metadata.*undamaged/],
    ['text for ASN', 'asn', 'hello', /no MaxMind DB metadata/],
    ['half a file', 'city', cityFile('x').subarray(0, 200), /no MaxMind DB metadata/],
    ['a compressed file', 'city', gzipSync(cityFile('x')), /gunzip/],
    ['an ASN file as city', 'city', asnFile, /'GeoLite2-ASN', not a city database/],
    ['a city file as ASN', 'asn', cityFile('x'), /'GeoLite2-City', not a asn database/],
    ['records about something else', 'city', mmdbFile({ '1.0.0.0/8': { ip: 'test' } }), /none of its records/],
    ['CSV as city', 'city', '1.0.0.0,1.0.0.1,1,A', /no MaxMind DB metadata/],
    ['unsorted CSV', 'asn', '2.0.0.0,2.0.0.1,1,A\n1.0.0.0,1.0.0.1,1,A', /line 2 begins before/],
  ])('%s is GEOIP_CORRUPT with path, reason and remedy', async (_, topic, bytes, message) => {
    const path = await file(bytes)
    const error = await refusal({ city: [], asn: [], [topic]: [path] })
    expect(hasCode(error, 'GEOIP_CORRUPT')).toBe(true)
    expect(error?.message).toMatch(message)
    expect(error?.message).toContain(path)
  })

  it('a file that is not there is GEOIP_MISSING with path and remedy', async () => {
    const error = await refusal({ city: [join(folder, 'nowhere.mmdb')], asn: [] })
    expect(hasCode(error, 'GEOIP_MISSING')).toBe(true)
    expect(error?.message).toMatch(/nowhere\.mmdb is missing: run `npm ci`/)
  })

  it('an old database is used, and visible as old in status, metrics and log', async () => {
    const path = await file(cityFile('Seoul', { builtMs: Date.UTC(2026, 5, 1) }))
    const { geoIp, lines, metrics } = await open({ city: [path], asn: [] })
    expect(town(geoIp)).toBe('Seoul')
    expect(geoIp.status()).toMatchObject([
      { topic: 'city', state: 'old', ageDays: 176, message: expect.stringContaining('176 days old') as string },
    ])
    expect(await metrics.expose()).toContain('haetae_geoip_database_state{database="city_0",state="old"} 1')
    expect(lines).toEqual([
      expect.stringMatching(/^warn the GeoIP city database .* is 176 days old \(ageDaysMax 60\): replace it/),
    ])
  })

  it('several old databases are named in one line', async () => {
    const builtMs = Date.UTC(2026, 5, 1)
    const city = [await file(cityFile('Seoul', { builtMs })), await file(cityFile('Busan', { builtMs }))]
    const { geoIp, lines } = await open({ city, asn: [await file(asnFile)] })
    await geoIp.check()
    const [warning, ...more] = lines.filter(line => line.startsWith('warn'))
    expect(warning).toBe(
      `warn 2 GeoIP databases are older than ageDaysMax 60: replace them with newer ones: ${city[0]} (176 days), ${city[1]} (176 days)`,
    )
    expect(more).toEqual([])
    expect(geoIp.status().map(({ state }) => state)).toEqual(['old', 'old', 'ok'])
  })

  it('a database grows old while it is used', async () => {
    const { geoIp, lines, clock } = await open({ city: [await file(cityFile('Seoul'))], asn: [] })
    expect(geoIp.status()[0]?.state).toBe('ok')
    await clock.advance(40 * 86_400_000)
    await geoIp.check()
    expect(geoIp.status()[0]?.state).toBe('old')
    expect(lines.filter(line => line.startsWith('warn'))).toHaveLength(1)
  })
})

describe('reloading', () => {
  /** Two looks: one sees the change, the next that it has settled. */
  const twice = async (geoIp: GeoIp) => {
    await geoIp.check()
    await geoIp.check()
  }

  it('takes a file that was renamed over the old one, and one written in place', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp } = await open({ city: [path], asn: [] })
    expect(town(geoIp)).toBe('Seoul')
    await replace(path, cityFile('Busan'))
    await geoIp.check()
    expect(town(geoIp)).toBe('Seoul')
    await geoIp.check()
    expect(town(geoIp)).toBe('Busan')
    await writeFile(path, cityFile('Incheon, longer'))
    await twice(geoIp)
    expect(town(geoIp)).toBe('Incheon, longer')
  })

  it('happens by itself, at the given pace', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp, clock } = await open({ city: [path], asn: [] })
    await replace(path, cityFile('Busan'))
    for (let looks = 0; looks < 200 && town(geoIp) === 'Seoul'; looks++) {
      await clock.advance(10_000)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    expect(town(geoIp)).toBe('Busan')
  })

  it('waits while the file still grows', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp, lines } = await open({ city: [path], asn: [] })
    const next = cityFile('Busan, with a longer name')
    for (const part of [100, 150, 200]) {
      await writeFile(path, next.subarray(0, part))
      await geoIp.check()
    }
    await writeFile(path, next)
    await twice(geoIp)
    expect(town(geoIp)).toBe('Busan, with a longer name')
    expect(lines.filter(line => line.startsWith('error'))).toEqual([])
  })

  it('refuses a corrupt file: the old database stays in use, visible, until a good one comes', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp, lines, metrics } = await open({ city: [path], asn: [] })
    await replace(path, cityFile('Busan').subarray(0, 200))
    await twice(geoIp)
    await twice(geoIp)
    expect(town(geoIp)).toBe('Seoul')
    expect(geoIp.status()).toMatchObject([
      { state: 'reload_failed', message: expect.stringMatching(/cannot be used.*stays in use/) as string },
    ])
    expect(await metrics.expose()).toContain('haetae_geoip_database_state{database="city_0",state="reload_failed"} 1')
    expect(await metrics.expose()).toContain('haetae_geoip_database_state{database="city_0",state="ok"} 0')
    expect(lines.filter(line => line.startsWith('error'))).toHaveLength(1)
    await replace(path, cityFile('Busan'))
    await twice(geoIp)
    expect(town(geoIp)).toBe('Busan')
    expect(geoIp.status()).toMatchObject([{ state: 'ok', message: undefined }])
    expect(await metrics.expose()).toContain('haetae_geoip_database_state{database="city_0",state="reload_failed"} 0')
  })

  it('keeps the old database when its file is gone, visibly, and takes the file when it is back', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp, lines } = await open({ city: [path], asn: [] })
    await rm(path)
    await twice(geoIp)
    expect(town(geoIp)).toBe('Seoul')
    expect(geoIp.status()).toMatchObject([
      { state: 'missing', message: expect.stringContaining('put the file back') as string },
    ])
    expect(lines.filter(line => line.startsWith('error'))).toHaveLength(1)
    await writeFile(path, cityFile('Busan'))
    await twice(geoIp)
    expect(town(geoIp)).toBe('Busan')
    expect(geoIp.status()[0]?.state).toBe('ok')
  })

  it('a large file that is overwritten in place answers failed, never wrongly, until it is read again', async () => {
    const large = (town: string) => {
      const bytes = cityFile(town)
      // Data nobody points to, between the records and the metadata.
      const marker = bytes.lastIndexOf(Buffer.from('abcdef4d61784d696e642e636f6d', 'hex'))
      return Buffer.concat([bytes.subarray(0, marker), Buffer.alloc(5 * 1024 * 1024), bytes.subarray(marker)])
    }
    const path = await file(large('Seoul'))
    await utimes(path, 1_790_000_000, 1_790_000_000)
    const { geoIp, lines } = await open({ city: [path], asn: [] })
    expect(geoIp.status()[0]?.state).toBe('ok')
    await writeFile(path, large('Busan'))
    // Of this little tree every block is in memory already; the answer is of the file that was opened, or none.
    expect(['Seoul', undefined]).toContain(town(geoIp))
    await twice(geoIp)
    expect(town(geoIp)).toBe('Busan')
    await replace(path, large('Incheon'))
    expect(town(geoIp, '1.9.9.9')).toBe('Busan')
    await twice(geoIp)
    expect(town(geoIp, '1.9.9.9')).toBe('Incheon')
    expect(lines.filter(line => line.startsWith('error'))).toEqual([])
  })

  it('follows CSV ranges as well', async () => {
    const path = await file('1.0.0.0,1.0.0.255,1,A')
    const { geoIp } = await open({ city: [], asn: [path] })
    expect(geoIp.lookup('1.0.0.1').autonomousSystem).toEqual({ number: 1, name: 'A' })
    await replace(path, '1.0.0.0,1.0.0.255,2,B\n')
    await twice(geoIp)
    expect(geoIp.lookup('1.0.0.1').autonomousSystem).toEqual({ number: 2, name: 'B' })
  })

  it('stops with close', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp, clock } = await open({ city: [path], asn: [] })
    await geoIp.close()
    expect(clock.sleeping).toBe(0)
  })
})

describe('sharing', () => {
  it('opens the same databases once, and closes them after the last user', async () => {
    const deps = observed()
    const options = { ...settings, city: [await file(cityFile('Seoul'))], asn: [] }
    const [first, second] = await Promise.all([shareGeoIp(options, deps), shareGeoIp(options, deps)])
    expect(first.geoIp).toBe(second.geoIp)
    expect((await geoIpStatus()).map(status => status.path)).toEqual(options.city)
    await first.release()
    await first.release()
    expect(await geoIpStatus()).toHaveLength(1)
    await second.release()
    expect(await geoIpStatus()).toEqual([])
    expect(deps.clock.sleeping).toBe(0)
  })

  it('leaves nothing behind when opening fails, and tries again the next time', async () => {
    const path = await file('broken')
    const options = { ...settings, city: [path], asn: [] }
    await expect(shareGeoIp(options, observed())).rejects.toThrow(/cannot be used/)
    await writeFile(path, cityFile('Seoul'))
    const { geoIp, release } = await shareGeoIp(options, observed())
    expect(town(geoIp)).toBe('Seoul')
    await release()
  })
})
