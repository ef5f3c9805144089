import type { Clock } from '../../clock.ts'
import { HaetaeError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { Bell } from '../bell.ts'
import type { Fetched, GroupLag, Position, SubscribeOptions, Subscription } from '../contract.ts'
import { placeOf } from '../place.ts'
import { Buffers, PartitionBuffer } from './buffers.ts'
import type { Requests } from './cluster.ts'
import { explained } from './explain.ts'
import { asFailure, KafkaFailure } from './failures.ts'
import { Fetcher } from './fetcher.ts'
import type { KafkaMetrics } from './measures.ts'
import { Member, type MemberTimes, type Share } from './member.ts'
import type { PartitionRef } from './messages/message.ts'
import { EARLIEST, LATEST } from './messages/records.ts'
import { committedBy, offsetsAt, patiently } from './offsets.ts'

/** What a broker keeps with an offset by default (offset.metadata.max.bytes). */
const NOTE_BYTES_MAX = 4096
/** A topic that is not there for so long was deleted. */
const VANISHED_MS = 15_000

export interface SubscriptionParts {
  readonly cluster: Requests
  readonly clock: Clock
  readonly log: Log
  readonly measure: KafkaMetrics
  readonly times: MemberTimes
}

let lanes = 0

/** One member of a group and what it has fetched. */
export class KafkaSubscription implements Subscription {
  readonly #options: SubscribeOptions
  readonly #parts: SubscriptionParts
  readonly #buffers = new Buffers()
  readonly #member: Member
  readonly #fetcher: Fetcher
  readonly #begun = Promise.withResolvers<void>()
  #suspended = true
  /** Counts shares and their ends: what was begun for one of them is of no use after it. */
  #turn = 0
  /** By the monotonic clock, since when nothing is read, and since when we have what was shared out last. */
  #suspendedMs: number
  #catchingUpMs: number | undefined
  #failure: HaetaeError | undefined
  #closing: Promise<void> | undefined
  readonly #bell = new Bell()
  #missingSinceMs: number | undefined
  /** Reasons that were said and are not said again before it works. */
  readonly #said = new Set<string>()

  constructor(options: SubscribeOptions, parts: SubscriptionParts) {
    this.#options = options
    this.#parts = parts
    this.#suspendedMs = parts.clock.monotonicMs()
    const { group, topics, reader = '' } = options
    const { cluster, clock, times } = parts
    this.#member = new Member({
      cluster,
      clock,
      group,
      reader,
      topics,
      times,
      listener: {
        assigned: share => this.#assigned(share),
        suspended: () => {
          this.#suspended = true
          this.#turn++
          this.#suspendedMs = clock.monotonicMs()
        },
        troubled: failure => this.#troubled(failure),
        failed: failure => this.#fail(explained(failure, `group ${group}`)),
      },
    })
    this.#fetcher = new Fetcher({
      cluster,
      clock,
      lane: `fetch ${lanes++}`,
      topics,
      buffers: this.#buffers,
      arrived: () => this.#bell.ring(),
      recovered: () => this.#recovered(),
      troubled: (_buffer, failure) => this.#troubled(failure),
      outOfRange: buffer => this.#outOfRange(buffer),
      failed: failure => this.#fail(explained(failure, `group ${group}`)),
    })
    this.#begun.promise.catch(() => undefined)
  }

  /** Resolves with the first assignment. */
  async start(): Promise<void> {
    this.#member.start()
    await this.#begun.promise
  }

  async poll(signal: AbortSignal): Promise<Fetched | undefined> {
    for (;;) {
      if (signal.aborted || this.#closing) return undefined
      if (this.#failure) throw this.#failure
      const fetched = this.#take()
      if (fetched) return fetched
      await this.#bell.wait(signal)
    }
  }

  async commit(positions: readonly Position[]): Promise<void> {
    const { group } = this.#options
    for (const { note, ...ref } of positions) {
      if (note === undefined || Buffer.byteLength(note) <= NOTE_BYTES_MAX) continue
      throw new HaetaeError('TOPIC_MISMATCH', `${placeOf(ref)}: a note is at most ${NOTE_BYTES_MAX} bytes`)
    }
    const owned = positions.map(position => this.#buffers.get(position))
    try {
      await patiently(this.#parts.clock, async () => {
        this.#assertOwned(positions, owned)
        if (this.#suspended) throw new KafkaFailure('REBALANCE_IN_PROGRESS', 'again')
        await this.#member.commit(positions).catch((thrown: unknown) => {
          const failure = asFailure(thrown)
          // Whether they are still ours the next share says.
          if (failure.cure === 'rejoin') throw new KafkaFailure(failure.reason, 'again', failure.message)
          throw failure
        })
      })
    } catch (thrown) {
      throw explained(thrown, `group ${group}: storing the position`)
    }
    for (const [index, { offset }] of positions.entries()) owned[index]!.committed = offset
    this.#lookWhetherCaughtUp()
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#keep([])
      this.#bell.ring()
      await this.#fetcher.close()
      await this.#member.close()
      this.#begun.reject(new HaetaeError('TOPIC_CLOSED', `group ${this.#options.group}: closed before it began`))
    })()
    return this.#closing
  }

  /** Of the partitions we read, without asking anybody. */
  lags(): readonly GroupLag[] {
    const { group } = this.#options
    return this.#buffers.list.map(({ topic, partition, committed, end }) => {
      return { group, topic, partition, committed, end: end > committed ? end : committed }
    })
  }

  async #assigned({ partitions, generation, continued }: Share): Promise<void> {
    const { group, listener } = this.#options
    const { measure, clock } = this.#parts
    if (this.#closing) return
    const turn = ++this.#turn
    const kept = this.#keep(continued ? partitions : [])
    const added = partitions.filter(ref => !this.#buffers.get(ref))
    const positions = await patiently(clock, () => this.#positions(added, generation, turn))
    if (this.#closing) return
    this.#assertTurn(turn)
    measure.rebalanced(group, partitions.length, (clock.monotonicMs() - this.#suspendedMs) / 1000)
    this.#recovered()
    if (positions.length > 0) listener.assigned(positions)
    this.#buffers.set([...kept, ...positions.map(position => new PartitionBuffer(position, position.offset))])
    this.#suspended = false
    if (positions.length > 0) this.#catchingUpMs = clock.monotonicMs()
    this.#begun.resolve()
    this.#fetcher.pump()
    this.#bell.ring()
  }

  /** A share whose positions come late, when the next was asked for already, must neither be read nor committed. */
  #assertTurn(turn: number): void {
    if (turn !== this.#turn) throw new KafkaFailure('REBALANCE_IN_PROGRESS', 'rejoin', 'the share is over')
  }

  #lookWhetherCaughtUp(): void {
    const since = this.#catchingUpMs
    if (since === undefined || !this.#buffers.list.every(({ caughtUp }) => caughtUp)) return
    this.#catchingUpMs = undefined
    this.#parts.measure.caughtUp(this.#options.group, (this.#parts.clock.monotonicMs() - since) / 1000)
  }

  /** Everything else is taken from us. */
  #keep(partitions: readonly PartitionRef[]): readonly PartitionBuffer[] {
    const stays = new Set(partitions.map(placeOf))
    const kept = this.#buffers.list.filter(buffer => stays.has(placeOf(buffer)))
    const gone = this.#buffers.list.filter(buffer => !stays.has(placeOf(buffer)))
    this.#buffers.set(kept)
    this.#parts.measure.holding(this.#options.group, kept.length)
    if (gone.length > 0) this.#options.listener.revoked(gone.map(({ topic, partition }) => ({ topic, partition })))
    return kept
  }

  #take(): Fetched | undefined {
    if (this.#suspended) return undefined
    if (!this.#member.current) {
      // The process was stopped for longer than the session: another member may have our partitions.
      this.#member.again()
      return undefined
    }
    const fetched = this.#buffers.take(this.#options.recordsMax, this.#options.bytesMax)
    if (fetched) this.#fetcher.pump()
    return fetched
  }

  #assertOwned(positions: readonly Position[], owned: readonly (PartitionBuffer | undefined)[]): void {
    const gone = positions.find((position, index) => !owned[index] || this.#buffers.get(position) !== owned[index])
    if (!gone) return
    const what = `group ${this.#options.group}: ${placeOf(gone)} is not read by this consumer any more`
    throw new HaetaeError('STREAM_REVOKED', `${what}: another one reads it again`)
  }

  /**
   * Where each partition stands. One that the group never committed begins where `from` says, and this is committed at
   * once: else a group that begins at the end would begin at another end after a restart. A partition that was added
   * later begins at its start, as what was written before we saw it is not to be missed.
   */
  async #positions(
    partitions: readonly PartitionRef[],
    generation: number,
    turn: number,
  ): Promise<readonly Position[]> {
    const { group, from } = this.#options
    const { cluster } = this.#parts
    const known = await committedBy(cluster, group)
    const fresh = partitions.filter(ref => !known.has(placeOf(ref)))
    const before = new Set([...known.values()].map(({ topic }) => topic))
    const early = fresh.filter(({ topic }) => from === 'earliest' || (generation > 1 && before.has(topic)))
    const starts = new Map([
      ...(await offsetsAt(cluster, EARLIEST, early)),
      ...(await offsetsAt(
        cluster,
        LATEST,
        fresh.filter(ref => !early.includes(ref)),
      )),
    ])
    const began = fresh.map(ref => ({ ...ref, offset: starts.get(placeOf(ref))!, note: undefined }))
    this.#assertTurn(turn)
    if (began.length > 0) await this.#member.commit(began)
    const all = new Map<string, Position>([...known, ...began.map(each => [placeOf(each), each] as const)])
    return partitions.map(ref => all.get(placeOf(ref))!)
  }

  #recovered(): void {
    this.#said.clear()
    this.#options.listener.paused?.(undefined)
    this.#missingSinceMs = undefined
  }

  /** Tried again by who reports it. Each kind is said once until it works. */
  #troubled(failure: KafkaFailure): void {
    const { group } = this.#options
    const { log, measure, clock } = this.#parts
    measure.failed(group, failure.reason)
    if (failure.cure === 'unauthorised' && this.#suspended) this.#begun.reject(explained(failure, `group ${group}`))
    if (failure.reason === 'UNKNOWN_TOPIC_OR_PARTITION') {
      this.#missingSinceMs ??= clock.monotonicMs()
      if (clock.monotonicMs() - this.#missingSinceMs > VANISHED_MS) this.#fail(this.#vanished(failure))
    }
    if (this.#said.has(failure.reason)) return
    this.#said.add(failure.reason)
    const fields = { group, reason: failure.reason, error: failure.message }
    if (failure.cure === 'unauthorised') {
      this.#options.listener.paused?.(explained(failure, `group ${group}`).message)
      log.error('Kafka refuses our credentials or the right to read: reading pauses until that is mended', fields)
    } else log.warn('Kafka cannot be read at the moment and is tried again', fields)
  }

  #vanished(failure: KafkaFailure): HaetaeError {
    const { group, topics } = this.#options
    return new HaetaeError(
      'TOPIC_UNKNOWN',
      `group ${group}: ${failure.message}: a topic of ${topics.join(', ')} is gone: it was deleted, or Kafka lost it; ` +
        'haetae topics apply makes it again, empty',
    )
  }

  async #outOfRange(buffer: PartitionBuffer): Promise<void> {
    const { group, listener } = this.#options
    const { cluster, log, measure } = this.#parts
    const [place, wanted] = [placeOf(buffer), buffer.fetchOffset]
    const start = (await offsetsAt(cluster, EARLIEST, [buffer])).get(place)!
    const end = (await offsetsAt(cluster, LATEST, [buffer])).get(place)!
    if (this.#buffers.get(buffer) !== buffer || (start <= wanted && wanted <= end)) return
    if (start > wanted) {
      measure.lost(group, buffer.topic, start - wanted)
      log.error('records were deleted by retention before they were read: they are lost to this group', {
        group,
        stream: place,
        lostFrom: String(wanted),
        lostTo: String(start - 1n),
        records: String(start - wanted),
      })
      buffer.skipTo(start)
      return
    }
    log.error('the partition ends before our position: it was made anew or cut off; it is read from its start', {
      group,
      stream: place,
      position: String(wanted),
      start: String(start),
    })
    const ref = { topic: buffer.topic, partition: buffer.partition }
    listener.revoked([ref])
    listener.assigned([{ ...ref, offset: start, note: undefined }])
    this.#buffers.set(this.#buffers.list.map(each => (each === buffer ? new PartitionBuffer(ref, start) : each)))
  }

  #fail(error: HaetaeError): void {
    if (this.#failure || this.#closing) return
    this.#failure = error
    this.#parts.log.error(error.message, { code: error.code, group: this.#options.group })
    this.#begun.reject(error)
    this.#bell.ring()
  }
}
