import { type Incident, isUnseen } from '../../platform/incident.ts'
import { stableId } from '../../platform/stable-id.ts'
import type { AlertFacts } from './alert.ts'
import { applyAudit, releaseOf } from './apply-audit.ts'
import type { AuditFacts } from './audit.ts'
import { type Blocked, type BlockedChange, BlockedTargets, targetKey } from './blocked.ts'
import { addAlert, type Case, close, merge, note, openCase, reopened } from './fold.ts'

export interface Grouping {
  /** An incident without an alert for this long is closed. */
  readonly keepAliveMs: number
  /** An incident that lasts longer is closed, and goes on in a successor. */
  readonly durationMsMax: number
  /** A critical one stays open until somebody says a word about it, but no longer than this after it became quiet. */
  readonly unseenMsMax: number
  /** So many actors with an open incident of one class are a campaign. */
  readonly campaignActors: number
  /**
   * Open at once; past it every alert that would open one more goes to the one incident `*`. Those that are quiet and only wait for
   * somebody do not count; of them there are as many again, and the oldest are closed.
   */
  readonly openMax: number
  /** Closed ones stay on the topic for this long, and so many of them. */
  readonly closedKeepMs: number
  readonly closedMax: number
}

/** What the outside must be told: in this order, each as a whole. A tombstone where `record` is undefined. */
export interface Change {
  readonly uid: string
  readonly record: Incident | undefined
}

/** What is known from before. */
export interface Known {
  readonly incidents: Iterable<Incident>
  readonly blocked: Iterable<Blocked>
  /** The newest number given to an incident. */
  readonly number: number
}

const EVERYTHING = '*'
/** Where an address was last counted; for holds that name no incident. */
const PLACES_MAX = 20_000
/** By how much one alert makes an incident larger at most; the sketch once is as much. */
const ALERT_BYTES_MAX = 2_048
const BLOCKED_BYTES_MAX = 512

/**
 * Groups alerts: each is counted in exactly one incident. One actor is one incident, whatever he does; once several actors do
 * the same, a campaign opens, takes in their incidents as they are, and counts what follows of that class.
 * Time is handed in; nothing here waits or writes.
 */
export class IncidentBook {
  readonly #grouping: Grouping
  /** Open ones by key: `address:203.0.113.7`, `class:T1110`, `*`. */
  readonly #open = new Map<string, Case>()
  readonly #byUid = new Map<string, Case>()
  /** Open actor incidents that have alerts of a class. */
  readonly #ofClass = new Map<string, Set<Case>>()
  /** The last incident of a key, for its successor's link. Bounded as closed ones are. */
  readonly #predecessor = new Map<string, string>()
  /** Closed ones still on the topic, oldest first: holds end and people speak up after an attack is over. */
  readonly #closed = new Map<string, Case>()
  readonly #places = new Map<string, string>()
  readonly #blocked: BlockedTargets
  /** Open, quiet, and waiting for somebody. */
  readonly #waiting = new Set<Case>()
  readonly #changed = new Set<Case>()
  #changedBytes = 0
  readonly #gone: string[] = []
  #number: number

  constructor(grouping: Grouping, { incidents, blocked, number }: Known) {
    this.#grouping = grouping
    this.#number = number
    this.#blocked = new BlockedTargets(blocked)
    const sorted = [...incidents].sort((a, b) => (a.closed_time ?? 0) - (b.closed_time ?? 0) || a.number - b.number)
    for (const record of sorted) {
      this.#number = Math.max(this.#number, record.number)
      if (record.state !== 'closed') continue
      const one = reopened(record)
      this.#remember(one)
      // What holds them ends after the attack.
      if (record.merged_into === undefined) this.#settleAll(one)
    }
    for (const record of sorted) if (record.state === 'open') this.#adopt(reopened(record))
  }

  get openCount(): number {
    return this.#open.size
  }

  /** The newest number given out. */
  get number(): number {
    return this.#number
  }

