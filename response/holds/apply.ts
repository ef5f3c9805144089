import { type Cidr, cidrsOverlap, clientPrefix, formatCidr, parseCidr } from '../../platform/address.ts'
import { DECISION_KEYS_MAX, type Decision } from '../../platform/response/decision.ts'
import type { Hold } from '../../platform/response/hold.ts'
import { auditOfAllow, auditOfBudget, auditOfChange, auditOfRefusal, targetOf } from './audits.ts'
import type { Budget } from './budget.ts'
import type { Guard } from './guard.ts'
import type { Ledger } from './ledger.ts'

export interface Terms {
  /** How long a first block lasts when its rule does not say. */
  readonly ttlMs: number
  /** Each further offence lasts this many times longer … */
  readonly stepFactor: number
  /** … up to here, … */
  readonly ttlMsMax: number
  /** … and is forgotten after this long without one. */
  readonly memoryMs: number
  readonly evidenceAgeMsMax: number
  readonly holdsMax: number
  /** Longest that a person can ask for. */
  readonly personTtlMsMax: number
}

export interface Judge {
  readonly ledger: Ledger
  readonly guard: Guard
  readonly budget: Budget
  readonly terms: Terms
  /** Nothing is really written: sample data may be blocked, too. */
  readonly dryRun: boolean
  readonly nowMs: number
  /** Whether a refusal is worth a record: the same one again and again is not. */
  readonly isNews: (decision: Decision, reason: string) => boolean
}

export type Outcome = 'created' | 'joined' | 'known' | 'released' | 'extended' | 'allowed' | 'resumed' | RefusalReason
type RefusalReason =
  | 'bad_target'
  | 'too_wide'
  | 'reserved'
  | 'never_block'
  | 'allowed_by_person'
  | 'old_evidence'
  | 'replayed'
  | 'sample'
  | 'own_block'
  | 'suspended'
  | 'budget'
  | 'ledger_full'
  | 'over'
  | 'nothing_held'
  | 'lasts_longer'

interface Refusal {
  readonly reason: RefusalReason
  readonly detail: string
}

const STEPS_MAX = 32
const ALLOW_TTL_MS = 24 * 3_600_000

/** Applies one request to the ledger and says what came of it. Every request applied twice changes nothing the second time. */
export function applyDecision(judge: Judge, decision: Decision): Outcome {
  switch (decision.type) {
    case 'block':
      return block(judge, decision)
    case 'release':
      return onHolds(judge, decision, hold => release(judge, hold, decision), 'released')
    case 'extend':
      return onHolds(judge, decision, hold => extend(judge, hold, decision), 'extended')
    case 'allow':
      return allow(judge, decision)
    case 'resume':
      return resume(judge, decision)
    case 'disable_key':
      return refuse(judge, decision, { reason: 'bad_target', detail: 'the ledger holds addresses, not access keys' })
  }
}

function block(judge: Judge, decision: Decision): Outcome {
  const { ledger, terms, nowMs, dryRun } = judge
  const known = ledger.holds.get(decision.uid)
  if (known) return again(judge, decision, [known])
  const cidr = networkOf(decision)
  if (!cidr) return refuse(judge, decision, { reason: 'bad_target', detail: 'neither an address nor a network' })
  const text = formatCidr(cidr)
  const refusal = objectionOf(judge, decision, cidr, text)
  if (refusal) return refuse(judge, decision, refusal)
  // Holds of a dry run and real ones know nothing of each other.
  const there = ledger.holdsOn(text).filter(hold => hold.dryRun === dryRun)
  const joined = there.find(hold => isLive(hold) && hold.rule === decision.rule && hold.source === decision.source)
  if (decision.source === 'detection' && joined) return join(judge, joined, decision)
  const startMs = decision.source === 'detection' ? nowMs : Math.min(nowMs, decision.time)
  const step = decision.source === 'detection' ? stepOf(there, nowMs - terms.memoryMs) : 1
  const untilMs = startMs + ttlOf(decision, terms, step)
  if (untilMs <= nowMs)
    return refuse(judge, decision, { reason: 'over', detail: 'asked for so long ago that it is over' })
  if (decision.source === 'detection' && !there.some(isLive)) {
    const trip = overBudget(judge, decision)
    if (trip) return refuse(judge, decision, trip)
  }
  const { uid, rule, reason, alertUids, incidentUid, asn, who, source, receivedMs } = decision
  const hold: Hold = {
    uid,
    target: {
      type: cidr.prefixLength === (cidr.address.family === 4 ? 32 : 128) ? 'address' : 'network',
      value: targetOf(text),
    },
    cidr: text,
    ...(rule === undefined ? {} : { rule }),
    reason,
    alertUids,
    ...(incidentUid === undefined ? {} : { incidentUid }),
    ...(asn === undefined ? {} : { asn }),
    who,
    source,
    createdMs: nowMs,
    untilMs,
    ...(receivedMs === undefined ? {} : { receivedMs }),
    state: 'active',
    step,
    dryRun,
    applied: [],
    seq: 0,
    history: [],
  }
  ledger.put(hold, { what: 'hold_created', time: nowMs, who, reason, untilMs })
  return 'created'
}

