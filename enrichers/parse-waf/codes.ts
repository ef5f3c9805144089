import type { JsonDocument } from '../../platform/json/document.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'

/** OCSF HTTP Activity (4002). A web ACL's verdict is no finding: informational. */
const classification: OcsfEvent = {
  category_uid: 4,
  category_name: 'Network Activity',
  class_uid: 4002,
  class_name: 'HTTP Activity',
  severity_id: 1,
  severity: 'Informational',
}

export interface Method {
  /** OCSF activity. */
  readonly fields: OcsfEvent
  /** One of the nine that OCSF knows. */
  readonly isKnown: boolean
  /** What was rendered for this method, by verdict. */
  readonly rendered: Map<Verdict, Codes>
}

function method(id: number, name: string, isKnown = true): Method {
  const fields = {
    activity_id: id,
    activity_name: name,
    type_uid: 400_200 + id,
    type_name: `HTTP Activity: ${name}`,
  }
  return { fields, isKnown, rendered: new Map() }
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

/** OCSF action, disposition (security_control profile) and status, which is the client's point of view. */
type Verdict = OcsfEvent

function verdict(action: [number, string], disposition: [number, string], status: [number, string]): Verdict {
  return {
    action_id: action[0],
    action: action[1],
    disposition_id: disposition[0],
    disposition: disposition[1],
    status_id: status[0],
    status: status[1],
  }
}

const verdicts: readonly (readonly [string, Verdict])[] = [
  ['"ALLOW"', verdict([1, 'Allowed'], [1, 'Allowed'], [1, 'Success'])],
  ['"BLOCK"', verdict([2, 'Denied'], [2, 'Blocked'], [2, 'Failure'])],
  ['"CHALLENGE"', verdict([2, 'Denied'], [23, 'Challenge'], [2, 'Failure'])],
  ['"CAPTCHA"', verdict([2, 'Denied'], [22, 'Captcha'], [2, 'Failure'])],
]
const noVerdict = verdict([0, 'Unknown'], [0, 'Unknown'], [0, 'Unknown'])

/** The part of an event that is the same for many records: as an object, and as JSON members each behind a comma (a byte string). */
export interface Codes {
  readonly fields: OcsfEvent
  readonly json: string
}

/**
 * The verdict comes from the record's top-level action and from nothing else; `action` is its entry, 0 = there is none. An
 * action that we do not know keeps its own name.
 */
export function codesOf(document: JsonDocument, method: Method, action: number): Codes {
  if (action === 0) return known(method, noVerdict)
  for (const [name, verdict] of verdicts) if (document.is(action, name)) return known(method, verdict)
  return render(method, verdict([99, document.text(action)], [99, 'Other'], [99, 'Other']))
}

function known(method: Method, verdict: Verdict): Codes {
  const rendered = method.rendered.get(verdict)
  if (rendered) return rendered
  const codes = render(method, verdict)
  method.rendered.set(verdict, codes)
  return codes
}

function render(method: Method, verdict: Verdict): Codes {
  const fields = Object.freeze({ ...classification, ...method.fields, ...verdict })
  return { fields, json: Buffer.from(`,${JSON.stringify(fields).slice(1, -1)}`).toString('latin1') }
}
