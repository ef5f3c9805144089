import {
  type Delivery,
  type Deps,
  EVENT_BYTES_MAX,
  type Event,
  type Kind,
  type Positions,
  type Source,
} from '../../engine/contract.ts'
import { deadLetterOf } from '../../engine/dead-letter.ts'
import { RecordEvent, trimmed } from '../../engine/event.ts'
import { asError, HaetaeError, hasCode } from '../../platform/errors.ts'
import type {
  Fetched,
  FetchedRecord,
  Position,
  SubscribeOptions,
  Subscription,
  Topics,
} from '../../platform/topics/contract.ts'
import type { Attempts } from './attempts.ts'
import { Stream, streamName } from './stream.ts'

export interface ConsumeOptions extends Omit<SubscribeOptions, 'topics' | 'listener'> {
  readonly topic: string
  readonly kind: Kind
  readonly commitMs: number
}

const STAGE = 'topic'
/** How long nothing may settle before more is read than the poison guard asked for. */
const PATIENCE_MS = 2_000

export class TopicSource implements Source {
  readonly positions: Positions
  readonly #options: ConsumeOptions
  readonly #deps: Deps
  readonly #attempts: Attempts
  readonly #streams = new Map<string, Stream>()
  readonly #revokedListeners: ((streams: readonly string[]) => void)[] = []
  readonly #stop = new AbortController()
  /** Polled and not handed out yet: the rest of what is read one event at a time. */
  #held: Fetched | undefined
  #subscription: Subscription | undefined
  /** Commits follow one another, so that an older note never overtakes a newer one. */
  #committing: Promise<unknown> = Promise.resolve()
  #loop: Promise<void> = Promise.resolve()
  #commitFails = false

  constructor(options: ConsumeOptions, deps: Deps, attempts: Attempts) {
    this.#options = options
    this.#deps = deps
    this.#attempts = attempts
    this.positions = {
      note: name => this.#streams.get(name)?.note,
      committed: name => this.#streams.get(name)?.committed,
      setNote: (name, note) => this.#inTurn(() => this.#setNote(name, note)),
      onRevoked: listener => void this.#revokedListeners.push(listener),
    }
  }