/** Told once more: who applied it first may have died, or lost the ledger, before it was told. A repeat has the same uid. */
function again({ ledger }: Judge, { uid }: Decision, holds: readonly Hold[]): Outcome {
  for (const hold of holds) {
    for (const change of hold.history) {
      const isCreation = change.what === 'hold_created' && hold.uid === uid
      if (isCreation || change.decision === uid) ledger.tell(auditOfChange(hold, change))
    }
  }
  return 'known'
}

/** One more alert of a rule that holds already. The hold lasts no longer for it: whoever comes back after it ended does. */
function join({ ledger }: Judge, hold: Hold, { alertUids }: Decision): Outcome {
  const more = alertUids.filter(uid => !hold.alertUids.includes(uid))
  if (more.length > 0 && hold.alertUids.length < DECISION_KEYS_MAX) {
    ledger.put({ ...hold, alertUids: [...hold.alertUids, ...more].slice(0, DECISION_KEYS_MAX) })
  }
  return 'joined'
}

function networkOf({ target }: Decision): Cidr | undefined {
  const cidr = parseCidr(target.value)
  if (!cidr || (target.type !== 'address' && target.type !== 'network')) return undefined
  // One IPv6 subscriber has a whole /64 and would come back from the next address of it.
  const single = target.type === 'address' && cidr.address.family === 6 && cidr.prefixLength === 128
  return single ? parseCidr(clientPrefix(cidr.address)) : cidr
}

function objectionOf(judge: Judge, decision: Decision, cidr: Cidr, text: string): Refusal | undefined {
  const { ledger, guard, terms, nowMs, dryRun } = judge
  const objection = guard.objection(cidr)
  if (objection) return objection
  if (ledger.holds.size >= terms.holdsMax) return { reason: 'ledger_full', detail: `${terms.holdsMax} holds` }
  if (decision.source !== 'detection') return undefined
  const allowing = [...ledger.allows.values()].find(
    each => each.untilMs > nowMs && cidrsOverlap(parseCidr(each.cidr)!, cidr),
  )
  if (allowing) return { reason: 'allowed_by_person', detail: `allowed by ${allowing.who}: ${allowing.reason}` }
  if (decision.replayed) return { reason: 'replayed', detail: 'sent again from the dead letter' }
  if (decision.sample && !dryRun) return { reason: 'sample', detail: 'sample data' }
  if (decision.ownBlock) return { reason: 'own_block', detail: 'our own block stopped it already' }
  // A clock that is ahead, or an event that says so, makes no evidence newer than its record.
  const ageMs = nowMs - Math.min(decision.evidenceTimeMs ?? decision.time, decision.time)
  if (!decision.sample && ageMs > terms.evidenceAgeMsMax) {
    return { reason: 'old_evidence', detail: `${Math.round(ageMs / 60_000)} minutes old` }
  }
  const suspended = ledger.holdsOn(text).find(({ state, untilMs }) => state === 'suspended' && untilMs > nowMs)
  return suspended && { reason: 'suspended', detail: 'an operator removed it from the IP set' }
}

/** Trips the budget when this block would pass a limit, and keeps it tripped until a person resumes. */
function overBudget({ ledger, budget, nowMs, dryRun }: Judge, { asn }: Decision): Refusal | undefined {
  const spent = { timeMs: nowMs, asn }
  if (!ledger.budget?.tripped) {
    const exceeded = budget.exceeded(spent)
    if (!exceeded) {
      budget.spend(spent)
      return undefined
    }
    const record = { type: 'budget', tripped: { ...exceeded, time: nowMs }, seq: ledger.nextSeq() } as const
    ledger.putState(record)
    ledger.tell(auditOfBudget(record, dryRun))
  }
  const { limit, max } = ledger.budget!.tripped!
  return { reason: 'budget', detail: `the limit "${limit}" of ${max} was reached: haetae decisions resume` }
}

/** Holds that go on at the same time are one offence. What a person released was none. */
function stepOf(there: readonly Hold[], sinceMs: number): number {
  const live = there.filter(hold => isLive(hold) && hold.source === 'detection')
  if (live.length > 0) return Math.max(...live.map(({ step }) => step))
  const ended = there.filter(
    ({ state, source, endedMs = 0 }) => state === 'expired' && source === 'detection' && endedMs > sinceMs,
  )
  return Math.min(STEPS_MAX, Math.max(0, ...ended.map(({ step }) => step)) + 1)
}

function ttlOf({ ttlMs, source }: Decision, terms: Terms, step: number): number {
  if (source !== 'detection') return Math.min(ttlMs ?? terms.ttlMs, terms.personTtlMsMax)
  return Math.min((ttlMs ?? terms.ttlMs) * terms.stepFactor ** (step - 1), terms.ttlMsMax)
}

