import { z } from 'zod'

/** Bounds of what one incident holds, whatever its attack does; what is past them is counted. */
export const ADDRESSES_MAX = 50
export const TARGETS_MAX = 10
export const RULES_MAX = 20
export const COUNTRIES_MAX = 10
export const CLASSES_MAX = 10
export const TIMELINE_MAX = 50
export const MERGED_MAX = 50

const text = (charsMax: number) => z.string().max(charsMax)
const ms = z.int().min(0)
const count = z.int().min(0)
/** What a person did with it, and when. */
const mark = z.object({ by: text(200), time: ms })

const timelineEntry = z.object({
  time: ms,
  what: z.enum([
    'opened',
    'severity',
    'rule',
    'target',
    'merged',
    'hold_created',
    'hold_released',
    'hold_expired',
    'hold_extended',
    'hold_refused',
    'hold_suspended',
    'waf_failed',
    'acknowledged',
    'false_positive',
    'snoozed',
    'helpful',
    'not_helpful',
    'quiet',
    'closed',
  ]),
  /** Rule title, target, address, or reason: written by others, so shown only as untrusted text. */
  detail: text(128).optional(),
  who: text(200).optional(),
  /** Of `hold_released` by a person: when he asked for it, and how long it took until the address was out of the IP set. */
  asked_time: ms.optional(),
  took_ms: count.optional(),
})
export type TimelineEntry = z.output<typeof timelineEntry>

/**
 * An incident: alerts that belong together, as it stands on the compacted topic `incidents` and in the index
 * `haetae-incidents`. Times in milliseconds since the epoch. Names follow OCSF Incident Finding (2005) where it has one.
 */
export const incidentSchema = z.object({
  uid: text(64).min(1),
  /** What people call it: INC-<number>. */
  number: count,
  /** Rises with every change that was written: the external version of its document. */
  version: count,
  /** Last change. */
  time: ms,
  state: z.enum(['open', 'closed']),
  /** One actor whatever he does, or many actors doing one thing. */
  kind: z.enum(['actor', 'campaign']),
  /** What one actor is known by, as `address:203.0.113.7`; for a campaign what they all do, as `T1110`; `*` when too much was open. */
  key: text(300).min(1),
  title: text(128),
  actor: z.object({ type: text(32), value: text(256) }).optional(),
  /** OCSF: 1 informational to 5 critical. Never falls. */
  severity_id: z.int().min(1).max(5),
  opened_time: ms,
  updated_time: ms,
  closed_time: ms.optional(),
  first_seen_time: ms,
  last_seen_time: ms,
  /** Since when it is critical: how long people take to answer is counted from here. */
  critical_time: ms.optional(),
  /** Quiet since then, and open all the same: it is critical, and nobody has acknowledged it. */
  quiet_time: ms.optional(),
  /** Every alert counted once, over restarts and redelivery. */
  count,
  classes: z.array(text(128)).max(CLASSES_MAX),
  rules: z.array(z.object({ uid: text(128), title: text(128), count })).max(RULES_MAX),
  addresses: z.array(text(64)).max(ADDRESSES_MAX),
  /** Exact up to ADDRESSES_MAX, an estimate within 2 % after that. */
  address_count: count,
  /** Bitmap behind the estimate, base64. */
  address_sketch: text(2048).optional(),
  targets: z.array(text(128)).max(TARGETS_MAX),
  countries: z.array(z.object({ name: text(8), count })).max(COUNTRIES_MAX),
  networks: z.array(z.object({ name: text(80), count })).max(COUNTRIES_MAX),
  timeline: z.array(timelineEntry).max(TIMELINE_MAX),
  /**
   * Addresses and networks that are blocked now, of these the ones that WAF has not acknowledged yet, and all that ever were; the longest
   * from a record's arrival to WAF's acknowledgement.
   */
  holds: z.object({
    active: count,
    waiting: count.optional(),
    total: count,
    until: ms.optional(),
    /** Some of those that are blocked now, as the ledger names them: of IPv6 the /64. */
    targets: z.array(text(64)).max(ADDRESSES_MAX).optional(),
    slowest_ms: count.optional(),
  }),
  /** One request, for the eye. */
  example: z
    .object({ method: text(32), path: text(512), user_agent: text(256), rule: text(256) })
    .partial()
    .optional(),
  runbook: text(1024).optional(),
  acknowledged: mark.optional(),
  false_positive: mark.optional(),
  /** Nothing more is said of it until then; nor of its successors. */
  snoozed: mark.extend({ until: ms }).optional(),
  /** What people said of it once it was over. */
  helpful: mark.extend({ yes: z.boolean() }).optional(),
  /** The incident that reached its maximum duration, or went quiet, and goes on in this one. */
  successor_of: text(64).optional(),
  /** Closed because its alerts are now counted in this campaign. */
  merged_into: text(64).optional(),
  merged: z.array(text(64)).max(MERGED_MAX),
  /** Made of sample records alone: shown as such, and never a reason to act. */
  sample: z.boolean(),
})
export type Incident = z.output<typeof incidentSchema>

/** Critical, real, and nobody has said a word about it: it is not closed before somebody does. */
export function isUnseen({ severity_id, sample, acknowledged, false_positive }: Incident): boolean {
  return severity_id === 5 && !sample && !acknowledged && !false_positive
}

/** Undefined for what is not an incident of this version. */
export function readIncident(json: Buffer): Incident | undefined {
  try {
    return incidentSchema.safeParse(JSON.parse(json.toString('utf8'))).data
  } catch {
    return undefined
  }
}
