import { type Backoff, backoffMs } from '../../platform/backoff.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { Notice } from '../../platform/notify/notice.ts'
import type { Message } from './card.ts'
import type { Outcome, SlackCalls } from './client.ts'
import { type Gathered, type Lane, marksOf, type Step } from './lane.ts'
import { saidAtFirst } from './replies.ts'

/** Slack takes one message a second for a channel. */
const CALL_MS = 1_100
const IDLE_MS = 1_000
/** How soon Slack is asked again after it refused us for what only a person can mend. */
const PAUSE_MS = 60_000
const backoff: Backoff = { firstMs: 1_000, maxMs: 60_000 }

/** The incident's message is gone or cannot be edited any more: nobody wants it back. */
const GONE = [
  'message_not_found',
  'cant_update_message',
  'edit_window_closed',
  'thread_not_found',
  'cannot_reply_to_message',
]
/** What was to be said to one person cannot be: he is not in the channel, or gone. */
const WHISPER = ['user_not_in_channel', 'user_not_found']
/** Something is wrong with this one message; it is sent again as plain text. */
const MESSAGE = [
  'msg_too_long',
  'invalid_blocks',
  'invalid_blocks_format',
  'invalid_attachments',
  'msg_blocks_too_long',
  'no_text',
  'metadata_too_large',
]

export interface RunnerParts {
  readonly lane: Lane
  readonly calls: SlackCalls
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  /** Durable, or throws. */
  readonly keep: (key: string, value: unknown) => Promise<void>
  readonly paused: (reason: string | undefined) => void
}

/** Does what a lane wants done, one call at a time, and keeps durably what became of it. */
export class Runner {
  readonly #parts: RunnerParts
  /** No call before that. */
  #freeMs = 0
  #failures = 0
  #paused = false

