import { z } from 'zod'
import type { Event } from '../../engine/contract.ts'
import { parseAddress, parseCidr } from '../../platform/address.ts'
import { DECISION_KEYS_MAX, type DecisionRequest, REASON_CHARS_MAX } from '../../platform/response/decision.ts'
import { stableId } from '../../platform/stable-id.ts'

const word = z.string().optional().catch(undefined)
const evidence = z
  .object({
    src_endpoint: z
      .object({
        ip: word,
        autonomous_system: z
          .object({ number: z.int().optional().catch(undefined) })
          .optional()
          .catch(undefined),
      })
      .optional()
      .catch(undefined),
    data: z.object({ rule: word }).optional().catch(undefined),
  })
  .catch({})

/** What of an alert (OCSF Detection Finding 2004) says whether something is to be done, and to whom. */
const alertShape = z.object({
  time: z.int().min(0),
  metadata: z.object({ uid: z.string().min(1).max(64), logged_time: z.int().min(0).optional().catch(undefined) }),
  finding_info: z.object({
    title: word,
    analytic: z
      .object({ uid: z.string().min(1).max(200) })
      .optional()
      .catch(undefined),
    last_seen_time: z.int().min(0).optional().catch(undefined),
  }),
  evidences: z.array(evidence).catch([]),
  unmapped: z
    .object({
      haetae: z
        .object({
          actor: z
            .object({ type: z.string(), value: z.string().max(128) })
            .optional()
            .catch(undefined),
          respond: z
            .object({
              block: z.boolean().default(false),
              ttlMs: z.int().min(1).optional().catch(undefined),
              disable_key: z.boolean().default(false),
            })
            .optional(),
          access_keys: z.array(z.string().min(1).max(128)).max(DECISION_KEYS_MAX).catch([]).optional(),
          user: word,
          replayed: z.boolean().default(false),
          sample: z.boolean().default(false),
        })
        .optional(),
    })
    .optional()
    .catch(undefined),
})
type Alert = z.output<typeof alertShape>

/**
 * The decisions that an alert asks for; their uids depend on the alert's alone, so that a repeat is known. A string says why the
 * record is no alert.
 */
export function decisionsOf(event: Event, blockRulePrefix: string): readonly DecisionRequest[] | string {
  const parsed = alertShape.safeParse(event.body)
  if (!parsed.success) return `not_alert: ${z.prettifyError(parsed.error)}`.slice(0, 200)
  const alert = parsed.data
  const { respond, actor } = alert.unmapped?.haetae ?? {}
  if (!respond || !actor) return []
  const target = respond.block ? blockTarget(actor) : undefined
  const block = target && requestOf('block', target, alert, event, blockRulePrefix)
  const isKey = respond.disable_key && actor.type === 'access_key' && actor.value !== ''
  const more = alert.unmapped?.haetae?.access_keys ?? []
  const keys = (isKey ? [actor.value, ...more] : []).map((value, position) => {
    const request = requestOf('disable_key', { type: 'access_key', value }, alert, event, blockRulePrefix)
    return position === 0
      ? request
      : { ...request, uid: stableId('decision', 'disable_key', alert.metadata.uid, value) }
  })
  return [...(block ? [block] : []), ...keys]
}

/** Only an address or a network can stand in an IP set. */
function blockTarget({
  type,
  value,
}: {
  readonly type: string
  readonly value: string
}): DecisionRequest['target'] | undefined {
  if (type === 'address' && (parseAddress(value) || parseCidr(value))) {
    return { type: value.includes('/') ? 'network' : 'address', value }
  }
  return type === 'network' && parseCidr(value) ? { type: 'network', value } : undefined
}

function requestOf(
  type: 'block' | 'disable_key',
  target: DecisionRequest['target'],
  alert: Alert,
  event: Event,
  blockRulePrefix: string,
): DecisionRequest {
  const { metadata, finding_info, evidences, time, unmapped } = alert
  const { respond, user, replayed = false, sample = false } = unmapped?.haetae ?? {}
  const numbers = new Set(evidences.flatMap(({ src_endpoint }) => src_endpoint?.autonomous_system?.number ?? []))
  const [asn] = numbers
  const rules = evidences.map(({ data }) => data?.rule)
  return {
    uid: stableId('decision', type, metadata.uid),
    time: event.receivedMs,
    type,
    target,
    ...(respond?.ttlMs === undefined || type !== 'block' ? {} : { ttlMs: respond.ttlMs }),
    reason: (finding_info.title ?? 'a rule').slice(0, REASON_CHARS_MAX).toWellFormed(),
    ...(finding_info.analytic ? { rule: finding_info.analytic.uid } : {}),
    alertUids: [metadata.uid].slice(0, DECISION_KEYS_MAX),
    evidenceTimeMs: finding_info.last_seen_time ?? time,
    receivedMs: metadata.logged_time ?? event.receivedMs,
    ...(numbers.size === 1 && asn !== undefined && asn >= 0 ? { asn } : {}),
    ...(user === undefined ? {} : { user: user.slice(0, 128) }),
    ownBlock: rules.length > 0 && rules.every(rule => rule?.startsWith(blockRulePrefix) === true),
    who: 'haetae',
    source: 'detection',
    sample,
    replayed: replayed || event.replayed,
  }
}
