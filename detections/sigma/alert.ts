import { hash } from 'node:crypto'
import type { Alert, Event } from '../../engine/contract.ts'
import { clientPrefix, parseAddress } from '../../platform/address.ts'
import { tacticNamed } from '../../platform/ocsf/attack.ts'
import type { JsonObject, OcsfEvent } from '../../platform/ocsf/event.ts'
import { classification, type SeverityId } from '../../platform/ocsf/finding.ts'
import type { SecretNames } from '../../platform/redaction/names.ts'
import { redactValue } from '../../platform/redaction/plain.ts'
import type { Rule } from './rule.ts'

const severityIds: Readonly<Record<Rule['severity'], SeverityId>> = { info: 1, low: 2, medium: 3, high: 4, critical: 5 }
/** Longer texts in evidence are cut: an alert is for people, the event has them whole. */
const EVIDENCE_CHARS_MAX = 2_048

/** An OCSF Detection Finding (2004) about one event. The same event always gives the same id, and the same bytes. */
export function alertOf(rule: Rule, event: Event, names: SecretNames): Alert {
  const id = hash('sha256', `${rule.id}\n${event.id}`, 'hex').slice(0, 32)
  const body = redactValue(bodyOf(rule, event, id), names) as OcsfEvent
  const raw = Buffer.from(JSON.stringify(body))
  return {
    id,
    kind: 'alert',
    origin: event.origin,
    raw,
    marker: undefined,
    replayed: event.replayed,
    key: keyOf(event),
    receivedMs: event.receivedMs,
    timeMs: event.timeMs,
    body,
    // Made once: no stage changes an alert.
    encode: () => raw,
    rule: rule.id,
    severity: rule.severity,
  }
}

/** All alerts about one client meet in one partition. */
function keyOf(event: Event): string | undefined {
  const address = parseAddress(event.body.src_endpoint?.ip ?? '')
  return address ? clientPrefix(address) : event.key
}

function bodyOf(rule: Rule, event: Event, id: string): OcsfEvent {
  const { references, haetae } = rule
  return {
    ...classification(1, severityIds[rule.severity], event.timeMs),
    message: rule.title,
    is_alert: true,
    status_id: 1,
    status: 'New',
    ...(event.body.cloud ? { cloud: event.body.cloud } : {}),
    metadata: {
      version: '1.8.0',
      ...(event.body.cloud ? { profiles: ['cloud'] } : {}),
      uid: id,
      log_name: 'sigma',
      ...(rule.tags.length > 0 ? { labels: [...rule.tags] } : {}),
      product: { name: 'Haetae', vendor_name: 'Haetae' },
    },
    finding_info: {
      uid: id,
      title: rule.title,
      ...(rule.description === '' ? {} : { desc: rule.description }),
      created_time: event.timeMs,
      first_seen_time: event.timeMs,
      last_seen_time: event.timeMs,
      analytic: { name: rule.title, uid: rule.id, type_id: 1, type: 'Rule' },
      attacks: attacksOf(rule.tags),
      data_sources: [event.body.metadata?.log_name ?? event.kind],
      related_events: [{ uid: event.id, type_uid: event.body.type_uid ?? 0 }],
    },
    evidences: [evidenceOf(event)],
    ...(haetae.runbook === undefined
      ? {}
      : { remediation: { desc: haetae.runbook, ...(references.length > 0 ? { references: [...references] } : {}) } }),
  }
}

/** What an analyst must see to believe it, and a responder to act on it: who asked, for what, and what became of it. */
function evidenceOf({ id, body }: Event): JsonObject {
  const { src_endpoint, dst_endpoint, http_request, action, disposition, firewall_rule, metadata } = body
  const { http_headers: _, ...request } = http_request ?? {}
  const data = { action, disposition, rule: firewall_rule?.uid, labels: metadata?.labels }
  const evidence = { uid: id, src_endpoint, dst_endpoint, http_request: http_request && request, data }
  return shortened(evidence) as JsonObject
}

/** A copy without what is undefined, and with long texts cut. */
function shortened(value: unknown): unknown {
  if (typeof value === 'string') return value.slice(0, EVIDENCE_CHARS_MAX).toWellFormed()
  if (Array.isArray(value)) return value.slice(0, 64).map(shortened)
  if (typeof value !== 'object' || value === null) return value
  const present = Object.entries(value).filter(([, inner]) => inner !== undefined)
  return Object.fromEntries(present.map(([key, inner]) => [key, shortened(inner)]))
}

/** Sigma's tags `attack.t1190` and `attack.initial-access`; technique and tactic are joined only when there is one tactic. */
function attacksOf(tags: readonly string[]): JsonObject[] {
  const names = tags.filter(tag => tag.startsWith('attack.')).map(tag => tag.slice('attack.'.length))
  const tactics = names.map(tacticNamed).filter(each => each !== undefined)
  const only = tactics.length === 1 ? tactics[0] : undefined
  const techniques = names
    .filter(name => /^t\d{4}(\.\d{3})?$/.test(name))
    .map((name): JsonObject => {
      const uid = name.toUpperCase()
      const [technique = uid] = uid.split('.')
      return {
        technique: { uid: technique },
        ...(uid === technique ? {} : { sub_technique: { uid } }),
        ...(only ? { tactic: only } : {}),
      }
    })
  const unjoined = only && techniques.length > 0 ? [] : tactics.map((tactic): JsonObject => ({ tactic }))
  return [...techniques, ...unjoined]
}
