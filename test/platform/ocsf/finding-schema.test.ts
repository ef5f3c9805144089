/** The columns of Detection Finding against everything that makes one: both parse stages and our own alerts. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alertOf, seenOf } from '../../../detections/sigma/alert.ts'
import type { Event, Stage } from '../../../engine/contract.ts'
import { geoip } from '../../../enrichers/geoip.ts'
import { parseFalco } from '../../../enrichers/parse-falco.ts'
import { parseGuardduty } from '../../../enrichers/parse-guardduty.ts'
import { parseWaf } from '../../../enrichers/parse-waf.ts'
import { redact } from '../../../enrichers/redact.ts'
import type { Json, JsonObject } from '../../../platform/ocsf/event.ts'
import { detectionFinding } from '../../../platform/ocsf/finding-schema.ts'
import { httpActivity } from '../../../platform/ocsf/schema.ts'
import { SecretNames } from '../../../platform/redaction/names.ts'
import { FakeClock } from '../../support/clock.ts'
import { eventOf, testDeps } from '../../support/deps.ts'
import { alertsOfEveryKind } from '../../support/falco-alerts.ts'
import { eventBridge, findingsOfEveryKind } from '../../support/findings.ts'
import { junk, placesOf, replaced } from '../../support/mutate.ts'
import { misfits, pathsIn } from '../../support/schema-fit.ts'
import { ruleOf } from '../../support/sigma.ts'
import { awsExamples, wafRecord, wafTraffic } from '../../support/waf-records.ts'

const deps = testDeps({ clock: new FakeClock() })
const after = [await geoip.open(geoip.config.parse({}), deps), await redact.open(redact.config.parse({}), deps)]
const stages = {
  waf: [await parseWaf.open({}, deps), ...after],
  guardduty: [await parseGuardduty.open({}, deps), ...after],
  falco: [await parseFalco.open({}, deps), ...after],
}

/** The event as a sink would write it; undefined when it is refused. */
async function written(record: unknown, kind: keyof typeof stages): Promise<unknown> {
  const event = eventOf(record, kind)
  let batch = [event]
  for (const stage of stages[kind]) batch = await stage.apply(batch, () => undefined)
  return batch[0] && encoded(batch[0])
}

const encoded = (event: Event): unknown =>
  JSON.parse(event.encode ? event.encode().toString() : JSON.stringify(event.body))

const published = readFileSync(new URL('../../fixtures/falco/published.ndjson', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map(line => (JSON.parse(line) as { event: JsonObject }).event)
const sample = readFileSync(new URL('../../fixtures/guardduty/ssh-brute-force.json', import.meta.url), 'utf8')
const findings: JsonObject[] = [...Object.values(findingsOfEveryKind), JSON.parse(sample) as JsonObject]
const alerts: JsonObject[] = [...Object.values(alertsOfEveryKind), ...published]

describe('every field that can be emitted has a column of its type', () => {
  it.each([
    ['GuardDuty', 'guardduty', [...findings, ...findings.map(eventBridge)]],
    ['Falco', 'falco', alerts],
  ] as const)('%s, enriched and redacted', async (_name, kind, records) => {
    for (const record of records) {
      const body = await written(record, kind)
      if (body !== undefined) expect(misfits(body, detectionFinding)).toEqual([])
    }
  })

  it('WAF, enriched and redacted', async () => {
    for (const record of [wafRecord(), ...awsExamples.map(([, example]) => example), ...wafTraffic(40, 3)])
      expect(misfits(await written(record, 'waf'), httpActivity)).toEqual([])
  })

  it('an alert of our own, about a request with all it can have', async () => {
    const rule = ruleOf(
      { selection: { 'cs-method': 'GET' }, condition: 'selection' },
      {
        description: 'A test.',
        tags: ['attack.t1059.004', 'attack.initial-access', 'attack.ta0002'],
        references: ['https://rules.example/1'],
        haetae: { runbook: 'Look at it.' },
      },
    )
    for (const record of [wafRecord(), ...wafTraffic(40, 5)]) {
      const event = eventOf(record, 'waf')
      for (const stage of [stages.waf[0]!, stages.waf[1]!]) await stage.apply([event], () => undefined)
      expect(misfits(encoded(alertOf(rule, seenOf(event, new SecretNames([])))), detectionFinding)).toEqual([])
    }
  })

  const mutants = (records: readonly JsonObject[]): fc.Arbitrary<Json> =>
    fc
      .tuple(fc.constantFrom(...records), fc.array(fc.tuple(fc.nat(), junk), { minLength: 1, maxLength: 3 }))
      .map(([record, changes]) => {
        let changed: Json = record
        for (const [at, by] of changes) {
          const places = placesOf(changed)
          changed = replaced(changed, places[at % places.length]!, by)
        }
        return changed
      })

  it.each([
    ['GuardDuty', 'guardduty', findings],
    ['Falco', 'falco', alerts],
  ] as const)('%s, whatever a record says', (_name, kind, records) => {
    const parse: Stage = stages[kind][0]!
    let kept = 0
    fc.assert(
      fc.property(mutants(records), record => {
        const event = eventOf(record, kind)
        const batch = parse.apply([event], () => undefined) as Event[]
        if (batch.length === 0) return
        kept++
        expect(misfits(encoded(event), detectionFinding)).toEqual([])
      }),
      { numRuns: 1500 },
    )
    expect(kept).toBeGreaterThan(500)
  })
})

it('a field without a column and a value of another type are noticed', () => {
  const body = { severity_id: 2.5, evidences: [{ src_endpoint: { ip: '192.0.2.1', mac: 'x' } }], count: 1 }
  expect(misfits(body, detectionFinding)).toEqual([
    'severity_id: 2.5 is no integer',
    'evidences[].src_endpoint.mac: no column',
  ])
})

it('every kind of evidence and every top-level column is filled by some record', async () => {
  const filled = new Set<string>()
  const fill = (body: unknown) => {
    for (const path of pathsIn(body)) filled.add(path.replaceAll('[]', ''))
  }
  for (const record of findings) fill(await written(record, 'guardduty'))
  for (const record of alerts) fill(await written(record, 'falco'))
  for (const name of [
    'src_endpoint',
    'dst_endpoint',
    'http_request',
    'process',
    'container',
    'connection_info',
    'file',
  ])
    expect(
      [...filled].filter(path => path.startsWith(`evidences.${name}.`)),
      name,
    ).not.toEqual([])
  const top = new Set([...filled].map(path => path.split('.')[0]))
  expect(Object.keys(detectionFinding).filter(name => !top.has(name))).toEqual(['remediation'])
})
