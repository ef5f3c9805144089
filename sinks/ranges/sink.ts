import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Deps, Encoded, Origin, Rejection, Sink, Verdict } from '../../engine/contract.ts'
import { backoffMs } from '../../platform/backoff.ts'
import { asError, HaetaeError } from '../../platform/errors.ts'
import { Turns } from '../../platform/turns.ts'
import { EvidenceKey } from './evidence.ts'
import { AppendFiles } from './files.ts'
import type { ObjectMeasures } from './measures.ts'
import type { ObjectStore } from './objects.ts'
import { FlushQueue } from './queue.ts'
import { Scratch } from './scratch.ts'
import { RangeSpool, type Row, type SpoolTools } from './spool.ts'
import { type FillingRange, RangeStream } from './stream.ts'

/** What the objects of one kind of sink are like. */
export interface ObjectShape {
  /** Type of the sink. */
  readonly sink: 'lake' | 's3'
  /** A record as a line of an object, or why it cannot be one: a reason for the dead letter. */
  readonly rowOf: (record: Encoded, origin: Origin) => Row | string
  /** What the object of a range is called in its partition: the same whenever the range is. */
  readonly nameOf: (stream: string, lineage: string, first: bigint) => string
  /** Some rows may be refused when the object is written: their records are kept for the dead letter until then. */
  readonly refusesRows: boolean
  readonly measures: ObjectMeasures
}

export interface RangeLimits {
  readonly flushMs: number
  readonly spoolBytesMax: number
  readonly spoolTotalBytesMax: number
}

/** Rows of a range at most: the lake sorts them by numbers that hold time and row (sinks/lake/segments.ts). */
const RANGE_ROWS_MAX = 500_000

/** Objects of one range at most: a range ends before the record that would need one more. */
export const SPLITS_MAX = 64

const ROOM_POLL_MS = 50
const SPOOL_BACKOFF = { firstMs: 100, maxMs: 5_000 }

/**
 * Spools records to disk by range (plan.ts) and writes each range's objects, Parquet (lake.ts) or lines (s3.ts). `write` answers as soon as the records are
 * spooled, and never asks for a retry: one that came later would break the order of a stream. It waits instead.
 */
export class RangeSink implements Sink {
  readonly #limits: RangeLimits
  readonly #spoolFolder: string
  readonly #deps: Deps
  readonly #shape: ObjectShape
  readonly #measures: ObjectMeasures
  readonly #tools: SpoolTools
  readonly #streams = new Map<string, RangeStream>()
  readonly #stop = new AbortController()
  readonly #queue: FlushQueue
  /** Revoked, and not swept up yet. */
  readonly #abandoned: RangeStream[] = []
  /** Tasks that touch plans and spools, one at a time. */
  readonly #turns = new Turns()
  #draining = false
  #spoolCount = 0

