import { z } from 'zod'
import { cut, idOf } from './alert.ts'

/** What of an audit record (topic `audit`) an incident takes notice of. */
export interface AuditFacts {
  readonly uid: string
  readonly timeMs: number
  readonly what: (typeof noticed)[number]
  readonly target: string | undefined
  readonly who: string | undefined
  readonly reason: string | undefined
  readonly incidentUid: string | undefined
  readonly untilMs: number | undefined
  readonly hold: string | undefined
  readonly latencyMs: number | undefined
}

const noticed = [
  'hold_created',
  'hold_extended',
  'hold_released',
  'hold_expired',
  'hold_refused',
  'hold_suspended',
  'waf_written',
  'waf_removed',
  'waf_failed',
  'incident_acknowledged',
  'incident_false_positive',
  'incident_snoozed',
  'incident_helpful',
  'incident_not_helpful',
] as const

const word = z.string().optional().catch(undefined)
const auditShape = z.object({
  metadata: z.object({ uid: z.string().min(1) }),
  time: z.int().min(0),
  what: z.enum(noticed),
  target: z
    .union([z.string(), z.object({ value: z.string() }).transform(({ value }) => value)])
    .optional()
    .catch(undefined),
  who: word,
  reason: word,
  skip_reason: word,
  incident_uid: word,
  until_ms: z.int().min(0).optional().catch(undefined),
  hold: word,
  latency_ms: z.int().min(0).optional().catch(undefined),
})

/** Undefined for records of which incidents take no notice. */
export function auditFacts(body: unknown): AuditFacts | undefined {
  const { data } = auditShape.safeParse(body)
  if (!data) return undefined
  const reason = data.skip_reason ?? data.reason
  return {
    uid: idOf(data.metadata.uid),
    timeMs: data.time,
    what: data.what,
    target: data.target && cut(data.target, 64),
    who: data.who && cut(data.who, 200),
    reason: reason && cut(reason, 64),
    incidentUid: data.incident_uid && cut(data.incident_uid, 64),
    untilMs: data.until_ms,
    hold: data.hold && cut(data.hold, 64),
    latencyMs: data.latency_ms,
  }
}
