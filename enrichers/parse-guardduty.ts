import { z } from 'zod'
import { defineStage, type Event } from '../engine/contract.ts'
import { left, objectAt, objectsAt, present, takeBoolean, takeInteger, takeText } from '../platform/json/residue.ts'
import { tacticNamed } from '../platform/ocsf/attack.ts'
import type { Cloud, JsonObject, Metadata, OcsfEvent } from '../platform/ocsf/event.ts'
import { classification, type SeverityId } from '../platform/ocsf/finding.ts'
import { stableId } from '../platform/stable-id.ts'
import { parseTimeMs } from '../platform/time-text.ts'
import { guardDutyEvidences } from './finding/guardduty-evidence.ts'
import { type GuardDutyRecord, guardDutyRecord } from './finding/guardduty-record.ts'
import { guardDutyResources, takeInstanceId } from './finding/guardduty-resources.ts'
import { isHealthEvent, mapHealthEvent } from './finding/health.ts'
import { observablesOf } from './finding/observables.ts'
import { findingStage, type Mapped } from './finding/stage.ts'

/**
 * Amazon GuardDuty findings (schema 2.0; from EventBridge, S3 export or GetFindings) → OCSF 1.8.0 Detection Finding (2004).
 * `metadata.uid` comes of the finding's id and updatedAt, so the same state of a finding by any road and for any administrator is
 * the same event; `finding_info.uid` joins its updates. What OCSF has no place for is in `unmapped` under GuardDuty's names.
 *
 * AWS Health's events about leaked credentials come by the same road, as one rule of EventBridge can send both (finding/health.ts).
 *
 * Rejects `oversize`, `not_json`, `invalid_utf8`, `too_deep`, `too_many_keys`, `not_guardduty` and `time_out_of_range`.
 */
export const parseGuardduty = defineStage({
  type: 'parse-guardduty',
  summary: 'Maps GuardDuty findings, and the events of AWS Health about leaked credentials, to OCSF Detection Finding',
  config: z.strictObject({}),
  example: '{}',
  open: (_config, { clock }) =>
    Promise.resolve(findingStage(kind => kind === 'guardduty', 'not_guardduty', mapRecord, clock)),
})

function mapRecord(record: JsonObject, _event: Event, dangerous: JsonObject | undefined): Mapped {
  if (isHealthEvent(record)) return mapHealthEvent(record, dangerous)
  const found = guardDutyRecord(record)
  if (typeof found === 'string') return { reason: `not_guardduty: ${found}` }
  const updatedMs = timeOf(found.finding, 'updatedAt')
  if (updatedMs === undefined) return { reason: 'time_out_of_range: no updatedAt' }
  return { body: mapFinding(found, updatedMs, dangerous), timeMs: updatedMs }
}

function mapFinding(
  { finding, id, envelope }: GuardDutyRecord,
  updatedMs: number,
  dangerous: JsonObject | undefined,
): OcsfEvent {
  const service = objectAt(finding, 'service')
  const resource = objectAt(finding, 'resource')
  const createdMs = takeTime(finding, 'createdAt')
  takeTime(finding, 'updatedAt')
  const archived = takeBoolean(service, 'archived') === true
  const cloud = cloudOf(finding, envelope)
  const sample = isSample(service)
  const instanceId = takeInstanceId(resource)
  const evidences = guardDutyEvidences(service, resource, instanceId)
  const resources = guardDutyResources(resource, instanceId, cloud.region, service)
  const count = takeInteger(service, 'count', 1, 2_147_483_647)
  const observables = observablesOf(evidences, resources)
  const information = findingInfo(finding, service, id, createdMs, updatedMs)
  const title = information['title']
  const body: OcsfEvent = {
    ...classification(archived ? 3 : createdMs === updatedMs ? 1 : 2, severityOf(finding['severity']), updatedMs),
    ...(typeof title === 'string' ? { message: title } : {}),
    is_alert: !archived,
    status_id: archived ? 5 : 1,
    status: archived ? 'Archived' : 'New',
    ...(count === undefined ? {} : { count }),
    cloud,
    metadata: metadataOf(finding, service, id, updatedMs, sample),
    finding_info: information,
    ...(evidences.length > 0 ? { evidences } : {}),
    ...(resources.length > 0 ? { resources } : {}),
    ...(observables.length > 0 ? { observables } : {}),
  }
  const unmapped = present({ ...rest(finding), event_bridge: left(envelope), prototype_keys: dangerous })
  return unmapped ? { ...body, unmapped } : body
}

