import { hash } from 'node:crypto'
import { type Incident, isUnseen } from '../../platform/incident.ts'
import type { Bulletin, Notice, Round } from '../../platform/notify/notice.ts'
import { type AuditNews, endGathering, isCritical, type News, takeNews } from './bulletin.ts'
import { bulletinCard } from './bulletin-card.ts'
import { card, type Message, type Voice } from './card.ts'
import { editEveryMs, Pace } from './pace.ts'
import { isMeasured, type Reply, replyFor } from './replies.ts'
import { roundCard } from './round-card.ts'

const MINUTE_MS = 60_000
/** Medium ones wait so long, so that one message tells more. */
const GATHER_MS = 30_000
/** What last changed longer ago is not posted any more: a first start is no flood. */
const POST_AGE_MS = 60 * MINUTE_MS
const STORM_NEW = 20
const STORM_WINDOW_MS = 5 * MINUTE_MS
const STORM_WAIT_MS = MINUTE_MS
const STORM_QUIET_MS = 15 * MINUTE_MS
/** A message of unknown fate is not searched for before it can have arrived. */
const FIND_AFTER_MS = 10_000
const FORGET_MS = 24 * 60 * MINUTE_MS
const ROUNDS_MAX = 10
const SEVERITY_SINGLE = 3
const CRITICAL = 5
const WHISPERS_MAX = 20
const WHISPER_CHARS_MAX = 1_500

/** What is to be done next in a channel. */
export type Step =
  | { readonly what: 'post' | 'edit' | 'find' | 'find-reply' | 'forget'; readonly uid: string }
  | { readonly what: 'reply'; readonly uid: string; readonly reply: Reply }
  | { readonly what: 'post-round' | 'edit-round' | 'find-round'; readonly round: Gathered }
  | { readonly what: 'whisper'; readonly whisper: Whisper }

/** One message for much: many incidents, or news of one kind. */
export type Gathered = Round | Bulletin

/** Said to one person alone, once, and forgotten if it cannot be said. */
interface Whisper {
  readonly user: string
  readonly text: string
}

/** One channel: what should be said there, what is said, and what comes next. Decides; does not call, wait or write. */
export class Lane {
  readonly channel: string
  readonly incidents = new Map<string, Incident>()
  readonly notices = new Map<string, Notice>()
  readonly rounds: Round[] = []
  readonly bulletins: Bulletin[] = []
  readonly #whispers: Whisper[] = []
  readonly #voice: Voice
  readonly #onCall: readonly string[]
  readonly #pace = new Pace()
  /** What messages would say, by the incident as it was when that was worked out. */
  readonly #hashes = new WeakMap<Incident, string>()
  /** Incidents whose changes are all told; only the clock can bring news of them. */
  readonly #told = new WeakMap<Incident, Notice>()

  constructor(channel: string, voice: Voice, onCall: readonly string[]) {
    this.channel = channel
    this.#voice = voice
    this.#onCall = onCall
  }

  /** The state of an incident; an older one than is known is ignored. */
  put(incident: Incident, nowMs: number): void {
    const known = this.incidents.get(incident.uid)
    if (known && known.version > incident.version) return
    if (!this.notices.has(incident.uid) && isStale(incident, nowMs)) return
    this.incidents.set(incident.uid, incident)
  }

