/** Findings and alerts as the stages leave them, through the lake's sink, read back by SQL. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { alertOf, seenOf } from '../../../detections/sigma/alert.ts'
import type { Encoded, Event } from '../../../engine/contract.ts'
import { geoip } from '../../../enrichers/geoip.ts'
import { parseFalco } from '../../../enrichers/parse-falco.ts'
import { parseGuardduty } from '../../../enrichers/parse-guardduty.ts'
import { parseWaf } from '../../../enrichers/parse-waf.ts'
import { athenaDdl } from '../../../platform/lake/athena.ts'
import { queryLake } from '../../../platform/lake/query.ts'
import { lakeTables, partitionOf } from '../../../platform/lake/tables.ts'
import type { JsonObject, OcsfEvent } from '../../../platform/ocsf/event.ts'
import { SecretNames } from '../../../platform/redaction/names.ts'
import { lake } from '../../../sinks/lake.ts'
import { FakeClock } from '../../support/clock.ts'
import { encodedOf, eventOf, testDeps } from '../../support/deps.ts'
import { alertsOfEveryKind } from '../../support/falco-alerts.ts'
import { connection, finding, findingsOfEveryKind } from '../../support/findings.ts'
import { FakePositions } from '../../support/lake-sink.ts'
import { ruleOf } from '../../support/sigma.ts'
import { wafRecord } from '../../support/waf-records.ts'

const folder = mkdtempSync(join(tmpdir(), 'haetae-lake-findings-'))
const deps = testDeps({ clock: new FakeClock() })
const kinds = { guardduty: Object.values(findingsOfEveryKind), falco: Object.values(alertsOfEveryKind) }
/** What the sink was given, by metadata.uid. */
const given = new Map<string, JsonObject>()

