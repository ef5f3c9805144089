/** What AWS Health says about leaked credentials, as an OCSF Detection Finding. */
import { isObject, left, objectsAt, present, takeText } from '../../platform/json/residue.ts'
import type { JsonObject, OcsfEvent } from '../../platform/ocsf/event.ts'
import { classification } from '../../platform/ocsf/finding.ts'
import { stableId } from '../../platform/stable-id.ts'
import { parseTimeMs } from '../../platform/time-text.ts'
import type { Mapped } from './stage.ts'

/** What is past this stays in `unmapped`. One event names a key or a few; long lists come in pages, each an event of its own. */
const KEYS_MAX = 100
const RFC_1123 = /^[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d) (?:GMT|UTC)$/
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Of all that AWS Health sends, only what is about credentials is a finding. */
export function isHealthEvent(record: JsonObject): boolean {
  return record['source'] === 'aws.health'
}

/**
 * An EventBridge event of AWS Health whose type begins with AWS_RISK_CREDENTIALS_, such as AWS_RISK_CREDENTIALS_EXPOSED: an access key
 * was found in public. (AWS Health user guide, “AWS Health events Amazon EventBridge schema”: `affectedEntities` name the keys, times
 * inside `detail` are as in RFC 1123.) `metadata.uid` comes of the communication, so that the copy which AWS sends to a second Region is the same event.
 */
export function mapHealthEvent(record: JsonObject, dangerous: JsonObject | undefined): Mapped {
  const { detail, ...envelope } = record
  if (!isObject(detail)) return { reason: 'not_guardduty: an event of AWS Health without its detail' }
  const code = detail['eventTypeCode']
  if (typeof code !== 'string' || !/^AWS_RISK_CREDENTIALS_[A-Z_]{1,64}$/.test(code))
    return { reason: 'not_guardduty: an event of AWS Health that is not about credentials' }
  const arn = takeText(detail, 'eventArn')
  if (arn === undefined) return { reason: 'not_guardduty: an event of AWS Health without eventArn' }
  const timeMs = timeOf(detail, 'lastUpdatedTime') ?? timeOf(envelope, 'time')
  if (timeMs === undefined) return { reason: 'time_out_of_range: neither lastUpdatedTime nor time' }
  return { body: bodyOf({ detail, envelope, arn, code, timeMs, dangerous }), timeMs }
}

interface HealthEvent {
  readonly detail: JsonObject
  readonly envelope: JsonObject
  readonly arn: string
  readonly code: string
  readonly timeMs: number
  readonly dangerous: JsonObject | undefined
}

function bodyOf({ detail, envelope, arn, code, timeMs, dangerous }: HealthEvent): OcsfEvent {
  const isClosed = detail['statusCode'] === 'closed'
  const startMs = takeTime(detail, 'startTime')
  takeTime(detail, 'lastUpdatedTime')
  const account = takeText(detail, 'affectedAccount') ?? takeText(envelope, 'account')
  const region = takeText(detail, 'eventRegion') ?? takeText(envelope, 'region')
  // Told in pages: the communication's id ends with the number of the page.
  const communication = takeText(detail, 'communicationId') ?? `${timeMs} ${String(detail['page'] ?? 1)}`
  const title = code === 'AWS_RISK_CREDENTIALS_EXPOSED' ? 'AWS found an access key of yours in public' : code
  const resources = keysOf(detail, region)
  const body: OcsfEvent = {
    ...classification(isClosed ? 3 : 1, 5, timeMs),
    message: title,
    is_alert: !isClosed,
    status_id: isClosed ? 4 : 1,
    status: isClosed ? 'Resolved' : 'New',
    cloud: {
      provider: 'AWS',
      ...(region === undefined ? {} : { region }),
      ...(account === undefined ? {} : { account: { uid: account, type_id: 10, type: 'AWS Account' } }),
    },
    metadata: {
      version: '1.8.0',
      profiles: ['cloud'],
      uid: stableId(arn, account ?? '', communication),
      log_name: 'aws-health',
      product: { name: 'Health', vendor_name: 'AWS' },
    },
    finding_info: present({
      uid: arn,
      title,
      desc: descriptionOf(detail),
      types: [code],
      created_time: startMs,
      modified_time: timeMs,
      last_seen_time: timeMs,
      analytic: { name: code, type_id: 1, type: 'Rule' },
    })!,
    ...(resources.length > 0 ? { resources } : {}),
  }
  const rest = left(detail)
  const unmapped = present({
    ...(isObject(rest) ? rest : {}),
    event_bridge: left(envelope),
    prototype_keys: dangerous,
  })
  return unmapped ? { ...body, unmapped } : body
}

/** Entities named by the id of a key; others stay where they were. */
function keysOf(detail: JsonObject, region: string | undefined): JsonObject[] {
  const keys: JsonObject[] = []
  for (const entity of objectsAt(detail, 'affectedEntities')) {
    const uid = entity['entityValue']
    if (keys.length >= KEYS_MAX || typeof uid !== 'string' || !/^A[KS]IA[A-Z0-9]{12,124}$/.test(uid)) continue
    delete entity['entityValue']
    keys.push(present({ type: 'AWS::IAM::AccessKey', uid, region })!)
  }
  return keys
}

/** In English, where AWS gives several languages. */
function descriptionOf(detail: JsonObject): string | undefined {
  const given = objectsAt(detail, 'eventDescription')
  const chosen = given.find(each => each['language'] === 'en_US') ?? given[0]
  return chosen && takeText(chosen, 'latestDescription')
}

function takeTime(from: JsonObject, key: string): number | undefined {
  const timeMs = timeOf(from, key)
  if (timeMs !== undefined) delete from[key]
  return timeMs
}

/** `Fri, 27 Jan 2023 06:02:51 GMT`, or as everywhere else. */
function timeOf(from: JsonObject, key: string): number | undefined {
  const text = from[key]
  if (typeof text !== 'string') return undefined
  const found = RFC_1123.exec(text)
  if (!found) return parseTimeMs(text)
  const [, day, month = '', year, clock] = found
  const number = MONTHS.indexOf(month) + 1
  return number === 0 ? undefined : parseTimeMs(`${year}-${String(number).padStart(2, '0')}-${day}T${clock}Z`)
}