  messageOf(incident: Incident, nowMs: number): Message {
    return card(incident, this.#voice, nowMs)
  }

  /** True when there is something new to be kept and said. */
  hear(news: News, audit: AuditNews, nowMs: number): boolean {
    // An end is told however late it is heard: what it ends would stay open for ever.
    const isFresh = news.does === 'end' || nowMs - audit.time <= POST_AGE_MS
    return isFresh && takeNews(this.bulletins, news, audit)
  }

  /** Several for one person are one. */
  whisper(user: string, text: string): void {
    const waiting = this.#whispers.findIndex(each => each.user === user)
    const before = this.#whispers[waiting]
    if (before && before.text.length < WHISPER_CHARS_MAX)
      this.#whispers[waiting] = { user, text: `${before.text}\n${text}` }
    else if (!before) this.#whispers.push({ user, text })
    if (this.#whispers.length > WHISPERS_MAX) this.#whispers.shift()
  }

  roundMessage(round: Gathered, nowMs: number): Message {
    if ('subject' in round) return bulletinCard(round, isCritical(round.kind), this.#voice, nowMs)
    return roundCard(round, this.rowsOf(round), this.#voice, nowMs)
  }

  /** Incidents that this message speaks of. */
  rowsOf({ kind, fromMs, endMs = Number.POSITIVE_INFINITY }: Round): Incident[] {
    return [...this.incidents.values()].filter(each => {
      if (this.notices.has(each.uid) || each.merged_into !== undefined || each.severity_id < SEVERITY_SINGLE)
        return false
      if (!isOf(kind, each)) return false
      return each.opened_time >= fromMs && each.opened_time <= endMs
    })
  }

  /** The most urgent thing that may be done now; undefined when there is none. */
  next(nowMs: number): Step | undefined {
    return (
      this.#unknown(nowMs) ??
      this.#round(nowMs) ??
      this.#bulletin(nowMs) ??
      this.#parent(nowMs) ??
      this.#whispered() ??
      this.#change(nowMs) ??
      this.#forgotten(nowMs)
    )
  }

  /** A step was tried: it counts, whatever became of it. */
  spent(step: Step, nowMs: number): void {
    if (step.what === 'post-round' && 'subject' in step.round) this.#bucketOf(step.round).take(nowMs)
    else if (step.what === 'post') {
      const critical = this.incidents.get(step.uid)?.severity_id === CRITICAL
      this.#pace[critical ? 'criticals' : 'parents'].take(nowMs)
    } else if (step.what === 'edit' || step.what === 'reply' || step.what === 'edit-round')
      this.#pace.changes.take(nowMs)
  }

  #whispered(): Step | undefined {
    const whisper = this.#whispers.shift()
    return whisper && { what: 'whisper', whisper }
  }

  #bucketOf({ kind }: Bulletin): Pace['parents'] {
    return this.#pace[isCritical(kind) ? 'criticals' : 'parents']
  }

  #bulletin(nowMs: number): Step | undefined {
    endGathering(this.bulletins, this.#voice.words, nowMs)
    const round = this.bulletins.find(each => {
      // What was over before it could be said need not be said.
      const isPast = this.#voice.words.bulletins[each.kind].over !== undefined && each.endMs !== undefined
      return each.state === 'posting' && each.sinceMs === 0 && !isPast && this.#bucketOf(each).has(nowMs)
    })
    return round && { what: 'post-round', round }
  }

  #unknown(nowMs: number): Step | undefined {
    for (const [uid, { state, sinceMs, replying }] of this.notices) {
      if (state === 'posting' && nowMs - sinceMs >= FIND_AFTER_MS) return { what: 'find', uid }
      if (replying && nowMs - replying.sinceMs >= FIND_AFTER_MS) return { what: 'find-reply', uid }
    }
    const round = [...this.rounds, ...this.bulletins].find(
      ({ state, ts, sinceMs }) =>
        state === 'posting' && ts === undefined && sinceMs > 0 && nowMs - sinceMs >= FIND_AFTER_MS,
    )
    return round && { what: 'find-round', round }
  }

  #parent(nowMs: number): Step | undefined {
    const due = this.#waiting(nowMs).sort((a, b) => b.severity_id - a.severity_id || a.opened_time - b.opened_time)
    for (const { uid, severity_id } of due) {
      if (this.#pace[severity_id === CRITICAL ? 'criticals' : 'parents'].has(nowMs)) return { what: 'post', uid }
    }
    return undefined
  }

  /** Those that should have a message of their own by now. */
  #waiting(nowMs: number): Incident[] {
    return [...this.incidents.values()].filter(each => {
      const { uid, severity_id, opened_time, merged_into, state } = each
      if (this.notices.has(uid) || merged_into !== undefined || severity_id < SEVERITY_SINGLE) return false
      if (isSnoozed(each, nowMs)) return false
      if (isStale(each, nowMs) || this.rounds.some(round => this.#covers(round, each))) return false
      if (severity_id > SEVERITY_SINGLE) return true
      return !this.#voice.time.quiet(opened_time) && (nowMs - opened_time >= GATHER_MS || state === 'closed')
    })
  }

  #covers(round: Round, incident: Incident): boolean {
    if (!isOf(round.kind, incident)) return false
    return incident.opened_time >= round.fromMs && incident.opened_time <= (round.endMs ?? Number.POSITIVE_INFINITY)
  }

  /** Begins and ends storms and nights; afterwards what is to be said of them. */
  #round(nowMs: number): Step | undefined {
    for (const kind of ['storm', 'critical'] as const) {
      this.#beginStorm(kind, nowMs)
      this.#endStorm(kind, nowMs)
    }
    this.#endNight(nowMs)
    for (const round of this.rounds) {
      if (round.state === 'posting' && round.sinceMs === 0) return { what: 'post-round', round }
    }
    return undefined
  }

