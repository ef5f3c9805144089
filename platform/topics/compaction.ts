import { setImmediate as nextTurn } from 'node:timers/promises'
import { BLOCK_BYTES_MAX, BLOCK_RECORDS_MAX, blockBytes, encodeBlock, recordBytes } from './block.ts'
import { type Partition, storedBytes, type Topic } from './catalog.ts'
import type { FetchedRecord } from './contract.ts'
import { PartitionReader } from './reader.ts'
import type { RetentionParts } from './retention.ts'
import { type BlockKey, encodeBlockKey } from './store.ts'

/** How long a deletion stays readable for consumers that follow the topic. */
const TOMBSTONE_MS = 24 * 3_600_000
const DIRTY_BYTES_MIN = 1024 * 1024
/** A block this large of which nothing was dropped stays as it is. */
const KEEP_BYTES_MIN = BLOCK_BYTES_MAX / 4

/** What one transaction puts in the place of `sources`. */
interface Merged {
  readonly sources: BlockKey[]
  readonly survivors: FetchedRecord[]
  bytes: number
  dropped: number
}

/** Rewrites the partitions of compacted topics so that each key's newest record is all that is left of it. */
export class Compaction {
  readonly #parts: RetentionParts
  /** While someone reads the newest records of a topic, none may be replaced by one he does not see. */
  readonly #readers = new Map<Topic, number>()

  constructor(parts: RetentionParts) {
    this.#parts = parts
  }

  /** Where at least half was written since the last time. */
  async apply(): Promise<void> {
    for (const topic of this.#parts.catalog.topics) {
      if (!topic.config.compacted) continue
      for (const partition of topic.partitions) {
        const { uncompactedBytes, bytes } = partition
        if (uncompactedBytes >= DIRTY_BYTES_MIN && uncompactedBytes * 2 >= bytes) await this.compact(partition)
      }
    }
  }

  async compact(partition: Partition): Promise<void> {
    if ((this.#readers.get(partition.topic) ?? 0) > 0) return
    const end = partition.end
    partition.uncompactedBytes = 0
    const newest = await this.#newest(partition, end)
    let merged: Merged = { sources: [], survivors: [], bytes: 0, dropped: 0 }
    for (let offset = partition.start; offset < end; ) {
      while (this.#parts.store.busy) await this.#parts.store.busy
      const source = this.#parts.store.seek(partition.topic.id, partition.index, offset)
      if (!source || source.base >= end) break
      offset = source.base + source.span
      const records = this.#records(partition, source)
      const survivors = records.filter(record => this.#survives(partition, record, newest))
      const untouched = survivors.length === records.length && source.bytes >= KEEP_BYTES_MIN
      if (untouched || !hasRoom(merged, survivors)) {
        await this.#write(partition, merged)
        merged = { sources: [], survivors: [], bytes: 0, dropped: 0 }
      }
      if (untouched) continue
      merged.sources.push(source)
      merged.survivors.push(...survivors)
      merged.dropped += records.length - survivors.length
      merged.bytes += survivors.reduce((sum, record) => sum + recordBytes(record), 0)
    }
    await this.#write(partition, merged)
  }

  async *newestRecords(
    topic: Topic,
    wants: (key: string) => boolean,
  ): AsyncGenerator<FetchedRecord & { readonly partition: number }> {
    this.#readers.set(topic, (this.#readers.get(topic) ?? 0) + 1)
    try {
      const ends = topic.partitions.map(({ end }) => end)
      for (const partition of topic.partitions) {
        const end = ends[partition.index]!
        const newest = await this.#newest(partition, end, wants)
        for await (const record of this.#scan(partition, end)) {
          if (record.value === null || newest.get(record.key ?? '') !== record.offset) continue
          yield { ...record, partition: partition.index }
        }
      }
    } finally {
      this.#readers.set(topic, this.#readers.get(topic)! - 1)
    }
  }

  async #newest(
    partition: Partition,
    end: number,
    wants: (key: string) => boolean = () => true,
  ): Promise<ReadonlyMap<string, bigint>> {
    const newest = new Map<string, bigint>()
    for await (const { key = '', offset } of this.#scan(partition, end)) if (wants(key)) newest.set(key, offset)
    return newest
  }

  async *#scan(partition: Partition, end: number): AsyncGenerator<FetchedRecord> {
    const reader = new PartitionReader(this.#parts.store, partition, partition.start)
    while (reader.next < end) {
      while (this.#parts.store.busy) await this.#parts.store.busy
      yield* reader.take(BLOCK_RECORDS_MAX, BLOCK_BYTES_MAX, end)
      await nextTurn()
    }
  }

  #records(partition: Partition, source: BlockKey): FetchedRecord[] {
    const reader = new PartitionReader(this.#parts.store, partition, source.base)
    return reader.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, source.base + source.span)
  }

  #survives(partition: Partition, record: FetchedRecord, newest: ReadonlyMap<string, bigint>): boolean {
    if (newest.get(record.key ?? '') !== record.offset) return false
    if (record.value !== null || record.timeMs > this.#parts.clock.now() - TOMBSTONE_MS) return true
    const lowest = this.#parts.positions.lowest(partition)
    return lowest !== undefined && record.offset >= BigInt(lowest)
  }

  async #write(partition: Partition, { sources, survivors, bytes, dropped }: Merged): Promise<void> {
    if (sources.length === 0 || (sources.length === 1 && dropped === 0)) return
    const { committer, catalog, space } = this.#parts
    const block = survivors.length === 0 ? undefined : mergedBlock(partition, survivors, bytes)
    const before = sources.reduce((sum, source) => sum + storedBytes(source.bytes), 0)
    const after = block ? storedBytes(block.value.length) : 0
    await committer.submit({
      kind: 'upkeep',
      bytes,
      apply: transaction => {
        for (const source of sources) transaction.remove('blocks', encodeBlockKey(source))
        if (block) transaction.put('blocks', block.key, block.value)
        catalog.writeRange(transaction, partition, partition.start)
      },
      committed: () => {
        partition.bytes += after - before
      },
    })
    space.shrank(before - after)
  }
}

function hasRoom(merged: Merged, added: readonly FetchedRecord[]): boolean {
  const first = merged.survivors[0]
  const last = added.at(-1)
  if (!first || !last) return merged.sources.length < BLOCK_RECORDS_MAX
  const bytes = added.reduce((sum, record) => sum + recordBytes(record), merged.bytes)
  const records = merged.survivors.length + added.length
  return bytes <= BLOCK_BYTES_MAX && records <= BLOCK_RECORDS_MAX && last.offset - first.offset < 0xffff_0000n
}

function mergedBlock(partition: Partition, records: readonly FetchedRecord[], bytes: number) {
  const base = Number(records[0]!.offset)
  const deltas = records.map(record => Number(record.offset) - base)
  const value = encodeBlock(records, Buffer.allocUnsafeSlow(blockBytes(bytes)), deltas)
  const timeMs = records.reduce((newest, record) => Math.max(newest, record.timeMs), 0)
  const key = encodeBlockKey({
    topicId: partition.topic.id,
    partition: partition.index,
    base,
    span: deltas.at(-1)! + 1,
    timeMs,
    bytes: value.length,
  })
  return { key, value }
}
