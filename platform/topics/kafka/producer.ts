import type { Clock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { Appended, Refused, TopicRecord } from '../contract.ts'
import { partitionOf } from '../partition.ts'
import { placeOf } from '../place.ts'
import { recordBytes } from './batch.ts'
import { explained } from './explain.ts'
import type { KafkaFailure } from './failures.ts'
import { asFailure } from './failures.ts'
import { pauseMs } from './pause.ts'

export interface ProducerOptions {
  /** Sends one batch to one partition; resolves when every replica in sync has it. Rejects with a KafkaFailure. */
  readonly send: (topic: string, partition: number, records: readonly TopicRecord[]) => Promise<void>
  /** Looks again who leads. */
  readonly refresh: (topic: string) => Promise<unknown>
  readonly clock: Clock
  readonly log: Log
  /** Of one request before compression; below the broker's limit of 1 MB. */
  readonly bytesMax?: number
  /** How long a batch is tried before its records are given back. */
  readonly deliveryMs?: number
  /** Aborted: nothing is tried again. */
  readonly signal?: AbortSignal
}

const BYTES_MAX = 900 * 1024
const DELIVERY_MS = 30_000

/** What became of a record that is not durable: undefined to send it again, a reason when that is of no use. */
type Undone = ReadonlyMap<number, string | undefined>

/** What became of a piece. `failure`: why records of it are to be sent again. */
interface Outcome {
  readonly undone: Undone
  readonly failure: KafkaFailure | undefined
}

/** Records of a request before `confirmed` are durable or refused; the others are not. */
interface Stopped {
  readonly failure: KafkaFailure
  readonly confirmed: number
}

/** Records of one append that go to one partition, at most a request's worth. */
interface Piece {
  readonly records: TopicRecord[]
  /** Their positions in the append. */
  readonly positions: number[]
  bytes: number
  readonly done: (outcome: Outcome) => void
}

/**
 * Collects what concurrent appends have for one partition into one request at a time, so that records of a key stay in
 * order, and knows of each record whether the broker confirmed it.
 */
export class Producer {
  readonly #options: Required<ProducerOptions>
  readonly #lanes = new Map<string, Lane>()
  /** Spreads records without a key. */
  #rotation = 0

  constructor(options: ProducerOptions) {
    const signal = new AbortController().signal
    this.#options = { bytesMax: BYTES_MAX, deliveryMs: DELIVERY_MS, signal, ...options }
  }

  async append(topic: string, partitions: number, records: readonly TopicRecord[]): Promise<Appended> {
    const settled: Promise<Outcome>[] = []
    for (const [partition, pieces] of this.#pieces(partitions, records, settled)) {
      const name = placeOf({ topic, partition })
      let lane = this.#lanes.get(name)
      if (!lane) {
        lane = new Lane(topic, partition, this.#options)
        this.#lanes.set(name, lane)
      }
      lane.add(pieces)
    }
    const retry: number[] = []
    const refused: Refused[] = []
    let paused: string | undefined
    for (const { undone, failure } of await Promise.all(settled)) {
      if (failure?.cure === 'unauthorised') paused ??= explained(failure, `writing to ${topic}`).message
      for (const [index, reason] of undone) {
        if (reason === undefined) retry.push(index)
        else refused.push({ index, reason })
      }
    }
    retry.sort((a, b) => a - b)
    return {
      retry,
      ...(refused.length === 0 ? {} : { refused }),
      ...(paused === undefined ? {} : { paused }),
      repeated: false,
    }
  }

  /** Resolves when everything appended is settled. */
  async idle(): Promise<void> {
    for (const lane of this.#lanes.values()) await lane.running
  }

  #pieces(partitions: number, records: readonly TopicRecord[], settled: Promise<Outcome>[]): Map<number, Piece[]> {
    const byPartition = new Map<number, Piece[]>()
    for (const [position, record] of records.entries()) {
      const { key } = record
      const partition = key === undefined ? this.#rotation++ % partitions : partitionOf(key, partitions)
      const pieces = byPartition.get(partition) ?? []
      byPartition.set(partition, pieces)
      const bytes = recordBytes(record)
      let piece = pieces.at(-1)
      if (!piece || piece.bytes + bytes > this.#options.bytesMax) {
        const { promise, resolve } = Promise.withResolvers<Outcome>()
        settled.push(promise)
        piece = { records: [], positions: [], bytes: 0, done: resolve }
        pieces.push(piece)
      }
      piece.records.push(record)
      piece.positions.push(position)
      piece.bytes += bytes
    }
    return byPartition
  }
}

/** One partition: a queue, and one request on its way. */
class Lane {
  readonly #topic: string
  readonly #partition: number
  readonly #options: Required<ProducerOptions>
  #waiting: Piece[] = []
  #running: Promise<void> | undefined
  #failing = false

  constructor(topic: string, partition: number, options: Required<ProducerOptions>) {
    this.#topic = topic
    this.#partition = partition
    this.#options = options
  }

  get running(): Promise<void> {
    return this.#running ?? Promise.resolve()
  }

  add(pieces: readonly Piece[]): void {
    this.#waiting.push(...pieces)
    this.#running ??= this.#run()
  }

  async #run(): Promise<void> {
    await new Promise(resolve => setImmediate(resolve)) // appends of the same turn share the request
    while (this.#waiting.length > 0) {
      const pieces = this.#take()
      const records = pieces.flatMap(piece => piece.records)
      const failure = await this.#deliver(records, pieces)
      if (failure) this.#giveBack(failure)
      else this.#failing = false
    }
    this.#running = undefined
  }

  #take(): Piece[] {
    let bytes = 0
    let count = 0
    for (const piece of this.#waiting) {
      if (count > 0 && bytes + piece.bytes > this.#options.bytesMax) break
      bytes += piece.bytes
      count++
    }
    return this.#waiting.splice(0, count)
  }

  /** Sends the records of the pieces and tells each what became of its own. The failure that stopped it, if one did. */
  async #deliver(records: readonly TopicRecord[], pieces: readonly Piece[]): Promise<KafkaFailure | undefined> {
    const refused = new Map<number, string>()
    const stopped = await this.#send(records, 0, refused)
    const confirmed = stopped?.confirmed ?? records.length
    let first = 0
    for (const { positions, done } of pieces) {
      const undone = new Map<number, string | undefined>()
      for (const [index, position] of positions.entries()) {
        const reason = refused.get(first + index)
        if (reason !== undefined || first + index >= confirmed) undone.set(position, reason)
      }
      done({ undone, failure: stopped?.failure })
      first += positions.length
    }
    return stopped?.failure
  }

  /** `first` is the place of records[0] in the whole request. */
  async #send(
    records: readonly TopicRecord[],
    first: number,
    refused: Map<number, string>,
  ): Promise<Stopped | undefined> {
    const { send, refresh, clock, deliveryMs, signal } = this.#options
    const untilMs = clock.monotonicMs() + deliveryMs
    for (let attempt = 0; ; attempt++) {
      try {
        await send(this.#topic, this.#partition, records)
        return undefined
      } catch (thrown) {
        const failure = asFailure(thrown)
        if (failure.cure === 'large') return this.#split(records, first, refused, failure)
        const wait = pauseMs(attempt)
        const over = signal.aborted || clock.monotonicMs() + wait > untilMs
        if (failure.cure !== 'again' || over) return { failure, confirmed: first }
        await clock.wait(wait, signal)
        await refresh(this.#topic).catch(() => undefined)
      }
    }
  }

  /** The broker takes fewer bytes at once than we send: halves, down to the one record that is over the limit. */
  async #split(
    records: readonly TopicRecord[],
    first: number,
    refused: Map<number, string>,
    { reason }: KafkaFailure,
  ): Promise<Stopped | undefined> {
    if (records.length === 1) {
      const bytes = recordBytes(records[0]!)
      refused.set(first, `oversize: ${bytes} bytes are over the limit of the topic ${this.#topic} (${reason})`)
      return undefined
    }
    const half = records.length >> 1
    const stopped = await this.#send(records.slice(0, half), first, refused)
    return stopped ?? this.#send(records.slice(half), first + half, refused)
  }

  /** Behind what failed nothing may pass: records of a key stay in order. The first failure of a row is said. */
  #giveBack(failure: KafkaFailure): void {
    const { message, reason, cure } = failure
    for (const { positions, done } of this.#waiting.splice(0)) {
      done({ undone: new Map(positions.map(position => [position, undefined])), failure })
    }
    if (this.#failing) return
    this.#failing = true
    const fields = { topic: this.#topic, partition: this.#partition, reason, error: message }
    if (cure === 'unauthorised') {
      this.#options.log.error(
        'Kafka refuses our credentials or the right to write: records wait until that is mended',
        fields,
      )
    } else this.#options.log.error('records could not be written to Kafka and are given back to be sent again', fields)
  }
}