function rest(finding: JsonObject): JsonObject {
  const kept = left(finding)
  return kept === undefined ? {} : (kept as JsonObject)
}

function metadataOf(
  finding: JsonObject,
  service: JsonObject,
  id: string,
  updatedMs: number,
  sample: boolean,
): Metadata {
  const feature = present({ name: takeText(service, 'featureName'), uid: takeText(service, 'detectorId') })
  const version = takeText(finding, 'schemaVersion')
  return {
    version: '1.8.0',
    profiles: ['cloud'],
    uid: stableId(id, updatedMs),
    log_name: 'guardduty',
    ...(version === undefined ? {} : { log_version: version }),
    ...(sample ? { labels: ['sample'] } : {}),
    product: { name: 'GuardDuty', vendor_name: 'AWS', ...(feature ? { feature } : {}) },
  }
}

/** Account and Region of the finding, else of the event that carried it. */
function cloudOf(finding: JsonObject, envelope: JsonObject = {}): Cloud {
  const region = takeText(finding, 'region') ?? takeText(envelope, 'region')
  const account = takeText(finding, 'accountId') ?? takeText(envelope, 'account')
  return {
    provider: 'AWS',
    ...(region === undefined ? {} : { region }),
    ...(account === undefined ? {} : { account: { uid: account, type_id: 10, type: 'AWS Account' } }),
  }
}

function findingInfo(
  finding: JsonObject,
  service: JsonObject,
  id: string,
  createdMs: number | undefined,
  updatedMs: number,
): JsonObject {
  const type = takeText(finding, 'type')!
  const arn = takeText(finding, 'arn')
  // The id is the end of its ARN; where it is not, it stays in `unmapped`.
  if (arn === undefined || arn.endsWith(`/finding/${id}`)) delete finding['id']
  const tactic = tacticNamed(type.slice(0, type.indexOf(':')))
  return present({
    uid: arn ?? id,
    title: takeText(finding, 'title'),
    desc: takeText(finding, 'description'),
    types: [type],
    created_time: createdMs,
    modified_time: updatedMs,
    first_seen_time: takeTime(service, 'eventFirstSeen'),
    last_seen_time: takeTime(service, 'eventLastSeen'),
    analytic: { name: type, type_id: 1, type: 'Rule' },
    attacks: tactic ? [{ tactic }] : [],
  })!
}

/** Critical 9.0–10.0, High 7.0–8.9, Medium 4.0–6.9, Low 1.0–3.9. The number itself stays in `unmapped`. */
function severityOf(severity: unknown): SeverityId {
  if (typeof severity !== 'number' || severity <= 0) return 0
  if (severity >= 9) return 5
  if (severity >= 7) return 4
  if (severity >= 4) return 3
  return severity >= 1 ? 2 : 1
}

/** Findings made to try things out say so in additionalInfo, or only inside the JSON text of its `value`. */
function isSample(service: JsonObject): boolean {
  return objectsAt(service, 'additionalInfo').some(
    info =>
      info['sample'] === true ||
      (typeof info['value'] === 'string' && /"sample"\s{0,8}:\s{0,8}true/.test(info['value'])),
  )
}

function timeOf(from: JsonObject, key: string): number | undefined {
  const value = from[key]
  return typeof value === 'string' ? parseTimeMs(value) : undefined
}

function takeTime(from: JsonObject, key: string): number | undefined {
  const timeMs = timeOf(from, key)
  if (timeMs !== undefined) delete from[key]
  return timeMs
}