function refuse({ ledger, nowMs, dryRun, isNews }: Judge, decision: Decision, refusal: Refusal): RefusalReason {
  if (isNews(decision, refusal.reason)) ledger.tell(auditOfRefusal(decision, refusal, nowMs, dryRun))
  return refusal.reason
}

function onHolds(judge: Judge, decision: Decision, act: (hold: Hold) => boolean, outcome: Outcome): Outcome {
  const { holdId, uid } = decision
  const cidr = networkOf(decision)
  const one = holdId === undefined ? undefined : judge.ledger.holds.get(holdId)
  const meant = holdId === undefined ? (cidr ? judge.ledger.holdsOn(formatCidr(cidr)) : []) : one ? [one] : []
  // Carried out already, by a process that died before it could say so.
  const done = meant.filter(({ history }) => history.some(change => change.decision === uid))
  if (done.length > 0) return again(judge, decision, done)
  // Sent again, it is about what was held when it was made.
  const holds = meant.filter(hold => isLive(hold) && (!decision.replayed || hold.createdMs <= decision.time))
  if (holds.length === 0) return refuse(judge, decision, { reason: 'nothing_held', detail: 'no live hold is meant' })
  const changed = holds.filter(act)
  if (changed.length > 0) return outcome
  return refuse(judge, decision, { reason: 'lasts_longer', detail: 'it lasts longer than that already' })
}

export function release(
  { ledger, nowMs }: Pick<Judge, 'ledger' | 'nowMs'>,
  hold: Hold,
  by: { readonly who: string; readonly reason: string; readonly uid?: string; readonly time?: number },
): true {
  const { who, reason, uid, time: askedMs } = by
  const change = {
    what: 'hold_released',
    time: nowMs,
    who,
    reason,
    ...(uid === undefined ? {} : { decision: uid }),
    ...(askedMs === undefined ? {} : { askedMs }),
  } as const
  ledger.put({ ...hold, state: 'released', endedMs: nowMs }, change)
  return true
}

/** From when it was asked for, so that a repeat says the same; a suspended hold goes on. */
function extend({ ledger, terms, nowMs }: Judge, hold: Hold, decision: Decision): boolean {
  const ttlMs = Math.min(decision.ttlMs ?? terms.ttlMs, terms.personTtlMsMax)
  const untilMs = Math.max(hold.untilMs, Math.min(nowMs, decision.time) + ttlMs)
  if (untilMs === hold.untilMs && hold.state === 'active') return false
  const { who, reason, uid, time: askedMs } = decision
  const change = { what: 'hold_extended', time: nowMs, who, reason, untilMs, decision: uid, askedMs } as const
  ledger.put({ ...hold, untilMs, state: 'active' }, change)
  return true
}

function allow(judge: Judge, decision: Decision): Outcome {
  const { ledger, nowMs, terms } = judge
  const cidr = networkOf(decision)
  if (!cidr) return refuse(judge, decision, { reason: 'bad_target', detail: 'neither an address nor a network' })
  const text = formatCidr(cidr)
  const { who, reason, uid } = decision
  const allowed = ledger.allows.get(text)
  if (allowed?.decision === uid) {
    ledger.tell(auditOfAllow(allowed))
    return 'known'
  }
  const untilMs = Math.min(nowMs, decision.time) + Math.min(decision.ttlMs ?? ALLOW_TTL_MS, terms.personTtlMsMax)
  if (untilMs <= nowMs)
    return refuse(judge, decision, { reason: 'over', detail: 'asked for so long ago that it is over' })
  const seq = ledger.nextSeq()
  const record = { type: 'allow', cidr: text, untilMs, who, reason, time: nowMs, decision: uid, seq } as const
  ledger.allow(record)
  for (const hold of ledger.holds.values()) {
    if (isLive(hold) && cidrsOverlap(parseCidr(hold.cidr)!, cidr)) release(judge, hold, decision)
  }
  return 'allowed'
}

function resume(judge: Judge, decision: Decision): Outcome {
  const { ledger, budget, nowMs, dryRun } = judge
  const { who, reason, uid } = decision
  if (ledger.budget?.resumed?.decision === uid) {
    ledger.tell(auditOfBudget(ledger.budget, dryRun))
    return 'known'
  }
  const { tripped } = ledger.budget ?? {}
  if (!tripped || (decision.replayed && tripped.time > decision.time))
    return refuse(judge, decision, { reason: 'nothing_held', detail: 'the budget is not tripped, or was not then' })
  const record = {
    type: 'budget',
    resumed: { who, reason, time: nowMs, decision: uid },
    seq: ledger.nextSeq(),
  } as const
  ledger.putState(record)
  ledger.tell(auditOfBudget(record, dryRun))
  budget.reset()
  return 'resumed'
}

export function isLive({ state }: Hold): boolean {
  return state === 'active' || state === 'suspended'
}
