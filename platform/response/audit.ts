import { stableId } from './decision.ts'

/** What can be said in an audit record. `hold_…`: the ledger; `waf_…`: the IP sets; `key_…`: access keys. */
type AuditEvent =
  | 'hold_created'
  | 'hold_refused'
  | 'hold_extended'
  | 'hold_released'
  | 'hold_expired'
  | 'hold_suspended'
  | 'waf_written'
  | 'waf_removed'
  | 'waf_failed'
  | 'budget_tripped'
  | 'budget_resumed'
  | 'allowed'
  | 'key_disabled'
  | 'key_refused'
  | 'key_failed'

/** One JSON object of the topic `audit`. Written at least once; a repeat has the same uid. */
export interface AuditRecord {
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
  readonly alertUids?: readonly string[]
  readonly incidentUid?: string
  readonly untilMs?: number
  readonly step?: number
  /** Scope and Region of the IP set. */
  readonly place?: string
  readonly ip_set?: string
  /** From the record's arrival to WAF's acknowledgement. */
  readonly latency_ms?: number
  readonly dry_run: boolean
}

/** The fields of an audit record in their order with the type that an index or a table gives them. */
export const auditColumns = [
  { name: 'metadata.uid', type: 'keyword' },
  { name: 'time', type: 'date' },
  { name: 'what', type: 'keyword' },
  { name: 'target', type: 'keyword' },
  { name: 'hold', type: 'keyword' },
  { name: 'decision', type: 'keyword' },
  { name: 'rule', type: 'keyword' },
  { name: 'who', type: 'keyword' },
  { name: 'reason', type: 'text' },
  { name: 'skip_reason', type: 'keyword' },
  { name: 'alertUids', type: 'keyword' },
  { name: 'incidentUid', type: 'keyword' },
  { name: 'untilMs', type: 'date' },
  { name: 'step', type: 'integer' },
  { name: 'place', type: 'keyword' },
  { name: 'ip_set', type: 'keyword' },
  { name: 'latency_ms', type: 'long' },
  { name: 'dry_run', type: 'boolean' },
] as const

/** `about`: what makes the event this one and no other; the same words always give the same uid. */
export function auditRecord(about: readonly (string | number)[], fields: Omit<AuditRecord, 'metadata'>): AuditRecord {
  return {
    metadata: {
      uid: stableId(fields.what, ...about),
      version: '1.8.0',
      product: { name: 'Haetae', vendor_name: 'Haetae' },
    },
    ...fields,
  }
}