  constructor(parts: RunnerParts) {
    this.#parts = parts
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, lane, log } = this.#parts
    while (!signal.aborted) {
      const nowMs = clock.now()
      const step = nowMs < this.#freeMs ? undefined : lane.next(nowMs)
      try {
        if (step) await this.#do(step)
        else await clock.wait(IDLE_MS, signal)
      } catch (thrown) {
        log.warn('what was said in Slack cannot be kept yet', { error: String(thrown) })
        await clock.wait(IDLE_MS * 4, signal)
      }
    }
  }

  async #do(step: Step): Promise<void> {
    const { lane, clock, keep, calls } = this.#parts
    if (step.what === 'forget') {
      if (lane.notices.delete(step.uid)) await keep(step.uid, null)
      lane.incidents.delete(step.uid)
      return
    }
    lane.spent(step, clock.now())
    switch (step.what) {
      case 'post':
        return this.#post(step.uid)
      case 'edit':
        return this.#edit(step.uid)
      case 'reply':
        return this.#reply(step.uid, step.reply.ids, step.reply.text)
      case 'find':
        return this.#find(step.uid)
      case 'find-reply':
        return this.#findReply(step.uid)
      case 'post-round':
        return this.#postRound(step.round)
      case 'find-round':
        return this.#findRound(step.round)
      case 'edit-round':
        return this.#editRound(step.round)
      case 'whisper':
        this.#settle(await calls.whisper(lane.channel, step.whisper.user, step.whisper.text))
    }
  }

  async #post(uid: string): Promise<void> {
    const { lane, clock, calls } = this.#parts
    const incident = lane.incidents.get(uid)!
    const sinceMs = clock.now()
    const notice: Notice = { incident: uid, channel: lane.channel, state: 'posting', sinceMs, said: [], replies: 0 }
    lane.notices.set(uid, notice)
    // First of all: a process that dies from here on leaves word that a message may be there.
    await this.#keep(notice)
    const message = lane.messageOf(incident, sinceMs)
    const outcome = await this.#message(message, each => calls.post(lane.channel, each, uid))
    if (outcome.kind === 'unknown') return
    if (outcome.kind !== 'ok') {
      if (outcome.kind === 'refused' && MESSAGE.includes(outcome.error)) {
        notice.state = 'refused'
        return this.#keep(notice)
      }
      // Not there for certain: it is posted, as it will be then, when Slack takes it.
      lane.notices.delete(uid)
      return
    }
    Object.assign(notice, posted(outcome.ts, clock.now()), {
      hash: lane.hashOf(incident),
      marks: marksOf(incident),
      said: saidAtFirst(incident),
    })
    await this.#keep(notice)
  }

  async #edit(uid: string): Promise<void> {
    const { lane, clock, calls } = this.#parts
    const incident = lane.incidents.get(uid)!
    const notice = lane.notices.get(uid)!
    const message = lane.messageOf(incident, clock.now())
    const hash = lane.hashOf(incident)
    const marks = marksOf(incident)
    const outcome = await this.#message(message, each => calls.edit(lane.channel, notice.ts!, each))
    if (outcome.kind === 'refused' && (GONE.includes(outcome.error) || MESSAGE.includes(outcome.error)))
      notice.state = 'refused'
    else if (outcome.kind !== 'ok') return
    Object.assign(notice, { hash, marks, editedMs: clock.now() })
    await this.#keep(notice)
  }

  async #reply(uid: string, ids: readonly string[], text: string): Promise<void> {
    const { lane, clock, calls } = this.#parts
    const notice = lane.notices.get(uid)!
    notice.replying = { sinceMs: clock.now(), ids: [...ids] }
    await this.#keep(notice)
    const outcome = this.#settle(await calls.post(lane.channel, { text, attachments: [] }, replyKey(notice), notice.ts))
    if (outcome.kind === 'unknown') return
    if (
      outcome.kind === 'ok' ||
      (outcome.kind === 'refused' && (GONE.includes(outcome.error) || MESSAGE.includes(outcome.error)))
    ) {
      return this.#replied(notice)
    }
    delete notice.replying
  }

  #replied(notice: Notice): Promise<void> {
    notice.said.push(...notice.replying!.ids)
    // A timeline has 50 entries: what is not in it any more need not be known.
    notice.said.splice(0, Math.max(0, notice.said.length - 100))
    notice.replies++
    delete notice.replying
    return this.#keep(notice)
  }

  async #find(uid: string): Promise<void> {
    const { lane, clock, calls } = this.#parts
    const notice = lane.notices.get(uid)!
    const outcome = this.#settle(await calls.find(lane.channel, uid, notice.sinceMs))
    if (outcome.kind !== 'ok') return
    if (outcome.ts === undefined) {
      lane.notices.delete(uid)
      return
    }
    const incident = lane.incidents.get(uid)
    // What it says is not known any more: without a hash the next edit puts it right.
    Object.assign(notice, posted(outcome.ts, clock.now()), { said: incident ? saidAtFirst(incident) : [], marks: '' })
    await this.#keep(notice)
  }

  async #findReply(uid: string): Promise<void> {
    const { lane, calls } = this.#parts
    const notice = lane.notices.get(uid)!
    const outcome = this.#settle(await calls.find(lane.channel, replyKey(notice), notice.replying!.sinceMs, notice.ts))
    if (outcome.kind !== 'ok') return
    if (outcome.ts !== undefined) return this.#replied(notice)
    delete notice.replying
  }

  async #postRound(round: Gathered): Promise<void> {
    const { lane, clock, calls } = this.#parts
    round.sinceMs = clock.now()
    await this.#keepRounds()
    const message = lane.roundMessage(round, clock.now())
    const outcome = await this.#message(message, each => calls.post(lane.channel, each, roundKey(round)))
    if (outcome.kind === 'unknown') return
    if (outcome.kind === 'ok') Object.assign(round, posted(outcome.ts, clock.now()), { hash: lane.hashOfRound(round) })
    else if (MESSAGE.includes(outcome.kind === 'refused' ? outcome.error : '')) round.state = 'refused'
    else round.sinceMs = 0
    await this.#keepRounds()
  }

  async #findRound(round: Gathered): Promise<void> {
    const { lane, clock, calls } = this.#parts
    const outcome = this.#settle(await calls.find(lane.channel, roundKey(round), round.sinceMs))
    if (outcome.kind !== 'ok') return
    if (outcome.ts === undefined) round.sinceMs = 0
    else Object.assign(round, posted(outcome.ts, clock.now()))
    await this.#keepRounds()
  }

  async #editRound(round: Gathered): Promise<void> {
    const { lane, clock, calls } = this.#parts
    const hash = lane.hashOfRound(round)
    const outcome = await this.#message(lane.roundMessage(round, clock.now()), each =>
      calls.edit(lane.channel, round.ts!, each),
    )
    if (outcome.kind === 'refused' && (GONE.includes(outcome.error) || MESSAGE.includes(outcome.error)))
      round.state = 'refused'
    else if (outcome.kind !== 'ok') return
    Object.assign(round, { hash, editedMs: clock.now() })
    await this.#keepRounds()
  }

  /** With blocks; when Slack does not like them, as text alone: better plain than silent. */
  async #message(message: Message, send: (message: Message) => Promise<Outcome>): Promise<Outcome> {
    const outcome = this.#settle(await send(message))
    if (outcome.kind !== 'refused' || !MESSAGE.includes(outcome.error)) return outcome
    this.#parts.log.error('Slack refuses a message: it is sent as text alone', { error: outcome.error })
    await this.#parts.clock.wait(CALL_MS)
    return this.#settle(await send({ text: message.text.slice(0, 3_000), attachments: [] }))
  }

  /** When the next call may be made, and whether a person must act first. */
  #settle(outcome: Outcome): Outcome {
    const { clock, log, lane, random } = this.#parts
    const nowMs = clock.now()
    this.#freeMs = nowMs + CALL_MS
    if (outcome.kind === 'ok') {
      if (this.#paused) log.info('Slack takes messages again', { channel: lane.channel })
      this.#pause(undefined)
      this.#failures = 0
    } else if (outcome.kind === 'limited') {
      this.#freeMs = nowMs + Math.max(CALL_MS, outcome.afterMs)
    } else if (outcome.kind === 'unknown') {
      if (this.#failures === 0)
        log.warn('Slack does not answer as it should', { channel: lane.channel, error: outcome.error })
      this.#freeMs = nowMs + Math.max(CALL_MS, backoffMs(backoff, this.#failures++, random))
    } else if (![...GONE, ...MESSAGE, ...WHISPER].includes(outcome.error)) {
      if (!this.#paused)
        log.error('Slack refuses us until somebody acts', { channel: lane.channel, error: outcome.error })
      this.#pause(`Slack refuses ${lane.channel}: ${outcome.error}; see docs/slack.md`)
      this.#freeMs = nowMs + PAUSE_MS
    }
    return outcome
  }

  #pause(reason: string | undefined): void {
    if (reason === undefined && !this.#paused) return
    this.#paused = reason !== undefined
    this.#parts.paused(reason)
  }

  #keep(notice: Notice): Promise<void> {
    return this.#parts.keep(notice.incident, notice)
  }

  #keepRounds(): Promise<void> {
    const { lane, keep } = this.#parts
    return keep(...channelRecordOf(lane))
  }
}

/** Key and value of what is kept of a channel. */
export function channelRecordOf({ channel, rounds, bulletins }: Lane): [string, object] {
  return [`channel/${channel}`, { channel, rounds, bulletins }]
}

function posted(ts: string | undefined, nowMs: number) {
  return { state: 'posted' as const, postedMs: nowMs, editedMs: nowMs, ...(ts === undefined ? {} : { ts }) }
}

function replyKey({ incident, replies }: Notice): string {
  return `${incident}/${replies}`
}

function roundKey(round: Gathered): string {
  const { kind, fromMs } = round
  return 'subject' in round ? `${kind}/${round.subject}/${fromMs}` : `${kind}/${fromMs}`
}
