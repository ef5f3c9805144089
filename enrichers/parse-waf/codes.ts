import type { JsonDocument } from '../../platform/json/document.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'

/** Part of an event that is the same for many records: as an object and as JSON members, each behind a comma, as a byte string. */
export interface Codes {
  readonly fields: OcsfEvent
  readonly json: string
}

function codes(fields: OcsfEvent): Codes {
  const json = `,${JSON.stringify(fields).slice(1, -1)}`
  return { fields, json: Buffer.from(json).toString('latin1') }
}

/** OCSF HTTP Activity (4002). */
export const classification = codes({
  category_uid: 4,
  category_name: 'Network Activity',
  class_uid: 4002,
  class_name: 'HTTP Activity',
  severity_id: 1,
  severity: 'Informational',
})

export interface Method extends Codes {
  /** One of the nine that OCSF knows. */
  readonly isKnown: boolean
}

function method(id: number, name: string, isKnown = true): Method {
  const fields = {
    activity_id: id,
    activity_name: name,
    type_uid: 400_200 + id,
    type_name: `HTTP Activity: ${name}`,
  }
  return { ...codes(fields), isKnown }
}

/** By quoted name, the frequent ones first. */
const methods: readonly (readonly [string, Method])[] = [
  ['"GET"', method(3, 'Get')],
  ['"POST"', method(6, 'Post')],
  ['"HEAD"', method(4, 'Head')],
  ['"OPTIONS"', method(5, 'Options')],
  ['"PUT"', method(7, 'Put')],
  ['"DELETE"', method(2, 'Delete')],
  ['"PATCH"', method(9, 'Patch')],
  ['"CONNECT"', method(1, 'Connect')],
  ['"TRACE"', method(8, 'Trace')],
]
export const noMethod = method(0, 'Unknown', false)
const otherMethod = method(99, 'Other', false)

/** Methods are case-sensitive (RFC 9110 §9.1): `get` is another one. */
export function methodOf(document: JsonDocument, entry: number): Method {
  for (const [name, known] of methods) if (document.is(entry, name)) return known
  return otherMethod
}

/** OCSF security_control profile: action, disposition; and the status, which is the client's point of view. */
function verdict(action: [number, string], disposition: [number, string], status: [number, string]): Codes {
  return codes({
    action_id: action[0],
    action: action[1],
    disposition_id: disposition[0],
    disposition: disposition[1],
    status_id: status[0],
    status: status[1],
  })
}

const verdicts: readonly (readonly [string, Codes])[] = [
  ['"ALLOW"', verdict([1, 'Allowed'], [1, 'Allowed'], [1, 'Success'])],
  ['"BLOCK"', verdict([2, 'Denied'], [2, 'Blocked'], [2, 'Failure'])],
  ['"CHALLENGE"', verdict([2, 'Denied'], [23, 'Challenge'], [2, 'Failure'])],
  ['"CAPTCHA"', verdict([2, 'Denied'], [22, 'Captcha'], [2, 'Failure'])],
]
const noVerdict = verdict([0, 'Unknown'], [0, 'Unknown'], [0, 'Unknown'])

/** Only ever from the record's top-level action, at `entry`; 0 = it has none. An action we do not know keeps its own name. */
export function verdictOf(document: JsonDocument, entry: number): Codes {
  if (entry === 0) return noVerdict
  for (const [name, known] of verdicts) if (document.is(entry, name)) return known
  return verdict([99, document.text(entry)], [99, 'Other'], [99, 'Other'])
}
