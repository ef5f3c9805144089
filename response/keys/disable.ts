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
  const say = (what: KeyEvent, skip: string | undefined): AuditRecord =>
    auditOfKey(decision, nowMs, {
      what,
      ...(skip === undefined ? {} : { skip_reason: skip }),
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

/** That it cannot be disabled yet: told once for each request, and its key is tried again. */
export function auditOfWaiting(decision: Decision, nowMs: number, why: string): AuditRecord {
  const fields = { what: 'key_failed', skip_reason: 'waiting', dry_run: false } as const
  return auditOfKey({ ...decision, reason: why }, nowMs, fields)
}

type KeyEvent = 'key_disabled' | 'key_refused' | 'key_failed'

function auditOfKey(
  { uid, target, rule, who, reason, alertUids, incidentUid, receivedMs, time }: Decision,
  nowMs: number,
  said: { readonly what: KeyEvent; readonly skip_reason?: string; readonly dry_run: boolean },
): AuditRecord {
  // What waits may be refused for good later: that is another event.
  return auditRecord(said.skip_reason === 'waiting' ? [uid, 'waiting'] : [uid], {
    time: nowMs,
    target: target.value,
    decision: uid,
    ...(rule === undefined ? {} : { rule }),
    who,
    reason,
    ...(alertUids.length > 0 ? { alert_uids: alertUids } : {}),
    ...(incidentUid === undefined ? {} : { incident_uid: incidentUid }),
    ...(said.what === 'key_disabled' ? { latency_ms: Math.max(0, nowMs - (receivedMs ?? time)) } : {}),
    ...said,
  })
}

/** Somebody may have enabled the key again since. What a person asks for is news whatever it is about. */
function isOld({ source, time, evidenceTimeMs = time }: Decision, nowMs: number): boolean {
  if (source !== 'detection') return nowMs - time > EVIDENCE_AGE_MS_MAX
  return time - evidenceTimeMs > EVIDENCE_AGE_MS_MAX || nowMs - time > EVIDENCE_AGE_MS_MAX
}
