import { type AuditRecord, auditRecord } from '../../platform/response/audit.ts'
import type { Decision } from '../../platform/response/decision.ts'
import type { Hold, HoldChange } from '../../platform/response/hold.ts'
import type { Allow, BudgetState, Entry } from './state.ts'

/** The audit record of one change of a hold: the same again whenever it is made from the stored hold. */
export function auditOfChange(hold: Hold, change: HoldChange): AuditRecord {
  const { what, time, seq, who, reason, decision, place, ipSet, untilMs, askedMs } = change
  const sinceMs = what === 'waf_written' ? (hold.receivedMs ?? hold.createdMs) : askedMs
  return auditRecord([hold.uid, seq], {
    time,
    what,
    target: hold.target.value,
    hold: hold.uid,
    decision: decision ?? hold.uid,
    ...present({ rule: hold.rule }),
    who,
    ...present({ reason }),
    ...(hold.alertUids.length > 0 ? { alert_uids: hold.alertUids } : {}),
    ...present({ incident_uid: hold.incidentUid, until_ms: untilMs }),
    step: hold.step,
    ...present({ place, ip_set: ipSet, latency_ms: sinceMs === undefined ? undefined : Math.max(0, time - sinceMs) }),
    dry_run: hold.dryRun,
  })
}

/** Why a request was not carried out. */
export function auditOfRefusal(
  decision: Decision,
  { reason, detail }: { readonly reason: string; readonly detail: string },
  nowMs: number,
  dryRun: boolean,
): AuditRecord {
  return auditRecord([decision.uid], {
    time: nowMs,
    what: 'hold_refused',
    target: decision.target.value,
    decision: decision.uid,
    ...present({ rule: decision.rule }),
    who: decision.who,
    reason: detail,
    skip_reason: reason,
    ...(decision.alertUids.length > 0 ? { alert_uids: decision.alertUids } : {}),
    ...present({ incident_uid: decision.incidentUid }),
    dry_run: dryRun,
  })
}

/** The network is not in the IP set any more. */
export function auditOfRemoval(entry: Entry, nowMs: number, dryRun: boolean): AuditRecord {
  return auditOfEntry('waf_removed', entry, nowMs, dryRun)
}

/** The network is in the IP set, found there later than it was put. */
export function auditOfPlacing(entry: Entry, nowMs: number, dryRun: boolean): AuditRecord {
  return auditOfEntry('waf_written', entry, nowMs, dryRun)
}

function auditOfEntry(what: 'waf_written' | 'waf_removed', entry: Entry, nowMs: number, dryRun: boolean): AuditRecord {
  return auditRecord([entry.place, entry.set, entry.cidr, entry.sinceMs], {
    time: nowMs,
    what,
    target: targetOf(entry.cidr),
    who: 'haetae',
    place: entry.place,
    ip_set: entry.ipSet,
    dry_run: dryRun,
  })
}

export function auditOfAllow({ cidr, untilMs, who, reason, time, decision }: Allow): AuditRecord {
  const fields = {
    time,
    what: 'allowed',
    target: targetOf(cidr),
    decision,
    who,
    reason,
    until_ms: untilMs,
    dry_run: false,
  } as const
  return auditRecord([decision], fields)
}

export function auditOfBudget({ tripped, resumed, seq }: BudgetState, dryRun: boolean): AuditRecord {
  if (tripped) {
    return auditRecord([seq, tripped.time], {
      time: tripped.time,
      what: 'budget_tripped',
      who: 'haetae',
      reason: `the limit "${tripped.limit}" of ${tripped.max} is reached: detections block nothing more until a person says so`,
      skip_reason: tripped.limit,
      dry_run: dryRun,
    })
  }
  const { who = 'haetae', reason = '', time = 0 } = resumed ?? {}
  return auditRecord([seq, time], { time, what: 'budget_resumed', who, reason, dry_run: dryRun })
}

/** As people write it: a single address without its length. */
export function targetOf(cidr: string): string {
  return cidr.replace(cidr.includes(':') ? /\/128$/ : /\/32$/, '')
}

function present<T extends Readonly<Record<string, unknown>>>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>
  }
}
