import {
  type Delivery,
  type Deps,
  EVENT_BYTES_MAX,
  type Event,
  type NamedState,
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
import { placeOf } from '../../platform/topics/place.ts'
import { Turns } from '../../platform/turns.ts'
import type { Caution } from './poison.ts'
import { StateKeeper } from './state.ts'
import { type ReadTopic, Stream } from './stream.ts'

export interface ConsumeOptions extends Omit<SubscribeOptions, 'topics' | 'listener'> {
  readonly topics: readonly ReadTopic[]
  readonly commitMs: number
  /** Compacted topic for what detectors remember; without it that ends with the process. */
  readonly state: string | undefined
  readonly snapshotMs: number
}

const STAGE = 'topic'
/** What is paused when only positions cannot be stored. */
const COMMITS = 'topic positions'
/** With what leaving a group may take it stays below what a process gives its components to close (pipelines/signals.ts). */
const LAST_STORE_MS_MAX = 10_000

export class TopicSource implements Source {
  readonly positions: Positions
  readonly #options: ConsumeOptions
  readonly #deps: Deps
  readonly #streams = new Map<string, Stream>()
  readonly #assignedListeners: ((streams: readonly string[]) => void)[] = []
  readonly #revokedListeners: ((streams: readonly string[]) => void)[] = []
  readonly #stop = new AbortController()
  /** Polled and not handed out yet: the rest of what is read one event at a time. */
  #held: Fetched | undefined
  #subscription: Subscription | undefined
  /** Commits follow one another, so that an older note never overtakes a newer one. */
  readonly #turns = new Turns()
  #loop: Promise<void> = Promise.resolve()
  #commitFails = false
  #keeper: StateKeeper | undefined
  /** A snapshot is due; when nothing is being detected it is taken at once. */
  #snapshotDue = false
  #idle = false

  constructor(options: ConsumeOptions, deps: Deps) {
    this.#options = options
    this.#deps = deps
    this.positions = {
      note: name => this.#streams.get(name)?.note,
      committed: name => this.#streams.get(name)?.committed,
      setNote: (name, note) => this.#turns.take(() => this.#setNote(name, note)),
      onAssigned: listener => {
        this.#assignedListeners.push(listener)
        if (this.#streams.size > 0) listener([...this.#streams.keys()])
      },
      onRevoked: listener => void this.#revokedListeners.push(listener),
    }
  }

  async start(topics: Topics): Promise<void> {
    const { topics: read, group, from, recordsMax, bytesMax } = this.#options
    this.#subscription = await topics.subscribe({
      group,
      reader: this.#deps.pipeline,
      topics: read.map(({ topic }) => topic),
      from,
      recordsMax,
      bytesMax,
      listener: {
        assigned: positions => {
          for (const position of positions) this.#assigned(position)
          for (const listener of this.#assignedListeners) listener(positions.map(placeOf))
        },
        revoked: partitions => this.#revoked(partitions.map(placeOf)),
        paused: reason => this.#deps.paused?.(STAGE, reason),
      },
    })
    this.#loop = this.#commitLoop()
  }

  keepState(detectors: readonly NamedState[]): void {
    const { state: topic, group } = this.#options
    if (topic !== undefined) this.#keeper = new StateKeeper({ topic, group }, this.#deps, detectors)
    else
      this.#deps.log.warn('what detectors remember ends with this process: its source names no topic for their state')
  }

  async read(signal: AbortSignal): Promise<Delivery | undefined> {
    for (const { guard } of this.#options.topics) guard.cameThrough()
    for (;;) {
      if (this.#keeper && !(await this.#keeper.restored(() => [...this.#streams.values()], signal))) return undefined
      this.#takeIfDue()
      this.#idle = true
      const fetched = this.#held ?? (await this.#subscription!.poll(signal))
      this.#idle = false
      this.#held = undefined
      if (!fetched || signal.aborted) {
        this.#held = fetched
        return undefined
      }
      const stream = this.#streams.get(placeOf(fetched))
      if (!stream) continue // Taken from us after the poll; another consumer reads it.
      if (this.#keeper && !this.#keeper.isReady(stream)) {
        this.#held = fetched // Assigned while we polled.
        continue
      }
      const delivery = await this.#deliver(stream, this.#next(stream, fetched))
      if (delivery) return delivery
    }
  }

  async close(): Promise<void> {
    this.#stop.abort()
    try {
      await this.#storeLast()
    } finally {
      for (const { guard } of this.#options.topics) guard.close()
      await this.#subscription?.close()
    }
  }

  /** Where we are and what detectors remember, for the last time; for a while only, as a topic that is away may be so for hours. */
  async #storeLast(): Promise<void> {
    const { clock, log } = this.#deps
    const over = new AbortController()
    const stored = (async () => {
      await this.#loop
      await this.#keepUp()
      // What was taken last may have waited for what is settled only now.
      this.#keeper?.take()
      await this.#keepUp()
      return true
    })()
    const late = clock.wait(LAST_STORE_MS_MAX, over.signal).then(() => false)
    let inTime: boolean
    try {
      inTime = await Promise.race([stored, late])
    } finally {
      over.abort()
    }
    if (inTime) return
    stored.catch(() => undefined)
    log.warn(
      'stopping: the position could not be stored in time: what was settled since is read again and recognised',
      {
        waitedMs: LAST_STORE_MS_MAX,
      },
    )
  }

  /** What is handed out now; the rest is held. */
  #next({ caution, mutedBefore }: Stream, fetched: Fetched): readonly FetchedRecord[] {
    const { records } = fetched
    const audible = records.findIndex(({ offset }) => offset >= mutedBefore)
    const alike = audible > 0 ? records.slice(0, audible) : records
    const count = countTogether(alike, caution)
    if (count < records.length) this.#held = { ...fetched, records: records.slice(count) }
    return count < records.length ? records.slice(0, count) : records
  }

  async #deliver(stream: Stream, records: readonly FetchedRecord[]): Promise<Delivery | undefined> {
    const first = records[0]
    const last = records.at(-1)
    if (!first || !last) return undefined
    const muted = first.offset < stream.mutedBefore
    const settle = stream.handOut(last.offset)
    const events: Event[] = []
    const refused: { readonly event: Event; readonly reason: string }[] = []
    for (const record of records) {
      if (record.value === null) continue
      const event = this.#event(stream, record, record.value)
      const reason = record.refused ?? refusal(stream, record.offset, event.raw.length)
      if (reason === undefined) events.push(event)
      else refused.push({ event, reason })
    }
    if (refused.length > 0 && !muted) {
      const { pipeline, clock } = this.#deps
      const letters = refused.map(({ event, reason }) => deadLetterOf(event, pipeline, STAGE, reason, clock.now()))
      await this.#deps.deadLetter(letters)
    }
    if (events.length === 0) {
      settle()
      return undefined
    }
    const staged = stream.guard.entering({ partition: stream.partition, first: first.offset, next: last.offset + 1n })
    return { batch: events, ack: settle, nack: () => undefined, staged, ...(muted ? { muted } : {}) }
  }

  #event(stream: Stream, { offset, timeMs, replayed }: FetchedRecord, value: Buffer): Event {
    const origin = { stream: stream.name, position: offset }
    return new RecordEvent(stream.kind, trimmed(value), timeMs, origin, undefined, replayed)
  }

  #assigned(position: Position): void {
    const read = this.#options.topics.find(({ topic }) => topic === position.topic)
    if (!read) throw new HaetaeError('TOPIC_MISMATCH', `${position.topic} was assigned, and nobody asked for it`)
    const stream = new Stream(position, read)
    this.#streams.set(stream.name, stream)
    const { singly, killers } = stream.caution
    if (singly) {
      this.#deps.log.warn('the process died repeatedly over these records: they are read one at a time', {
        stream: stream.name,
        from: String(singly.from),
        to: String(singly.to),
      })
    }
    if (killers.size > 0) {
      this.#deps.log.error('the process died over these records again and again: they go to the dead letter', {
        stream: stream.name,
        offsets: [...killers].slice(0, 10).map(String),
        count: killers.size,
      })
    }
  }

  #revoked(names: readonly string[]): void {
    for (const name of names) {
      const stream = this.#streams.get(name)
      stream?.revoke()
      if (stream) this.#keeper?.revoked(stream)
      this.#streams.delete(name)
    }
    const held = this.#held
    if (held && names.includes(placeOf(held))) this.#held = undefined
    for (const listener of this.#revokedListeners) listener(names)
  }

  async #commitLoop(): Promise<void> {
    const { commitMs, snapshotMs } = this.#options
    const { clock } = this.#deps
    let takenMs = clock.monotonicMs()
    for (;;) {
      await clock.wait(commitMs, this.#stop.signal)
      if (this.#stop.signal.aborted) return
      if (clock.monotonicMs() - takenMs >= snapshotMs) {
        takenMs = clock.monotonicMs()
        this.#snapshotDue = true
        if (this.#idle) this.#takeIfDue()
      }
      await this.#keepUp()
    }
  }

  #takeIfDue(): void {
    if (!this.#snapshotDue) return
    this.#snapshotDue = false
    this.#keeper?.take()
  }

  /** Stores what detectors remember and where we are. */
  async #keepUp(): Promise<void> {
    const written = (await this.#keeper?.write()) ?? []
    const committed = await this.#turns.take(() => this.#commit())
    if (committed) await this.#keeper?.tidy(written)
  }

  /** Says whether all is stored. Never rejects: what cannot be committed now is committed later, or read again. */
  async #commit(): Promise<boolean> {
    const due = [...this.#streams.values()].filter(stream => this.#isDue(stream))
    if (due.length === 0) return true
    try {
      await this.#store(due.map(stream => ({ stream, ...this.#toCommit(stream) })))
      if (this.#commitFails) this.#deps.paused?.(COMMITS, undefined)
      this.#commitFails = false
      return true
    } catch (thrown) {
      if (hasCode(thrown, 'STREAM_REVOKED')) return false
      if (!this.#commitFails) this.#deps.log.warn('a position cannot be stored yet', { error: asError(thrown).message })
      this.#commitFails = true
      if (hasCode(thrown, 'TOPIC_UNAUTHORISED')) this.#deps.paused?.(COMMITS, asError(thrown).message)
      return false
    }
  }

  #isDue(stream: Stream): boolean {
    if (!this.#keeper) return stream.settled > stream.committed
    return this.#keeper.isReady(stream) && stream.resumable.note !== stream.note
  }

  #toCommit(stream: Stream): { readonly offset: bigint; readonly note: string | undefined } {
    return this.#keeper ? stream.resumable : { offset: stream.settled, note: stream.note }
  }

  async #setNote(name: string, note: string): Promise<void> {
    if (this.#keeper) {
      const message = 'its position already carries a note, about what detectors remember: use a pipeline of its own'
      throw new HaetaeError('CONFIG_INVALID', `${this.#deps.pipeline}: ${message}`)
    }
    const stream = this.#streams.get(name)
    if (!stream) {
      throw new HaetaeError('STREAM_REVOKED', `${name} was taken from this consumer: another one reads it again`)
    }
    await this.#store([{ stream, offset: stream.settled, note }])
  }

  async #store(due: readonly { stream: Stream; offset: bigint; note: string | undefined }[]): Promise<void> {
    const positions = due.map(({ stream, offset, note }) => {
      return { topic: stream.topic, partition: stream.partition, offset, note }
    })
    await this.#subscription!.commit(positions)
    for (const { stream, offset, note } of due) stream.stored(offset, note)
  }
}

/** How many of the records, from the first on, make one batch. */
function countTogether(records: readonly FetchedRecord[], { singly }: Caution): number {
  const first = records[0]
  if (!singly || !first || first.offset >= singly.to) return records.length
  if (first.offset >= singly.from) return 1
  const suspected = records.findIndex(({ offset }) => offset >= singly.from)
  return suspected < 0 ? records.length : suspected
}

/** Why a record does not become an event; undefined when it does. */
function refusal(stream: Stream, offset: bigint, bytes: number): string | undefined {
  if (stream.caution.killers.has(offset)) return 'poison: the process died over this record again and again'
  return bytes > EVENT_BYTES_MAX ? `oversize: ${bytes} bytes` : undefined
}