  #storm(wanted: 'storm' | 'critical'): Round | undefined {
    return this.rounds.find(({ kind, endMs }) => kind === wanted && endMs === undefined)
  }

  #beginStorm(kind: 'storm' | 'critical', nowMs: number): void {
    if (this.#storm(kind)) return
    const waiting = this.#waiting(nowMs).filter(each => isOf(kind, each))
    if (waiting.length === 0) return
    const recent = [...this.incidents.values()].filter(each => {
      const { opened_time, merged_into, severity_id } = each
      const isNew = nowMs - opened_time <= STORM_WINDOW_MS && merged_into === undefined
      return isNew && severity_id >= SEVERITY_SINGLE && isOf(kind, each)
    })
    const oldestMs = Math.min(
      ...waiting.map(({ opened_time, severity_id }) => opened_time + (severity_id > 3 ? 0 : GATHER_MS)),
    )
    if (recent.length <= STORM_NEW && nowMs - oldestMs <= STORM_WAIT_MS) return
    // A single one that waits, for Slack to come back, is no storm.
    if (waiting.length === 1) return
    const fromMs = Math.min(...waiting.map(({ opened_time }) => opened_time))
    this.#add({ kind, fromMs, state: 'posting', sinceMs: 0 })
  }

  #endStorm(kind: 'storm' | 'critical', nowMs: number): void {
    const storm = this.#storm(kind)
    if (!storm) return
    const newest = Math.max(storm.fromMs, ...this.rowsOf(storm).map(({ opened_time }) => opened_time))
    if (nowMs - newest > STORM_QUIET_MS) storm.endMs = nowMs
  }

  #endNight(nowMs: number): void {
    const slept = [...this.incidents.values()].filter(each => {
      if (each.severity_id !== SEVERITY_SINGLE || each.merged_into !== undefined || this.notices.has(each.uid))
        return false
      const night = this.#voice.time.quiet(each.opened_time)
      return night !== undefined && nowMs >= night.endMs && nowMs - night.endMs < POST_AGE_MS
    })
    const [first] = slept
    const night = first && this.#voice.time.quiet(first.opened_time)
    if (!night || this.rounds.some(({ kind, fromMs }) => kind === 'quiet' && fromMs === night.sinceMs)) return
    this.#add({ kind: 'quiet', fromMs: night.sinceMs, endMs: night.endMs, state: 'posting', sinceMs: 0 })
  }

  #add(round: Round): void {
    this.rounds.push(round)
    if (this.rounds.length > ROUNDS_MAX) this.rounds.shift()
  }

  /** An edit or a reply: what people wait for first, then what has waited longest. */
  #change(nowMs: number): Step | undefined {
    if (!this.#pace.changes.has(nowMs)) return undefined
    const late: { step: Step; sinceMs: number }[] = []
    for (const [uid, notice] of this.notices) {
      const incident = this.incidents.get(uid)
      if (!incident || notice.state !== 'posted' || notice.ts === undefined || notice.replying) continue
      if (marksOf(incident) !== notice.marks) return { what: 'edit', uid }
      if (isSnoozed(incident, nowMs)) continue
      const reply = this.#replyFor(incident, notice, nowMs)
      if (reply) late.push({ step: { what: 'reply', uid, reply }, sinceMs: 0 })
      else if (this.#isDue(notice, nowMs) && this.hashOf(incident) !== notice.hash) {
        late.push({ step: { what: 'edit', uid }, sinceMs: notice.editedMs ?? 0 })
      }
    }
    for (const round of [...this.rounds, ...this.bulletins]) {
      if (round.state !== 'posted' || !this.#isDue(round, nowMs, round.endMs !== undefined)) continue
      if (this.hashOfRound(round) !== round.hash) late.push({ step: { what: 'edit-round', round }, sinceMs: 1 })
    }
    return late.sort((a, b) => a.sinceMs - b.sinceMs)[0]?.step
  }

  #replyFor(incident: Incident, notice: Notice, nowMs: number): Reply | undefined {
    if (this.#told.get(incident) === notice && incident.severity_id < CRITICAL) return undefined
    const reply = replyFor(incident, notice, this.#voice, this.#onCall, nowMs)
    if (!reply && !incident.timeline.some(entry => isMeasured(entry, nowMs))) this.#told.set(incident, notice)
    return reply
  }

  #isDue({ postedMs = 0, editedMs = postedMs }: Notice | Gathered, nowMs: number, over = false): boolean {
    // While there is a storm its own message tells how it goes.
    const everyMs =
      this.#storm('storm') || over ? editEveryMs(over ? 0 : Number.POSITIVE_INFINITY) : editEveryMs(nowMs - postedMs)
    return nowMs - editedMs >= everyMs
  }

  #forgotten(nowMs: number): Step | undefined {
    for (const [uid, { state, closed_time = 0, updated_time }] of this.incidents) {
      const noticed = this.notices.has(uid)
      if (state === 'closed' && nowMs - closed_time > FORGET_MS) return { what: 'forget', uid }
      if (!noticed && state === 'open' && nowMs - updated_time > FORGET_MS) this.incidents.delete(uid)
    }
    return undefined
  }

  /** Without the time of editing, so that an edit that would change nothing else is not made. */
  hashOf(incident: Incident): string {
    const known = this.#hashes.get(incident) ?? hashed(card(incident, this.#voice, 0))
    this.#hashes.set(incident, known)
    return known
  }

  hashOfRound(round: Gathered): string {
    return hashed(this.roundMessage(round, 0))
  }
}

