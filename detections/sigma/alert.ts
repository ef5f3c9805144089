import type { Alert, Event, Origin } from '../../engine/contract.ts'
import { clientPrefix, parseAddress } from '../../platform/address.ts'
import { tacticNamed } from '../../platform/ocsf/attack.ts'
import type { Cloud, Json, JsonObject, OcsfEvent } from '../../platform/ocsf/event.ts'
import { classification, type SeverityId } from '../../platform/ocsf/finding.ts'
import { LazyBody } from '../../platform/ocsf/lazy-body.ts'
import type { SecretNames } from '../../platform/redaction/names.ts'
import { redactValue } from '../../platform/redaction/plain.ts'
import { stableId } from '../../platform/stable-id.ts'
import type { About } from './about.ts'
import { type Actor, accessKeysOf, actorOfEvent } from './actor.ts'
import { evidenceOf } from './evidence.ts'
import type { Rule } from './rule.ts'

const severityIds: Readonly<Record<About['severity'], SeverityId>> = {
  info: 1,
  low: 2,
  medium: 3,
  high: 4,
  critical: 5,
}

/** What an alert is made from, besides its rule. */
export interface Seen {
  /** 32 hex digits; the same whenever the same thing is seen. */
  readonly id: string
  /** Of the event that completed it. */
  readonly timeMs: number
  readonly receivedMs: number
  readonly origin: Origin | undefined
  readonly replayed: boolean
  readonly sample: boolean
  readonly firstMs: number
  readonly actor: Actor | undefined
  /** Redacted; at most 10. */
  readonly evidences: readonly Json[]
  /** At most 20. */
  readonly related: readonly { readonly uid: string; readonly type_uid: number }[]
  readonly sources: readonly string[]
  /** Account and Region of the one event. */
  readonly cloud?: Cloud
  /** Correlations: the group, and how many events, values or rules there were. */
  readonly group?: Readonly<Record<string, string>>
  readonly count?: number
  /** Keys to be disabled besides the actor's. */
  readonly accessKeys?: readonly string[]
}

/** One event, for every rule that matched it. */
export interface SeenEvent extends Omit<Seen, 'id'> {
  readonly event: Event
}

/** What all alerts about one event show of it: redacted once. */
export function seenOf(event: Event, names: SecretNames): SeenEvent {
  return {
    event,
    timeMs: event.timeMs,
    receivedMs: event.receivedMs,
    origin: event.origin,
    replayed: event.replayed,
    sample: isSample(event.body),
    firstMs: event.timeMs,
    actor: actorOfEvent(event),
    evidences: [redactValue(evidenceOf(event), names) as JsonObject],
    related: [{ uid: event.id, type_uid: event.body.type_uid ?? 0 }],
    sources: [logNameOf(event)],
    ...(event.body.cloud ? { cloud: event.body.cloud } : {}),
  }
}

/** Without making the metadata of a request for it. */
function logNameOf({ body, kind }: Event): string {
  return LazyBody.behind(body)?.requestBytes()?.logName ?? body.metadata?.log_name ?? kind
}

/** An OCSF Detection Finding (2004) about one event. The same event always gives the same id, and the same bytes. */
export function alertOf(rule: Rule, seen: SeenEvent): Alert {
  const { event, ...rest } = seen
  // What is to be done is to be done about the actor.
  const [key, ...accessKeys] = rule.haetae.respond?.disable_key ? accessKeysOf(event) : []
  const actor: Actor | undefined = key === undefined ? seen.actor : { type: 'access_key', value: key }
  return alert(rule, {
    ...rest,
    id: stableId(rule.id, event.id),
    actor,
    ...(accessKeys.length > 0 ? { accessKeys } : {}),
  })
}

const SAMPLE_LABEL = 'haetae:sample'

/** Made up for trying: of the sample day, or by GuardDuty's own generator. */
export function isSample(body: OcsfEvent): boolean {
  // Of a web request that is still JSON the labels alone are read: to make all of its metadata took 7 of 100 of the time of `detect`.
  const request = LazyBody.behind(body)?.requestBytes()
  if (request) return request.labels().includes(SAMPLE_LABEL)
  const { metadata } = body
  const labels = metadata?.labels ?? []
  return labels.includes(SAMPLE_LABEL) || (metadata?.log_name === 'guardduty' && labels.includes('sample'))
}

export function alert(about: About, seen: Seen): Alert {
  const body = bodyOf(about, seen)
  const raw = Buffer.from(JSON.stringify(body))
  return {
    id: seen.id,
    kind: 'alert',
    origin: seen.origin,
    raw,
    marker: undefined,
    replayed: seen.replayed,
    key: keyOf(seen.actor),
    receivedMs: seen.receivedMs,
    timeMs: seen.timeMs,
    body,
    // Made once: no stage changes an alert.
    encode: () => raw,
    rule: about.id,
    severity: about.severity,
  }
}

/** All alerts about one client meet in one partition. */
function keyOf(actor: Actor | undefined): string | undefined {
  const address = actor?.type === 'address' ? parseAddress(actor.value) : undefined
  return address ? clientPrefix(address) : actor?.value
}

function bodyOf(about: About, seen: Seen): OcsfEvent {
  const { references, haetae, tags } = about
  return {
    ...classification(1, severityIds[about.severity], seen.timeMs),
    message: about.title,
    is_alert: true,
    status_id: 1,
    status: 'New',
    ...(seen.count === undefined ? {} : { count: seen.count }),
    ...(seen.cloud ? { cloud: seen.cloud } : {}),
    metadata: {
      version: '1.8.0',
      ...(seen.cloud ? { profiles: ['cloud'] } : {}),
      uid: seen.id,
      log_name: 'sigma',
      ...(tags.length > 0 ? { labels: [...tags] } : {}),
      logged_time: seen.receivedMs,
      product: { name: 'Haetae', vendor_name: 'Haetae' },
    },
    finding_info: {
      uid: seen.id,
      title: about.title,
      ...(about.description === '' ? {} : { desc: about.description }),
      created_time: seen.timeMs,
      first_seen_time: seen.firstMs,
      last_seen_time: seen.timeMs,
      analytic: { name: about.title, uid: about.id, type_id: 1, type: 'Rule' },
      attacks: attacksOfRule(about),
      data_sources: [...seen.sources],
      related_events: seen.related.map(each => ({ ...each })),
    },
    evidences: seen.evidences as JsonObject[],
    ...(haetae.runbook === undefined
      ? {}
      : { remediation: { desc: haetae.runbook, ...(references.length > 0 ? { references: [...references] } : {}) } }),
    unmapped: { haetae: ownFields(about, seen) },
  }
}

/** What the response goes by. */
function ownFields({ haetae: { respond } }: About, seen: Seen): JsonObject {
  const { actor, group, count, accessKeys, replayed, sample } = seen
  return {
    ...(actor ? { actor: { ...actor } } : {}),
    ...(group ? { group: { ...group } } : {}),
    ...(count === undefined ? {} : { count }),
    ...(accessKeys ? { access_keys: [...accessKeys] } : {}),
    respond: {
      block: respond?.block ?? false,
      ...(respond?.ttl === undefined ? {} : { ttlMs: respond.ttl }),
      ...(respond?.disable_key ? { disable_key: true } : {}),
    },
    replayed,
    sample,
  }
}

/** By rule, as its tags never change. */
const attacks = new WeakMap<About, JsonObject[]>()

function attacksOfRule(about: About): JsonObject[] {
  const known = attacks.get(about) ?? attacksOf(about.tags)
  attacks.set(about, known)
  return known
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