  constructor(shape: ObjectShape, limits: RangeLimits, spoolFolder: string, store: ObjectStore, deps: Deps) {
    this.#shape = shape
    this.#limits = limits
    this.#spoolFolder = spoolFolder
    this.#deps = deps
    const { measures, nameOf, refusesRows } = shape
    this.#measures = measures
    const key = refusesRows ? new EvidenceKey() : undefined
    this.#tools = { files: new AppendFiles(), key, lines: new Scratch() }
    this.#queue = new FlushQueue({ deps, store, key, nameOf, measures, signal: this.#stop.signal })
    deps.positions.onRevoked(names => this.#revoked(names))
  }

  /** An empty spool: what an earlier process left is of no use, as the topic still has it. */
  async prepare(): Promise<void> {
    await rm(this.#spoolFolder, { recursive: true, force: true })
    await mkdir(this.#spoolFolder, { recursive: true, mode: 0o700 })
  }

  async write(records: readonly Encoded[], signal: AbortSignal): Promise<Verdict> {
    const reject: Rejection[] = []
    const durable: Promise<void>[] = []
    let parts: readonly Part[] = []
    try {
      // At once, not in turn: whether the records are of this assignment is known only now.
      parts = this.#byStream(records)
      await this.#turns.take(async () => {
        for (const part of parts) durable.push(...(await this.#spool(part, reject, signal)))
      })
    } catch (thrown) {
      for (const { stream } of parts) stream.broken = true
      if (signal.aborted || this.#stop.signal.aborted) throw thrown
      // Written again, these records would come out of order: only reading the stream again mends this.
      return { retry: [], reject: [], later: Promise.reject(stopping(thrown)) }
    }
    return { retry: [], reject, later: allOf(durable) }
  }

  drain(): void {
    this.#queue.hurry()
    if (this.#draining) return
    this.#draining = true
    void this.#turns.take(async () => {
      this.#draining = false
      for (const stream of this.#streams.values()) await this.#seal(stream, this.#stop.signal)
    })
  }

  /** Ends every wait and retry; what is held back stays unsettled. */
  stop(): void {
    this.#stop.abort()
    for (const stream of this.#streams.values()) for (const { timer } of stream.filling.values()) timer.abort()
  }

  async close(): Promise<void> {
    this.stop()
    await this.#turns.ended()
    await this.#queue.close()
    await this.#tools.files.closeAll()
    await rm(this.#spoolFolder, { recursive: true, force: true })
  }

  #byStream(records: readonly Encoded[]): readonly Part[] {
    const parts = new Map<string, Part>()
    for (const [index, record] of records.entries()) {
      const { origin } = record.event
      if (!origin) {
        const message = `the ${this.#shape.sink} sink needs a source with positions (a topic): without them a crash would double records`
        throw new HaetaeError('CONFIG_INVALID', message)
      }
      const known = parts.get(origin.stream)
      if (known) known.records.push({ index, record, origin })
      else parts.set(origin.stream, { stream: this.#stream(origin.stream), records: [{ index, record, origin }] })
    }
    return [...parts.values()]
  }

  #stream(name: string): RangeStream {
    const known = this.#streams.get(name)
    if (known) return known
    const stream = new RangeStream(name, this.#deps.positions)
    this.#streams.set(name, stream)
    return stream
  }

  /** The promises of the ranges that the records are part of. */
  async #spool(part: Part, reject: Rejection[], signal: AbortSignal): Promise<readonly Promise<void>[]> {
    const { stream } = part
    const durable: Promise<void>[] = []
    if (stream.broken) throw new Error(`${stream.name}: a batch before this one was not spooled`)
    await this.#space(stream, signal)
    let target: FillingRange | undefined
    let rows: Row[] = []
    const append = async (): Promise<void> => {
      if (target && rows.length > 0) await this.#append(target, rows, signal)
      rows = []
    }
    for (const { index, record, origin } of part.records) {
      if (stream.revoked) return durable
      const row = this.#shape.rowOf(record, origin)
      if (typeof row === 'string') {
        reject.push({ index, reason: row })
        continue
      }
      if (this.#isFull(stream, row)) {
        await append()
        await this.#seal(stream, signal)
        if (stream.revoked) return durable
      }
      const placed = stream.plan.place(origin.position)
      if (target?.first !== placed.first) {
        await append()
        target = this.#filling(stream, placed.first, placed.again)
        durable.push(target.durable.promise)
      }
      for (const range of placed.done) this.#queue.push(stream, range)
      target.spool.reserve(row.partition)
      rows.push(row)
    }
    await append()
    if (stream.revoked) return durable
    for (const range of stream.plan.complete()) this.#queue.push(stream, range)
    const spool = this.#open(stream)?.spool
    if (spool && (spool.jsonBytes >= this.#limits.spoolBytesMax || spool.rows >= RANGE_ROWS_MAX)) {
      await this.#seal(stream, signal)
    }
    return durable
  }

  /** True when the range being filled for the first time must end before this row. Several rows of one position stay together. */
  #isFull(stream: RangeStream, { partition, evidence }: Row): boolean {
    const open = this.#open(stream)
    if (!open || evidence.origin.position === stream.plan.last) return false
    return !open.spool.hasRoomFor(partition, SPLITS_MAX)
  }

  #open(stream: RangeStream): FillingRange | undefined {
    const first = stream.plan.openFirst
    return first === undefined ? undefined : stream.filling.get(first)
  }

  #filling(stream: RangeStream, first: bigint, again: boolean): FillingRange {
    const known = stream.filling.get(first)
    if (known) return known
    const spool = new RangeSpool(join(this.#spoolFolder, String(this.#spoolCount++)), this.#tools)
    const filling: FillingRange = {
      first,
      again,
      spool,
      durable: Promise.withResolvers<void>(),
      timer: new AbortController(),
    }
    // Whoever waits for it hears of a rejection; nobody may wait yet.
    filling.durable.promise.catch(() => undefined)
    stream.filling.set(first, filling)
    if (!again) void this.#sealLater(stream, filling)
    return filling
  }

  async #sealLater(stream: RangeStream, { first, timer }: FillingRange): Promise<void> {
    await this.#deps.clock.wait(this.#limits.flushMs, timer.signal)
    if (timer.signal.aborted) return
    await this.#turns.take(async () => {
      if (stream.plan.openFirst === first) await this.#seal(stream, this.#stop.signal)
    })
  }

  /** Ends the range being filled for the first time. Waits while too many ranges are not committed; gives up on `signal`. */
  async #seal(stream: RangeStream, signal: AbortSignal): Promise<void> {
    while (!stream.revoked && !stream.broken && stream.plan.openFirst !== undefined) {
      if (stream.hasRoom) {
        const range = stream.plan.seal()
        if (range) this.#queue.push(stream, range)
        return
      }
      if (signal.aborted || this.#stop.signal.aborted) return
      await this.#deps.clock.wait(ROOM_POLL_MS, this.#stop.signal)
    }
  }

  async #append(filling: FillingRange, rows: readonly Row[], signal: AbortSignal): Promise<void> {
    const before = filling.spool.bytes
    for (let attempt = 0; ; attempt++) {
      try {
        await filling.spool.append(rows)
        break
      } catch (thrown) {
        // Only what the system refused is worth another try; anything else is a fault of ours.
        if (!(thrown instanceof Error && 'code' in thrown && 'syscall' in thrown)) throw thrown
        this.#measures.failed('spool', thrown)
        await this.#deps.clock.wait(backoffMs(SPOOL_BACKOFF, attempt, Math.random), signal)
        if (signal.aborted || this.#stop.signal.aborted) throw thrown
      }
    }
    this.#measures.succeeded('spool')
    this.#queue.account(filling, filling.spool.bytes - before)
  }

  /**
   * Waits until the spool is within its bound. Ranges being filled again do not count: they end only when their last
   * record is read, so holding back reading for them would hold for ever.
   */
  async #space(stream: RangeStream, signal: AbortSignal): Promise<void> {
    while (this.#queue.newBytes > this.#limits.spoolTotalBytesMax && !stream.revoked) {
      const { freed } = this.#queue
      await this.#sweep()
      await this.#sealLargest(signal)
      await firstOf(freed, signal, this.#stop.signal)
      if (signal.aborted || this.#stop.signal.aborted) throw new Error('stopped while the spool was full')
    }
  }

  async #sealLargest(signal: AbortSignal): Promise<void> {
    const open = [...this.#streams.values()].flatMap(stream => {
      const filling = this.#open(stream)
      return filling ? [{ stream, bytes: filling.spool.bytes }] : []
    })
    const largest = open.sort((a, b) => b.bytes - a.bytes)[0]
    if (largest) await this.#seal(largest.stream, signal)
  }

  #revoked(names: readonly string[]): void {
    for (const name of names) {
      const stream = this.#streams.get(name)
      if (!stream) continue
      this.#streams.delete(name)
      stream.revoke()
      this.#abandoned.push(stream)
    }
    // Somebody may wait, in turn, for the space that this gives back.
    this.#queue.wake()
    void this.#turns.take(() => this.#sweep())
  }

  /** Removes the spools of revoked streams. In turn: nothing is appended to them meanwhile. */
  async #sweep(): Promise<void> {
    for (let stream = this.#abandoned.pop(); stream; stream = this.#abandoned.pop()) {
      for (const filling of stream.filling.values()) await this.#queue.release(filling)
      stream.filling.clear()
    }
  }
}

interface Part {
  readonly stream: RangeStream
  readonly records: { readonly index: number; readonly record: Encoded; readonly origin: Origin }[]
}

/** Apart from `write`: a function made there would keep alive all that `write` knew, its records among it, until it is called. */
async function allOf(promises: readonly Promise<void>[]): Promise<void> {
  await Promise.all(promises)
}

function stopping(thrown: unknown): Error {
  if (thrown instanceof HaetaeError) return thrown
  const message = `the lake lost its place in a stream: ${asError(thrown).message}; the records are read again after a restart`
  return new HaetaeError('PIPELINE_STOPPED', message, { cause: thrown })
}

function firstOf(promise: Promise<void>, ...signals: readonly AbortSignal[]): Promise<void> {
  const signal = AbortSignal.any([...signals])
  if (signal.aborted) return Promise.resolve()
  return new Promise(resolve => {
    const done = (): void => {
      signal.removeEventListener('abort', done)
      resolve()
    }
    signal.addEventListener('abort', done)
    void promise.then(done)
  })
}
