import { type AuditRecord, auditRecord } from '../../platform/response/audit.ts'
import type { Decision } from '../../platform/response/decision.ts'
import type { KeyApi } from './iam.ts'

/** Long-lived keys of IAM users; ASIA… are temporary and end by themselves. */
const KEY_ID = /^AKIA[A-Z0-9]{12,60}$/
/**
 * Older than this when it was asked for, and so not what is going on; far longer than for addresses, as GuardDuty tells late. How long
 * a request then waits for IAM does not matter, up to the same.
 */
const EVIDENCE_AGE_MS_MAX = 24 * 3_600_000

export interface KeyTerms {
  /** Key ids and user names that are never touched. */
  readonly neverDisable: readonly string[]
  /** undefined: a dry run. */
  readonly api: KeyApi | undefined
}

/**
 * Disables the key of one request and says what came of it. Applied twice it changes nothing the second time, and its audit record
 * has the same uid. Rejects when it is not known whether it was carried out.
 */
export async function disableKey(
  { neverDisable, api }: KeyTerms,
  decision: Decision,
  nowMs: number,
): Promise<AuditRecord> {
  const { value: keyId } = decision.target
  const say = (what: 'key_disabled' | 'key_refused' | 'key_failed', skip: string | undefined): AuditRecord =>
    auditRecord([decision.uid], {
      time: nowMs,
      what,
      target: keyId,
      decision: decision.uid,
      ...(decision.rule === undefined ? {} : { rule: decision.rule }),
      who: decision.who,
      reason: decision.reason,
      ...(skip === undefined ? {} : { skip_reason: skip }),
      ...(decision.alertUids.length > 0 ? { alert_uids: decision.alertUids } : {}),
      ...(decision.incidentUid === undefined ? {} : { incident_uid: decision.incidentUid }),
      ...(what === 'key_disabled' ? { latency_ms: Math.max(0, nowMs - (decision.receivedMs ?? decision.time)) } : {}),
      dry_run: api === undefined,
    })
  if (decision.target.type !== 'access_key' || !KEY_ID.test(keyId)) return say('key_refused', 'bad_target')
  if (decision.replayed) return say('key_refused', 'replayed')
  if (decision.sample && api) return say('key_refused', 'sample')
  if (isOld(decision, nowMs)) return say('key_refused', 'old_evidence')
  if (neverDisable.includes(keyId) || (decision.user !== undefined && neverDisable.includes(decision.user))) {
    return say('key_refused', 'never_disable')
  }
  if (!api) return say('key_disabled', undefined)
  // What the evidence says may be wrong; IAM knows.
  const user = await api.ownerOf(keyId)
  if (user === undefined) return say('key_failed', 'no_such_key')
  if (neverDisable.includes(user)) return say('key_refused', 'never_disable')
  return (await api.disable(keyId, user)) ? say('key_disabled', undefined) : say('key_failed', 'no_such_key')
}

/** Somebody may have enabled the key again since. What a person asks for is news whatever it is about. */
function isOld({ source, time, evidenceTimeMs = time }: Decision, nowMs: number): boolean {
  if (source !== 'detection') return nowMs - time > EVIDENCE_AGE_MS_MAX
  return time - evidenceTimeMs > EVIDENCE_AGE_MS_MAX || nowMs - time > EVIDENCE_AGE_MS_MAX
}