  alert(alert: AlertFacts, nowMs: number): void {
    const one = this.#placeOf(alert, nowMs)
    addAlert(one, alert, nowMs)
    this.#waiting.delete(one)
    this.#change(one)
    this.#goOnIn(alert.actor.value, one)
    if (alert.address !== undefined && alert.address !== alert.actor.value) this.#goOnIn(alert.address, one)
    if (one.record.kind !== 'actor' || !one.record.classes.includes(alert.class)) return
    const same = this.#ofClass.get(alert.class) ?? new Set()
    this.#ofClass.set(alert.class, same.add(one))
    if (same.size >= this.#grouping.campaignActors) this.#openCampaign(alert, same, nowMs)
  }

  /** False when it is about no incident that is known. */
  audit(fact: AuditFacts, nowMs: number): boolean {
    const { what, target, hold } = fact
    if (what === 'waf_failed') return this.#notWritten(fact, nowMs)
    const isFirstWrite = hold !== undefined && !this.#blocked.isWritten(hold)
    if (what === 'waf_written' && !isFirstWrite) return false
    const place = target === undefined ? undefined : this.#places.get(targetKey(target))
    const uid = (hold === undefined ? undefined : this.#blocked.incidentOf(hold)) ?? fact.incidentUid ?? place
    const one = uid === undefined ? undefined : this.#named(uid)
    if (!one || (what === 'waf_removed' && !releaseOf(one.record, target))) return false
    this.#blocked.apply(fact, one.record.uid)
    applyAudit(one.record, fact)
    // Someone's word keeps no incident open: only alerts do.
    one.record.time = nowMs
    this.#change(one)
    return true
  }

  /** Closes what was quiet for too long and seen, and forgets what has been closed for long enough. */
  pass(nowMs: number): void {
    const { keepAliveMs, unseenMsMax, openMax, closedKeepMs, closedMax } = this.#grouping
    for (const one of this.#open.values()) {
      const quietMs = nowMs - one.record.updated_time - keepAliveMs
      if (quietMs <= 0) continue
      if (!isUnseen(one.record) || quietMs > unseenMsMax) this.#close(one, nowMs)
      else if (!this.#waiting.has(one)) this.#wait(one, nowMs)
    }
    const tooMany = this.#waiting.size - openMax
    if (tooMany > 0) for (const one of oldest(this.#waiting).slice(0, tooMany)) this.#close(one, nowMs)
    for (const [uid, { record }] of this.#closed) {
      if (this.#closed.size <= closedMax && nowMs - (record.closed_time ?? 0) <= closedKeepMs) break
      this.#closed.delete(uid)
      this.#blocked.forget(uid)
      this.#gone.push(uid)
    }
  }

  /** What changed since the last call, those that count others in first. Versions are given here. */
  take(): Change[] {
    const cases = [...this.#changed].sort((a, b) => order(a.record) - order(b.record))
    this.#changed.clear()
    this.#changedBytes = 0
    const changes = cases.map(({ record, distinct }): Change => {
      record.version++
      this.#count(record)
      if (distinct) record.address_sketch = distinct.toString()
      return { uid: record.uid, record: structuredClone(record) }
    })
    return [...changes, ...this.#gone.splice(0).map(uid => ({ uid, record: undefined }))]
  }

  /** What is remembered of blocked addresses and changed since the last call; after `take`. */
  takeBlocked(): BlockedChange[] {
    return this.#blocked.take()
  }

  get isChanged(): boolean {
    return this.#changed.size + this.#gone.length > 0
  }

  /** No less than what `take` would give takes as JSON. */
  get changedBytes(): number {
    return this.#changedBytes + this.#blocked.changedCount * BLOCKED_BYTES_MAX
  }

  /** Addresses that were blocked stay counted when what remembers them had to go. */
  #count({ uid, holds }: Incident): void {
    const { active, waiting, total, until, targets } = this.#blocked.counts(uid)
    holds.active = active
    holds.total = Math.max(holds.total, total)
    delete holds.waiting
    delete holds.until
    delete holds.targets
    if (targets.length > 0) holds.targets = [...targets]
    if (waiting > 0) holds.waiting = waiting
    if (until !== undefined) holds.until = until
  }

  /** The IP sets cannot be written: told in every open incident that has a block which is not there yet. */
  #notWritten({ timeMs: time, reason }: AuditFacts, nowMs: number): boolean {
    let isTold = false
    for (const one of this.#open.values()) {
      if (this.#blocked.counts(one.record.uid).waiting === 0) continue
      note(one.record, { time, what: 'waf_failed', ...(reason === undefined ? {} : { detail: reason }) })
      one.record.time = nowMs
      this.#change(one)
      isTold = true
    }
    return isTold
  }

  #wait(one: Case, nowMs: number): void {
    this.#waiting.add(one)
    if (one.record.quiet_time !== undefined) return
    one.record.quiet_time = nowMs
    one.record.time = nowMs
    note(one.record, { time: nowMs, what: 'quiet' })
    this.#change(one)
  }

  #change(one: Case): void {
    if (this.#changed.has(one)) this.#changedBytes += ALERT_BYTES_MAX
    else this.#changedBytes += Buffer.byteLength(JSON.stringify(one.record)) + ALERT_BYTES_MAX
    this.#changed.add(one)
  }

  /** The incident itself, or the campaign that took it in. */
  #named(uid: string): Case | undefined {
    const one = this.#byUid.get(uid) ?? this.#closed.get(uid)
    const into = one?.record.merged_into
    return into === undefined ? one : (this.#byUid.get(into) ?? this.#closed.get(into))
  }

  #placeOf(alert: AlertFacts, nowMs: number): Case {
    const actor = `${alert.actor.type}:${alert.actor.value}`
    const running = this.#running(`class:${alert.class}`, alert, nowMs) ?? this.#running(actor, alert, nowMs)
    if (running) return running
    if (this.#open.size - this.#waiting.size >= this.#grouping.openMax) {
      return this.#running(EVERYTHING, alert, nowMs) ?? this.#openOne('campaign', EVERYTHING, alert, nowMs)
    }
    return this.#openOne('actor', actor, alert, nowMs)
  }

  /** The open incident of this key, unless this very alert shows that it is over. */
  #running(key: string, alert: AlertFacts, nowMs: number): Case | undefined {
    const one = this.#open.get(key)
    if (!one) return undefined
    const { keepAliveMs, durationMsMax } = this.#grouping
    const { last_seen_time, first_seen_time, updated_time } = one.record
    const quiet = alert.timeMs - last_seen_time > keepAliveMs || nowMs - updated_time > keepAliveMs
    if (isUnseen(one.record)) return one
    if (!quiet && alert.timeMs - first_seen_time <= durationMsMax) return one
    this.#close(one, nowMs)
    return undefined
  }

  #openOne(kind: Incident['kind'], key: string, alert: AlertFacts, nowMs: number): Case {
    const uid = stableId(key, alert.uid)
    this.#number++
    const successorOf = this.#predecessor.get(key)
    const one = openCase({ uid, number: this.#number, kind, key, alert, nowMs, successorOf })
    const snoozed = this.#closed.get(successorOf ?? '')?.record.snoozed
    if (snoozed && snoozed.until > nowMs) one.record.snoozed = { ...snoozed }
    this.#adopt(one)
    this.#change(one)
    return one
  }

  #openCampaign(alert: AlertFacts, actors: ReadonlySet<Case>, nowMs: number): void {
    const campaign = this.#openOne('campaign', `class:${alert.class}`, alert, nowMs)
    for (const one of actors) {
      merge(campaign, one, nowMs)
      this.#blocked.merge(one.record.uid, campaign.record.uid)
      this.#change(one)
      this.#forgetOpen(one)
      for (const address of one.record.addresses) this.#settleIn(address, campaign)
    }
    this.#ofClass.delete(alert.class)
  }

  #close(one: Case, nowMs: number): void {
    close(one, nowMs, 'closed')
    this.#change(one)
    this.#forgetOpen(one)
  }

  #adopt(one: Case): void {
    const { record } = one
    this.#open.set(record.key, one)
    this.#byUid.set(record.uid, one)
    if (record.quiet_time !== undefined) this.#waiting.add(one)
    if (record.kind === 'actor') {
      for (const each of record.classes) this.#ofClass.set(each, (this.#ofClass.get(each) ?? new Set()).add(one))
    }
    this.#settleAll(one)
  }

  #forgetOpen(one: Case): void {
    const { record } = one
    this.#open.delete(record.key)
    this.#waiting.delete(one)
    this.#byUid.delete(record.uid)
    for (const each of record.classes) {
      const same = this.#ofClass.get(each)
      same?.delete(one)
      if (same?.size === 0) this.#ofClass.delete(each)
    }
    this.#remember(one)
  }

  #remember(one: Case): void {
    const { uid, key, merged_into } = one.record
    this.#closed.set(uid, one)
    if (merged_into !== undefined) return
    this.#predecessor.delete(key)
    this.#predecessor.set(key, uid)
    if (this.#predecessor.size > this.#grouping.closedMax) this.#predecessor.delete(first(this.#predecessor))
  }

  /** The address was seen again: what keeps it out since an incident that is over is told in this one. */
  #goOnIn(address: string, one: Case): void {
    this.#settleIn(address, one)
    this.#blocked.follow(address, one.record.uid, uid => {
      const over = this.#closed.get(uid)
      if (over) this.#change(over)
      return over !== undefined
    })
  }

  #settleAll(one: Case): void {
    const { addresses, actor } = one.record
    for (const address of addresses) this.#settleIn(address, one)
    if (actor && !addresses.includes(actor.value)) this.#settleIn(actor.value, one)
  }

  #settleIn(address: string, { record }: Case): void {
    const key = targetKey(address)
    this.#places.delete(key)
    this.#places.set(key, record.uid)
    if (this.#places.size > PLACES_MAX) this.#places.delete(first(this.#places))
  }
}

/** Campaigns before the incidents they took in: whoever reads half of it counts nothing twice. */
function order(record: Incident): number {
  return record.merged_into === undefined ? 0 : 1
}

/** By the time since when they are quiet. */
function oldest(cases: ReadonlySet<Case>): Case[] {
  return [...cases].sort(({ record: a }, { record: b }) => a.updated_time - b.updated_time || a.number - b.number)
}

function first(map: ReadonlyMap<string, unknown>): string {
  for (const key of map.keys()) return key
  return ''
}
