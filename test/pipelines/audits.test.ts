import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { readAudits } from '../../pipelines/audits.ts'
import { readSettings, type Settings } from '../../pipelines/settings.ts'
import { openTopics } from '../../pipelines/topics/open.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { type AuditRecord, auditRecord } from '../../platform/response/audit.ts'
import { responseTopic } from '../../platform/response/topics.ts'
import type { Topics } from '../../platform/topics/contract.ts'
import { type Ran, runCommand } from '../support/command.ts'

const HOUR_MS = 3_600_000
const BEGUN_MS = Date.now()
let settings: Settings
let open: Topics | undefined

beforeEach(() => {
  vi.stubEnv('HAETAE_STATE', mkdtempSync(join(tmpdir(), 'haetae-audits-')))
  settings = readSettings()
})
afterEach(async () => {
  await open?.close()
  open = undefined
  vi.unstubAllEnvs()
})

const told = (n: number, more: Partial<AuditRecord> = {}): AuditRecord =>
  auditRecord([n], {
    time: BEGUN_MS - HOUR_MS + n,
    what: 'hold_created',
    target: `20.0.${n >> 8}.${n & 255}`,
    hold: `${String(n).padStart(8, '0')}${'a'.repeat(24)}`,
    who: 'haetae',
    reason: `reason ${n}`,
    dry_run: true,
    ...more,
  })

/** A log that has these audit records, and whatever else is in `raw`. */
async function having(audits: readonly AuditRecord[], raw: readonly string[] = []): Promise<Topics> {
  open = await openTopics(settings, silentLog, createMetrics())
  await open.ensure(responseTopic('audit', false))
  const values = [...raw, ...audits.map(audit => JSON.stringify(audit))]
  await open.append(
    'audit',
    values.map(value => ({ key: 'k', value: Buffer.from(value), timeMs: Date.now() })),
  )
  return open
}
const audit = (...args: readonly string[]): Promise<Ran> => runCommand('audit', ...args)
const targets = async (...args: readonly string[]): Promise<unknown[]> => {
  const { out, code } = await audit(...args, '-o', 'json')
  expect(code).toBe(0)
  return (JSON.parse(out) as AuditRecord[]).map(({ target }) => target)
}

describe('the topic audit is read', () => {
  test('newest first, as many as asked for, through the process that has the log and without one', async () => {
    const many = Array.from({ length: 5_000 }, (_, n) => told(n))
    const topics = await having(many)
    const query = { isWanted: () => true, sinceMs: 0, limit: 4_500 }
    const newest = many.slice(500).reverse()
    expect(await readAudits(settings, query)).toEqual(newest)
    await topics.close()
    open = undefined
    expect(await readAudits(settings, query)).toEqual(newest)
  })

  test('what was told twice comes once, and what is no audit record not at all', async () => {
    await having([told(1), told(2), told(1)], ['not JSON', '[]', '{"what":"hold_created"}'])
    const found = await readAudits(settings, { isWanted: () => true, sinceMs: 0, limit: 10 })
    expect(found.map(({ reason }) => reason)).toEqual(['reason 2', 'reason 1'])
  })

  test('as empty before any pipeline has made it', async () => {
    expect(await readAudits(settings, { isWanted: () => true, sinceMs: 0, limit: 10 })).toEqual([])
    const { code, err } = await audit()
    expect([code, err]).toEqual([0, expect.stringMatching(/no such change/)])
  })
})

describe('haetae audit', () => {
  test('shows who did what, when and why, harmless for a terminal', async () => {
    const written = told(2, { what: 'waf_written', place: 'REGIONAL', ip_set: 'haetae-block-v4', latency_ms: 712 })
    await having([told(1, { reason: '\u001b[31mred', until_ms: Date.UTC(2026, 10, 24) }), written])
    const { out } = await audit()
    expect(out).toMatch(/^time +what +target +who +why +detail/)
    expect(out).toContain('\\x1b[31mred')
    expect(out).toContain('until 2026-11-24T00:00:00Z')
    expect(out).toContain('haetae-block-v4 in REGIONAL, 712 ms after it was received')
    expect(out).not.toContain('\u001b')
  })

  test('of one address, the /64 of one, a network, a key, a hold', async () => {
    await having([
      told(1, { target: '20.0.0.1' }),
      told(2, { target: '2a00:1:2:3::/64' }),
      told(3, { target: '20.0.0.0/24' }),
      told(4, { what: 'key_disabled', target: 'AKIAIOSFODNN7EXAMPLE' }),
    ])
    expect(await targets('20.0.0.1')).toEqual(['20.0.0.1'])
    expect(await targets('2a00:1:2:3::77')).toEqual(['2a00:1:2:3::/64'])
    expect(await targets('20.0.0.0/24')).toEqual(['20.0.0.0/24'])
    expect(await targets('AKIAIOSFODNN7EXAMPLE')).toEqual(['AKIAIOSFODNN7EXAMPLE'])
    expect(await targets('00000003')).toEqual(['20.0.0.0/24'])
  })

  test('by what, who, rule, incident, age and number', async () => {
    await having([
      told(1, { target: 'old', time: Date.now() - 48 * HOUR_MS }),
      told(2, { target: 'kim', who: 'kim', what: 'hold_released' }),
      told(3, { target: 'rule', rule: 'rule-1' }),
      told(4, { target: 'incident', incident_uid: 'abcd'.repeat(8) }),
    ])
    expect(await targets('--what', 'hold_released')).toEqual(['kim'])
    expect(await targets('--by', 'kim')).toEqual(['kim'])
    expect(await targets('--rule', 'rule-1')).toEqual(['rule'])
    expect(await targets('--incident', 'abcd')).toEqual(['incident'])
    expect(await targets('--since', '24h')).toEqual(['incident', 'rule', 'kim'])
    expect(await targets('--limit', '1')).toEqual(['incident'])
    const lines = (await audit('-o', 'ndjson')).out.split('\n')
    expect(lines).toHaveLength(4)
  })

  test.each([
    [['a', 'b'], /name one target/],
    [['--what', 'nonsense'], /--what is one of hold_created/],
    [['--limit', '0'], /--limit 0: a whole number/],
    [['--since', 'monday'], /--since monday/],
  ])('is refused with %j', async (args, message) => {
    const { code, err } = await audit(...args)
    expect(code).toBe(2)
    expect(err).toMatch(message)
  })
})
