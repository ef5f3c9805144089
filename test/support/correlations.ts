/** Correlations over made-up matches, without rules to match: what is counted is the same whatever matched. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { sigma } from '../../detections/sigma.ts'
import type { Alert, Detector, Event } from '../../engine/contract.ts'
import { RecordEvent } from '../../engine/event.ts'
import { parseFalco } from '../../enrichers/parse-falco.ts'
import { parseGuardduty } from '../../enrichers/parse-guardduty.ts'
import { parseJson } from '../../enrichers/parse-json.ts'
import { parseWaf } from '../../enrichers/parse-waf.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { testDeps } from './deps.ts'
import { document } from './sigma.ts'
import { wafRecord } from './waf-records.ts'

export const START_MS = Date.UTC(2026, 10, 23)

let serial = 0

/** A correlation with everything but what the test is about. */
export function correlation(about: object, more: object = {}): Record<string, unknown> {
  const id = `00000000-0000-4000-9000-${String(serial++).padStart(12, '0')}`
  const timespan = '1m'
  return {
    title: 'Together',
    id,
    correlation: { type: 'event_count', timespan, condition: { gte: 3 }, ...about },
    ...more,
  }
}

/** A rule for requests below a path, by the name of the path. */
export function pathRule(name: string): Record<string, unknown> {
  const detection = { selection: { 'cs-uri-stem|startswith': `/${name}` }, condition: 'selection' }
  return document(detection, { title: `Requests for ${name}`, name })
}

export async function detectorOf(
  documents: readonly object[],
  settings: object = {},
  deps = testDeps(),
): Promise<Detector> {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-correlations-'))
  writeFileSync(join(folder, 'rules.yml'), documents.map(each => stringify(each)).join('---\n'))
  return sigma.open(sigma.config.parse({ shipped: false, rules: [folder], blockRulePrefix: 'none', ...settings }), deps)
}

interface Asked {
  readonly atMs: number
  readonly client?: string
  readonly path?: string
  readonly asn?: number
  readonly args?: string
  /** Equal requests are one event; this makes them two. */
  readonly n?: number
  readonly stream?: string
}

/** A request as the pipeline has it before redaction. */
export async function requestOf({
  atMs,
  client = '203.0.113.9',
  path = '/login',
  asn,
  args = '',
  n = serial++,
  stream = 'events.waf/0',
}: Asked): Promise<Event> {
  const record = wafRecord()
  const httpRequest = {
    ...(record['httpRequest'] as JsonObject),
    clientIp: client,
    uri: path,
    args,
    requestId: String(n),
  }
  const event = await parsed('waf', { ...record, timestamp: START_MS + atMs, httpRequest }, START_MS + atMs, stream)
  if (asn !== undefined) event.body.src_endpoint = { ...event.body.src_endpoint, autonomous_system: { number: asn } }
  return event
}

const stages = { waf: parseWaf, guardduty: parseGuardduty, falco: parseFalco, match: parseJson } as const

export async function parsed(
  kind: keyof typeof stages,
  record: object | Buffer,
  receivedMs: number,
  stream: string,
): Promise<Event> {
  const spec = stages[kind]
  const stage = await spec.open(spec.config.parse({}), testDeps())
  const raw = Buffer.isBuffer(record) ? record : Buffer.from(JSON.stringify(record))
  const [event] = await stage.apply(
    [new RecordEvent(kind, raw, receivedMs, { stream, position: BigInt(serial++) })],
    (_, reason) => {
      throw new Error(reason)
    },
  )
  return event!
}

export function detected(detector: Detector, events: readonly Event[]): Alert[] {
  const found: Alert[] = []
  for (const event of events) detector.detect([event], alert => found.push(alert))
  return found
}

/** Matches as whoever reads the topic has them. */
export function matchesOf(found: readonly Alert[], stream = 'matches/0'): Promise<Event[]> {
  return Promise.all(
    found.filter(({ kind }) => kind === 'match').map(({ raw, receivedMs }) => parsed('match', raw, receivedMs, stream)),
  )
}
