import type { Clock } from '../../clock.ts'
import { placeOf } from '../place.ts'
import type { Buffers, PartitionBuffer } from './buffers.ts'
import { ANSWER_MS_MAX, type Requests } from './cluster.ts'
import { asFailure, check, failureOf, type KafkaFailure } from './failures.ts'
import { type FetchedPartition, fetch } from './messages/records.ts'
import { pauseMs } from './pause.ts'

/** How long a broker may wait for records; shorter when a partition is left out because it is full at the moment. */
const WAIT_MS = 500
const WAIT_MS_SHORT = 50
const BYTES_MAX = 4 * 1024 * 1024
const PARTITION_BYTES_MAX = 512 * 1024
/** How long a partition without permission rests. */
const REST_MS = 5_000

export interface FetcherOptions {
  readonly cluster: Requests
  readonly clock: Clock
  /** Name of the connection; one consumer's own. */
  readonly lane: string
  readonly topics: readonly string[]
  readonly buffers: Buffers
  /** New records of some partition, or an end. */
  readonly arrived: () => void
  /** A failure of this partition; it is tried again. */
  readonly troubled: (buffer: PartitionBuffer, failure: KafkaFailure) => void
  /** A partition that had failed answers again. */
  readonly recovered: () => void
  /** The offset is not there: decides where to go on. */
  readonly outOfRange: (buffer: PartitionBuffer) => Promise<void>
  readonly failed: (failure: KafkaFailure) => void
}

/** Keeps one fetch on its way to every broker that leads a partition with room. */
export class Fetcher {
  readonly #options: FetcherOptions
  /** Brokers that have not answered yet. */
  readonly #asked = new Set<number>()
  readonly #stop = new AbortController()
  #looking = false
  #waking = false

  constructor(options: FetcherOptions) {
    this.#options = options
  }

  /** Something changed: asks whoever can be asked. */
  pump(): void {
    if (this.#stop.signal.aborted) return
    const { buffers, clock } = this.#options
    const nowMs = clock.monotonicMs()
    const due = new Map<number, PartitionBuffer[]>()
    let left = 0
    let soonestMs = Number.POSITIVE_INFINITY
    for (const buffer of buffers.list) {
      if (!buffers.hasRoom(buffer)) {
        left++
        continue
      }
      if (buffer.notBeforeMs > nowMs) {
        soonestMs = Math.min(soonestMs, buffer.notBeforeMs)
        continue
      }
      const leader = this.#leader(buffer)
      if (leader === undefined || this.#asked.has(leader)) continue
      due.set(leader, [...(due.get(leader) ?? []), buffer])
    }
    if (Number.isFinite(soonestMs)) this.#wake(soonestMs - nowMs)
    for (const [node, list] of due) void this.#ask(node, list, left > 0 ? WAIT_MS_SHORT : WAIT_MS)
  }

  async close(): Promise<void> {
    this.#stop.abort()
    const { cluster, lane } = this.#options
    await Promise.all([...this.#asked].map(node => cluster.closeLane(node, lane)))
  }

  #leader(buffer: PartitionBuffer): number | undefined {
    try {
      return this.#options.cluster.leader(buffer.topic, buffer.partition)
    } catch (thrown) {
      this.#rest(buffer, asFailure(thrown))
      void this.#look()
      return undefined
    }
  }

  async #ask(node: number, list: readonly PartitionBuffer[], waitMs: number): Promise<void> {
    const { cluster, clock, lane } = this.#options
    this.#asked.add(node)
    try {
      const request = {
        waitMs,
        bytesMax: BYTES_MAX,
        partitionBytesMax: PARTITION_BYTES_MAX,
        partitions: list.map(({ topic, partition, fetchOffset }) => ({ topic, partition, offset: fetchOffset })),
      }
      const asked = new Map(list.map(buffer => [buffer, buffer.fetchOffset]))
      const { code, partitions } = await cluster.send(node, lane, fetch, request, waitMs + ANSWER_MS_MAX)
      check(code)
      for (const answer of partitions) this.#take(answer, asked)
    } catch (thrown) {
      const failure = asFailure(thrown)
      for (const buffer of list) this.#rest(buffer, failure)
      if (failure.cure === 'fatal' && !this.#stop.signal.aborted) this.#options.failed(failure)
      await clock.wait(pauseMs(list[0]?.failures ?? 0), this.#stop.signal)
      await this.#look()
    } finally {
      this.#asked.delete(node)
    }
    this.pump()
  }

  /** Only what was asked for at this offset, of a partition that is still ours in this assignment. */
  #take(answer: FetchedPartition, asked: ReadonlyMap<PartitionBuffer, bigint>): void {
    const buffer = this.#options.buffers.get(answer)
    if (!buffer || asked.get(buffer) !== buffer.fetchOffset) return
    const failure = failureOf(answer.code, placeOf(answer))
    if (!failure) {
      if (buffer.failures > 0) this.#options.recovered()
      buffer.failures = 0
      buffer.end = answer.highWatermark
      buffer.firstEnd ??= answer.highWatermark
      buffer.add(answer.batches)
      if (buffer.bytes > 0) this.#options.arrived()
      return
    }
    this.#rest(buffer, failure)
    if (failure.cure === 'range') void this.#relocate(buffer)
    else if (failure.cure === 'again') void this.#look()
    else if (failure.cure === 'fatal') this.#options.failed(failure)
  }

  #rest(buffer: PartitionBuffer, failure: KafkaFailure): void {
    if (this.#stop.signal.aborted) return
    const pause = failure.cure === 'unauthorised' ? REST_MS : pauseMs(buffer.failures)
    buffer.failures++
    buffer.notBeforeMs = this.#options.clock.monotonicMs() + pause
    this.#options.troubled(buffer, failure)
  }

  async #relocate(buffer: PartitionBuffer): Promise<void> {
    buffer.notBeforeMs = Number.POSITIVE_INFINITY
    try {
      await this.#options.outOfRange(buffer)
      buffer.notBeforeMs = 0
      buffer.failures = 0
    } catch {
      buffer.notBeforeMs = this.#options.clock.monotonicMs() + pauseMs(buffer.failures)
    }
    this.pump()
  }

  /** Who leads what has changed, or nobody did. */
  async #look(): Promise<void> {
    if (this.#looking || this.#stop.signal.aborted) return
    this.#looking = true
    const { cluster, topics, clock } = this.#options
    await clock.wait(pauseMs(0), this.#stop.signal)
    await cluster.refresh(topics).catch(() => undefined)
    this.#looking = false
    this.pump()
  }

  #wake(afterMs: number): void {
    if (this.#waking) return
    this.#waking = true
    void this.#options.clock.wait(Math.max(1, afterMs), this.#stop.signal).then(() => {
      this.#waking = false
      this.pump()
    })
  }
}
