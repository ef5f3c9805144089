import type { Event } from '../../engine/contract.ts'
import type { JsonObject, OcsfEvent } from '../../platform/ocsf/event.ts'
import { LazyBody } from '../../platform/ocsf/lazy-body.ts'

/** Longer texts in evidence are cut: an alert is for people, the event has them whole. */
const EVIDENCE_CHARS_MAX = 2_048
/** Of many events together, each is shown in short. */
const SHORT_CHARS_MAX = 256

/** What an analyst must see to believe it, and a responder to act on it: who asked, for what, and what became of it. Not redacted yet. */
export function evidenceOf({ id, kind, body }: Event): JsonObject {
  const evidence = kind === 'waf' ? requestOf(body) : findingOf(body)
  return shortened({ uid: id, ...evidence }, EVIDENCE_CHARS_MAX) as JsonObject
}

/** The same of one among many. Not redacted yet. */
export function shortEvidenceOf({ id, kind, body }: Event): JsonObject {
  if (kind !== 'waf') return shortened({ uid: id, ...findingOf(body) }, SHORT_CHARS_MAX) as JsonObject
  const { src_endpoint, http_request, action, disposition, firewall_rule } = body
  const { http_method, url, args, user_agent } = http_request ?? {}
  const source = src_endpoint && {
    ip: src_endpoint.ip,
    location: src_endpoint.location && { country: src_endpoint.location.country },
    autonomous_system: src_endpoint.autonomous_system,
  }
  const request = { http_method, url: url && { hostname: url.hostname, path: url.path }, args, user_agent }
  const data = { action, disposition, rule: firewall_rule?.uid }
  return shortened({ uid: id, src_endpoint: source, http_request: request, data }, SHORT_CHARS_MAX) as JsonObject
}

function requestOf(body: OcsfEvent): object {
  const { src_endpoint, dst_endpoint, http_request, action, disposition, firewall_rule } = body
  const { http_headers: _, ...request } = http_request ?? {}
  const data = { action, disposition, rule: firewall_rule?.uid, labels: labelsOf(body) }
  return { src_endpoint, dst_endpoint, http_request: http_request && request, data }
}

/** Of a request that is still JSON the labels alone are read: the rest of its metadata is nobody's evidence. */
function labelsOf(body: OcsfEvent): readonly string[] | undefined {
  const labels = LazyBody.behind(body)?.requestBytes()?.labels() ?? body.metadata?.labels ?? []
  return labels.length > 0 ? labels : undefined
}

/** The first of what the product saw, and what it says of it. */
function findingOf({ evidences = [], resources = [], finding_info, severity, message, metadata }: OcsfEvent): object {
  const [first = {}] = evidences
  const { data: _, ...seen } = first
  return {
    ...seen,
    data: {
      title: finding_info?.['title'],
      types: finding_info?.['types'],
      finding: finding_info?.['uid'],
      severity,
      message,
      product: metadata?.product.name,
      resources: resources.slice(0, 4).map(({ type, uid, name }) => ({ type, uid, name })),
    },
  }
}

/** A copy without what is undefined, and with long texts cut. */
function shortened(value: unknown, charsMax: number): unknown {
  if (typeof value === 'string') return value.slice(0, charsMax).toWellFormed()
  if (Array.isArray(value)) return value.slice(0, 64).map(each => shortened(each, charsMax))
  if (typeof value !== 'object' || value === null) return value
  const present: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const inner = shortened((value as Record<string, unknown>)[key], charsMax)
    if (inner !== undefined) define(present, key, inner)
  }
  return present
}

/** `__proto__` is a name like any other. */
function define(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}
