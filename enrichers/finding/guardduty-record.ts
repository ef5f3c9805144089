/** The forms in which a GuardDuty finding arrives, made into one (formats: Amazon GuardDuty user guide; GetFindings API). */
import { isObject } from '../../platform/json/residue.ts'
import type { Json, JsonObject } from '../../platform/ocsf/event.ts'

export interface GuardDutyRecord {
  /** camelCase keys, as GuardDuty writes them to EventBridge and S3. */
  readonly finding: JsonObject
  readonly id: string
  /** The EventBridge event without its detail. */
  readonly envelope: JsonObject | undefined
}

/** An EventBridge event with one finding in `detail`, or the finding itself; a reason's detail if it is neither. */
export function guardDutyRecord(record: JsonObject): GuardDutyRecord | string {
  const { detail, ...envelope } = record
  if (!isObject(detail)) return withFinding(record, undefined)
  const type = record['detail-type']
  if (type !== undefined && type !== 'GuardDuty Finding') return 'another EventBridge event'
  return withFinding(detail, envelope)
}

function withFinding(found: JsonObject, envelope: JsonObject | undefined): GuardDutyRecord | string {
  // The API's Python client gives the same finding with PascalCase keys, and people put that into `detail`.
  const finding = Object.hasOwn(found, 'Id') && !Object.hasOwn(found, 'id') ? lowerFirst(found) : found
  if (!isObject(finding)) return 'no finding'
  const { id, type } = finding
  if (typeof id !== 'string' || id === '' || typeof type !== 'string') return 'no id or no type'
  // ThreatPurpose:ResourceType/ThreatFamilyName
  if (!/^[A-Za-z]{1,64}:[A-Za-z0-9]{1,64}\/./.test(type)) return 'no finding type'
  return { finding, id, envelope }
}

/** Keys only; a key that would then exist twice stays as it is. */
function lowerFirst(value: Json): Json {
  if (Array.isArray(value)) return value.map(lowerFirst)
  if (!isObject(value)) return value
  const lowered: JsonObject = {}
  for (const [key, item] of Object.entries(value)) {
    const name = key.slice(0, 1).toLowerCase() + key.slice(1)
    lowered[name !== key && Object.hasOwn(value, name) ? key : name] = lowerFirst(item)
  }
  return lowered
}
