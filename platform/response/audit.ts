import { stableId } from '../stable-id.ts'

/** What can be said in an audit record. `hold_…`: the ledger; `waf_…`: the IP sets; `key_…`: access keys; `incident_…`: people; `pipeline_…`: a process. */
export const auditEvents = [
  'hold_created',
  'hold_refused',
  'hold_extended',
  'hold_released',
  'hold_expired',
  'hold_suspended',
  'waf_written',
  'waf_removed',
  'waf_failed',
  'waf_recovered',
  'budget_tripped',
  'budget_resumed',
  'allowed',
  'key_disabled',
  'key_refused',
  'key_failed',
  'incident_acknowledged',
  'incident_false_positive',
  'incident_snoozed',
  'incident_helpful',
  'incident_not_helpful',
  'pipeline_paused',
  'pipeline_resumed',
] as const
type AuditEvent = (typeof auditEvents)[number]

/**
 * One JSON object of the topic `audit`. Written at least once; a repeat has the same uid. Its class is OCSF's Remediation Activity (7001), by
 * which the lake knows it; its fields are ours (platform/ocsf/response-schema.ts).
 */
export interface AuditRecord {
  readonly class_uid: 7001
  readonly class_name: 'Remediation Activity'
  readonly metadata: {
    readonly uid: string
    readonly version: string
    readonly product: { readonly name: string; readonly vendor_name: string }
  }
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly what: AuditEvent
  /** Address, network or access key. */
  readonly target?: string
  readonly hold?: string
  readonly decision?: string
  readonly rule?: string
  readonly who: string
  readonly reason?: string
  /** A word of a small closed set: why something was not done. */
  readonly skip_reason?: string
  readonly alert_uids?: readonly string[]
  readonly incident_uid?: string
  readonly until_ms?: number
  readonly step?: number
  /** Scope and Region of the IP set. */
  readonly place?: string
  readonly ip_set?: string
  /** From the record's arrival to WAF's acknowledgement; of what a person asked for, from his asking. */
  readonly latency_ms?: number
  /** By which road a person said it. */
  readonly source?: string
  readonly dry_run: boolean
}

/** `about`: what makes the event this one and no other; the same words always give the same uid. */
export function auditRecord(
  about: readonly (string | number)[],
  fields: Omit<AuditRecord, 'metadata' | 'class_uid' | 'class_name'>,
): AuditRecord {
  return {
    class_uid: 7001,
    class_name: 'Remediation Activity',
    metadata: {
      uid: stableId(fields.what, ...about),
      version: '1.8.0',
      product: { name: 'Haetae', vendor_name: 'Haetae' },
    },
    ...fields,
  }
}