  async start(topics: Topics): Promise<void> {
    const { topic, group, from, recordsMax, bytesMax } = this.#options
    this.#subscription = await topics.subscribe({
      group,
      topics: [topic],
      from,
      recordsMax,
      bytesMax,
      listener: {
        assigned: positions => {
          for (const position of positions) this.#assigned(position)
        },
        revoked: partitions => this.#revoked(partitions.map(each => streamName(each.topic, each.partition))),
      },
    })
    this.#loop = this.#commitLoop()
  }

  async read(signal: AbortSignal): Promise<Delivery | undefined> {
    for (;;) {
      const fetched = this.#held ?? (await this.#subscription!.poll(signal))
      this.#held = undefined
      if (!fetched || signal.aborted) {
        this.#held = fetched
        return undefined
      }
      const stream = this.#streams.get(streamName(fetched.topic, fetched.partition))
      if (!stream) continue // Taken from us after the poll; another consumer reads it.
      const part = await this.#next(stream, fetched, signal)
      if (!part) continue
      const delivery = await this.#deliver(stream, part)
      if (delivery) return delivery
    }
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#loop
    await this.#inTurn(() => this.#commit())
    for (const stream of this.#streams.values()) stream.attempt.close()
    await this.#subscription?.close()
  }

  /** What is handed out now; the rest is held. undefined when it may not be handed out yet, or any more. */
  async #next(stream: Stream, fetched: Fetched, signal: AbortSignal): Promise<readonly FetchedRecord[] | undefined> {
    const first = fetched.records[0]
    if (!first) return undefined
    const { singlyTo } = stream.attempt.plan
    if (singlyTo === undefined || first.offset >= singlyTo) return fetched.records
    if (stream.unsettledCount >= stream.unsettledMax) {
      this.#held = fetched
      await this.#settling(stream, signal)
      return undefined
    }
    if (fetched.records.length > 1) this.#held = { ...fetched, records: fetched.records.slice(1) }
    return [first]
  }

  /** A sink that settles nothing before it has a whole range (the lake) would wait for records, and we for it: the bound yields. */
  async #settling(stream: Stream, signal: AbortSignal): Promise<void> {
    const patience = new AbortController()
    void this.#deps.clock.wait(PATIENCE_MS, patience.signal).then(() => patience.abort())
    await stream.settling(AbortSignal.any([signal, patience.signal]))
    if (patience.signal.aborted) stream.unsettledMax *= 2
    else patience.abort()
  }

  async #deliver(stream: Stream, records: readonly FetchedRecord[]): Promise<Delivery | undefined> {
    const settle = stream.handOut(records[0]!.offset, records.at(-1)!.offset)
    const events: Event[] = []
    const refused: { readonly event: Event; readonly reason: string }[] = []
    for (const record of records) {
      if (record.value === null) continue
      const event = this.#event(stream, record, record.value)
      const reason = refusal(stream, record.offset, event.raw.length)
      if (reason === undefined) events.push(event)
      else refused.push({ event, reason })
    }
    if (refused.length > 0) {
      const { pipeline, clock } = this.#deps
      const letters = refused.map(({ event, reason }) => deadLetterOf(event, pipeline, STAGE, reason, clock.now()))
      await this.#deps.deadLetter(letters)
    }
    if (events.length > 0) return { batch: events, ack: settle, nack: () => undefined }
    settle()
    return undefined
  }

  #event(stream: Stream, { offset, timeMs, replayed }: FetchedRecord, value: Buffer): Event {
    const origin = { stream: stream.name, position: offset }
    return new RecordEvent(this.#options.kind, trimmed(value), timeMs, origin, undefined, replayed)
  }

  #assigned(position: Position): void {
    const attempt = this.#attempts.begin(position.partition, position.offset)
    const stream = new Stream(position, attempt)
    this.#streams.set(stream.name, stream)
    const { singlyTo, killer } = attempt.plan
    if (singlyTo === undefined) return
    this.#deps.log.warn('the process died repeatedly over these records: they are read one at a time', {
      stream: stream.name,
      from: String(position.offset),
      to: String(singlyTo),
      ...(killer === undefined ? {} : { deadLettered: String(killer) }),
    })
  }

  #revoked(names: readonly string[]): void {
    for (const name of names) {
      this.#streams.get(name)?.revoke()
      this.#streams.delete(name)
    }
    const held = this.#held
    if (held && names.includes(streamName(held.topic, held.partition))) this.#held = undefined
    for (const listener of this.#revokedListeners) listener(names)
  }

  async #commitLoop(): Promise<void> {
    for (;;) {
      await this.#deps.clock.wait(this.#options.commitMs, this.#stop.signal)
      if (this.#stop.signal.aborted) return
      await this.#inTurn(() => this.#commit())
    }
  }

  /** Never rejects: what cannot be committed now is committed later, or read again. */
  async #commit(): Promise<void> {
    const due = [...this.#streams.values()].filter(stream => stream.committable > stream.committed)
    if (due.length === 0) return
    try {
      await this.#store(due.map(stream => ({ stream, note: stream.note })))
      this.#commitFails = false
    } catch (thrown) {
      if (hasCode(thrown, 'STREAM_REVOKED')) return
      if (!this.#commitFails) this.#deps.log.warn('a position cannot be stored yet', { error: asError(thrown).message })
      this.#commitFails = true
    }
  }

  async #setNote(name: string, note: string): Promise<void> {
    const stream = this.#streams.get(name)
    if (!stream) {
      throw new HaetaeError('STREAM_REVOKED', `${name} was taken from this consumer: another one reads it again`)
    }
    await this.#store([{ stream, note }])
  }

  async #store(due: readonly { readonly stream: Stream; readonly note: string | undefined }[]): Promise<void> {
    const positions = due.map(({ stream, note }) => {
      return { topic: stream.topic, partition: stream.partition, offset: stream.committable, note }
    })
    await this.#subscription!.commit(positions)
    for (const [index, { stream, note }] of due.entries()) stream.stored(positions[index]!.offset, note)
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const next = this.#committing.then(task, task)
    this.#committing = next.catch(() => undefined)
    return next
  }
}

/** Why a record does not become an event; undefined when it does. */
function refusal(stream: Stream, offset: bigint, bytes: number): string | undefined {
  if (offset === stream.attempt.plan.killer) return 'poison: the process died over this record again and again'
  return bytes > EVENT_BYTES_MAX ? `oversize: ${bytes} bytes` : undefined
}
