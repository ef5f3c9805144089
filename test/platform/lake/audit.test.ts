/** Audit records through the lake's sink, read back by SQL. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { parseJson } from '../../../enrichers/parse-json.ts'
import { queryLake } from '../../../platform/lake/query.ts'
import { auditRecord } from '../../../platform/response/audit.ts'
import { lake } from '../../../sinks/lake.ts'
import { FakeClock } from '../../support/clock.ts'
import { encodedOf, eventOf, testDeps } from '../../support/deps.ts'
import { FakePositions } from '../../support/lake-sink.ts'

const folder = mkdtempSync(join(tmpdir(), 'haetae-lake-audit-'))
const nowMs = Date.UTC(2026, 10, 24, 9)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const told = [
  auditRecord(['h1'], {
    time: nowMs,
    what: 'waf_written',
    target: '192.0.2.7',
    hold: 'h1',
    decision: 'd1',
    rule: 'sqli',
    who: 'haetae',
    alert_uids: ['a1', 'a2'],
    incident_uid: 'i1',
    until_ms: nowMs + 3_600_000,
    step: 1,
    place: 'REGIONAL/ap-northeast-2',
    ip_set: 'haetae-block-v4-1',
    latency_ms: 812,
    dry_run: true,
  }),
  auditRecord(['d2'], {
    time: nowMs + 1,
    what: 'hold_refused',
    target: '192.0.2.8',
    who: 'haetae',
    reason: 'ours',
    skip_reason: 'never_block',
    dry_run: true,
  }),
]

it('is in the lake record by record, once however often it was told, and reads flat in the view audit', async () => {
  const deps = testDeps({ clock: new FakeClock(nowMs), positions: new FakePositions() })
  const batch = [...told, told[0]!].map((record, at) =>
    eventOf(record, 'audit', { stream: 'audit/0', position: BigInt(at) }),
  )
  const stage = await parseJson.open({}, deps)
  const parsed = await stage.apply(batch, (_event, reason) => expect.fail(reason))
  const sink = await lake.open(lake.config.parse({ folder, flushMs: 10 }), deps)
  const { later, reject } = await sink.write(parsed.map(encodedOf), new AbortController().signal)
  sink.drain?.()
  await later
  await sink.close()
  expect(reject).toEqual([])
  const sql = 'SELECT what, target, skip_reason, latency_ms, dry_run, alert_uids FROM audit ORDER BY time'
  let text = ''
  for await (const piece of queryLake(folder, sql, { format: 'ndjson' })) text += piece
  expect(
    text
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as unknown),
  ).toEqual([
    {
      what: 'waf_written',
      target: '192.0.2.7',
      skip_reason: null,
      latency_ms: 812,
      dry_run: true,
      alert_uids: ['a1', 'a2'],
    },
    {
      what: 'hold_refused',
      target: '192.0.2.8',
      skip_reason: 'never_block',
      latency_ms: null,
      dry_run: true,
      alert_uids: null,
    },
  ])
})