beforeAll(async () => {
  const enrich = await geoip.open(geoip.config.parse({}), deps)
  const parsers = { guardduty: await parseGuardduty.open({}, deps), falco: await parseFalco.open({}, deps) }
  const reject = (_event: Event, reason: string) => expect.fail(reason)
  const events: Event[] = []
  const update = finding('UnauthorizedAccess:EC2/SSHBruteForce', connection('INBOUND'), {
    updatedAt: '2026-11-23T10:15:00.000Z',
  })
  for (const kind of ['guardduty', 'falco'] as const) {
    const records = kind === 'guardduty' ? [...kinds.guardduty, update] : kinds.falco
    // The address of a finding is its id and time, which these share: each needs its own.
    const batch = records.map((record, at) =>
      eventOf(kind === 'guardduty' && record !== update && at > 0 ? { ...record, id: `finding-${at}` } : record, kind),
    )
    await parsers[kind].apply(batch, reject)
    events.push(...(await enrich.apply(batch, reject)))
  }
  const request = eventOf(wafRecord(), 'waf')
  await (await parseWaf.open({}, deps)).apply([request], reject)
  const rule = ruleOf({ selection: { 'cs-method|exists': true }, condition: 'selection' }, { tags: ['attack.t1190'] })
  events.push(alertOf(rule, seenOf(request, new SecretNames([]))))
  const sink = await lake.open(lake.config.parse({ folder }), testDeps({ positions: new FakePositions() }))
  const records = events.map((event, at): Encoded => {
    const body = JSON.parse(JSON.stringify(event.body)) as JsonObject
    given.set((body['metadata'] as JsonObject)['uid'] as string, body)
    const { raw, timeMs } = event
    const placed = eventOf(raw, event.kind, { stream: 'events.guardduty/0', position: BigInt(at) })
    return encodedOf(Object.assign(placed, { body: event.body, timeMs }))
  })
  const { reject: refused, later } = await sink.write(records, new AbortController().signal)
  expect(refused).toEqual([])
  sink.drain!()
  await later
  await sink.close()
  await enrich.close?.()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function rows(sql: string): Promise<JsonObject[]> {
  let text = ''
  for await (const piece of queryLake(folder, sql, { format: 'ndjson' })) text += piece
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as JsonObject)
}

/** A row as the event it was: without the fields that are NULL, and with free objects as objects again. */
function asEvent(value: unknown, name = ''): unknown {
  if (value === null) return undefined
  if ((name === 'unmapped' || name === 'data') && typeof value === 'string') return JSON.parse(value)
  if (Array.isArray(value)) return value.map(item => asEvent(item))
  if (typeof value !== 'object') return value
  const pairs = Object.entries(value).map(([key, inner]) => [key, asEvent(inner, key)] as const)
  const present = pairs.filter(([, inner]) => inner !== undefined)
  return present.length > 0 ? Object.fromEntries(present) : undefined
}

describe('findings in the lake', () => {
  it('every field of every kind of finding and of an alert comes back as it was', async () => {
    const stored = await rows('SELECT * EXCLUDE (region, account, day) FROM detection_finding')
    expect(stored.length).toBe(given.size)
    for (const row of stored) {
      const event = asEvent(row) as OcsfEvent
      expect(event).toEqual(given.get(event.metadata!.uid!))
    }
  })

  it('an update of a finding is a row of its own, joined by the id of the finding', async () => {
    const states = await rows(
      "SELECT activity, count(*) AS n, count(DISTINCT uid) AS states FROM findings WHERE title LIKE 'Something%' AND finding_uid LIKE '%8ec1c9d0b3b0f9b2a77e6f0f6f3a1d52' AND remote_ip = '180.70.170.34' GROUP BY 1 ORDER BY 1",
    )
    expect(states).toMatchObject([{ activity: 'Update' }])
    expect(states[0]!['states']).toBe(states[0]!['n'])
    expect(Number(states[0]!['n'])).toBeGreaterThan(1)
  })

  it('the flat view names the far end, whichever way the connection went', async () => {
    const ends = await rows(
      "SELECT type, remote_ip, country FROM findings WHERE type IN ('UnauthorizedAccess:EC2/SSHBruteForce', 'CryptoCurrency:EC2/BitcoinTool.B') GROUP BY ALL ORDER BY 1",
    )
    expect(ends).toEqual([
      { type: 'CryptoCurrency:EC2/BitcoinTool.B', remote_ip: '180.70.170.34', country: 'KR' },
      { type: 'UnauthorizedAccess:EC2/SSHBruteForce', remote_ip: '180.70.170.34', country: 'KR' },
    ])
  })

  it('the flat view of Falco shows what ran where', async () => {
    const [shell] = await rows(
      "SELECT product, severity, command, container, resource_type, resource FROM findings WHERE product = 'Falco' AND title = 'Terminal shell in container'",
    )
    expect(shell).toEqual({
      product: 'Falco',
      severity: 'Low',
      command: 'bash -i',
      container: 'order',
      resource_type: 'Kubernetes Pod',
      resource: 'order-6c9d8b7f5-x2x4z',
    })
  })

  it('alerts of our own are in a view of theirs and in no other', async () => {
    const [alert, ...others] = await rows('SELECT title, severity, client_ip, path, tags, evidences FROM alerts')
    expect(others).toEqual([])
    expect(alert).toMatchObject({ title: 'A rule', tags: ['attack.t1190'], evidences: 1 })
    expect(await rows("SELECT count(*) AS n FROM findings WHERE product = 'Haetae'")).toEqual([{ n: 0 }])
  })

  it('is partitioned by Region, account and day of the finding', async () => {
    const finding = [...given.values()].find(body => (body['metadata'] as JsonObject)['log_name'] === 'guardduty')
    expect(partitionOf(finding as OcsfEvent)).toMatchObject({
      path: 'class=detection_finding/region=ap-northeast-2/account=123456789012/day=2026-11-23',
    })
  })

  it('Athena gets a table and a view for every class', () => {
    for (const table of lakeTables) {
      const ddl = athenaDdl({ table, location: 's3://lake-bucket/haetae' })
      expect(ddl).toContain(`\`${table.name}_raw\``)
      expect(ddl).toContain(`s3://lake-bucket/haetae/class=${table.name}/`)
    }
    const ddl = athenaDdl({ table: lakeTables[1]!, location: 's3://lake-bucket/haetae' })
    expect(ddl).toContain('`evidences` array<struct<uid:string,src_endpoint:struct<ip:string,port:int')
  })
})
