import type { Fetched, FetchedRecord } from '../contract.ts'
import { placeOf } from '../place.ts'
import { decodeBatch, type RawBatch, splitBatches } from './batch.ts'
import type { PartitionRef } from './messages/message.ts'

/** Fetched bytes, compressed, that wait to be polled: of all partitions, and the least that each may have. */
const BYTES_MAX = 8 * 1024 * 1024
const PARTITION_BYTES_MAX = 1024 * 1024

/** One partition that we read: what was fetched and not polled yet. Batches are decoded when they are polled. */
export class PartitionBuffer implements PartitionRef {
  readonly topic: string
  readonly partition: number
  /** The next to be fetched. */
  fetchOffset: bigint
  committed: bigint
  /** Offset after the last record, as the last fetch said. */
  end: bigint
  /** What `end` was when it was first asked for since the partition came to us. */
  firstEnd: bigint | undefined
  /** By the monotonic clock: not to be fetched before, as the last try failed. */
  notBeforeMs = 0
  failures = 0
  bytes = 0
  /** With the offset from which each is wanted: a batch is fetched whole. */
  #batches: { readonly batch: RawBatch; readonly from: bigint }[] = []
  #records: readonly FetchedRecord[] = []
  #next = 0

  constructor({ topic, partition }: PartitionRef, offset: bigint) {
    this.topic = topic
    this.partition = partition
    this.fetchOffset = offset
    this.committed = offset
    this.end = offset
  }

  /** Whether everything that was there when the partition came to us is committed. */
  get caughtUp(): boolean {
    return this.firstEnd !== undefined && this.committed >= this.firstEnd
  }

  /** What a fetch from `fetchOffset` gave. */
  add(batches: Buffer): void {
    for (const batch of splitBatches(batches)) {
      if (batch.lastOffset < this.fetchOffset) continue
      this.#batches.push({ batch, from: this.fetchOffset })
      this.bytes += batch.bytes.length
      this.fetchOffset = batch.lastOffset + 1n
    }
  }

  /** Goes on elsewhere. What was fetched before stays to be polled. */
  skipTo(offset: bigint): void {
    this.fetchOffset = offset
  }

  /** Up to `recordsMax` records of `bytesMax` bytes, but one at least if there is one. */
  take(recordsMax: number, bytesMax: number): readonly FetchedRecord[] {
    const taken: FetchedRecord[] = []
    for (let bytes = 0; taken.length < recordsMax; ) {
      const record = this.#peek()
      if (!record) break
      bytes += (record.value?.length ?? 0) + (record.key?.length ?? 0)
      if (taken.length > 0 && bytes > bytesMax) break
      taken.push(record)
      this.#next++
    }
    return taken
  }

  #peek(): FetchedRecord | undefined {
    while (this.#next >= this.#records.length) {
      const next = this.#batches.shift()
      if (!next) {
        this.#records = []
        this.#next = 0
        return undefined
      }
      this.bytes -= next.batch.bytes.length
      this.#records = decodeBatch(next.batch, next.from)
      this.#next = 0
    }
    return this.#records[this.#next]
  }
}

/** The partitions that one consumer reads at the moment; they take turns. */
export class Buffers {
  #list: PartitionBuffer[] = []
  #turn = 0

  set(list: readonly PartitionBuffer[]): void {
    this.#list = [...list]
    this.#turn = 0
  }

  get list(): readonly PartitionBuffer[] {
    return this.#list
  }

  get(ref: PartitionRef): PartitionBuffer | undefined {
    return this.#list.find(({ topic, partition }) => topic === ref.topic && partition === ref.partition)
  }

  /** Whether more of it may be fetched. */
  hasRoom(buffer: PartitionBuffer): boolean {
    if (buffer.bytes === 0) return true
    const all = this.#list.reduce((sum, { bytes }) => sum + bytes, 0)
    return buffer.bytes < PARTITION_BYTES_MAX && all < BYTES_MAX
  }

  /** Of the first partition with records after the one that was served last. */
  take(recordsMax: number, bytesMax: number): Fetched | undefined {
    for (let step = 0; step < this.#list.length; step++) {
      const at = (this.#turn + step) % this.#list.length
      const buffer = this.#list[at]!
      const records = buffer.take(recordsMax, bytesMax)
      if (records.length === 0) continue
      this.#turn = at + 1
      return { topic: buffer.topic, partition: buffer.partition, records }
    }
    return undefined
  }

  get places(): string {
    return this.#list.map(placeOf).join(', ')
  }
}