/** Too old to be posted for the first time; a critical one that nobody has seen is news for a day. */
function isStale(incident: Incident, nowMs: number): boolean {
  const isWaiting = incident.state === 'open' && isUnseen(incident)
  return nowMs - incident.updated_time > (isWaiting ? FORGET_MS : POST_AGE_MS)
}

/** Nothing is said of it for now, because somebody asked for that; never of a critical one. */
function isSnoozed({ snoozed, severity_id }: Incident, nowMs: number): boolean {
  return snoozed !== undefined && snoozed.until > nowMs && severity_id < CRITICAL
}

/** Critical ones do not disappear among the rest, nor in the night. */
function isOf(kind: Round['kind'], { severity_id }: Incident): boolean {
  if (kind === 'critical') return severity_id === CRITICAL
  return kind === 'storm' ? severity_id < CRITICAL : severity_id === SEVERITY_SINGLE
}

export function marksOf(incident: Incident): string {
  const { state, severity_id, acknowledged, false_positive, snoozed, helpful, quiet_time, holds, merged_into } =
    incident
  return [
    state,
    severity_id,
    acknowledged?.by ?? '',
    false_positive?.by ?? '',
    snoozed?.until ?? '',
    helpful?.by ?? '',
    quiet_time ?? '',
    holds.active > 0,
    merged_into ?? '',
  ].join('/')
}

function hashed(message: Message): string {
  return hash('sha256', JSON.stringify(message), 'hex').slice(0, 16)
}
