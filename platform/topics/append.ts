import type { Clock } from '../clock.ts'
import { HaetaeError } from '../errors.ts'
import { BLOCK_BYTES_MAX, BLOCK_RECORDS_MAX, blockBytes, encodeBlock, recordBytes } from './block.ts'
import { BlockBuffers } from './buffers.ts'
import { type Partition, storedBytes, type Topic } from './catalog.ts'
import type { Committer, Write } from './committer.ts'
import type { Appended, TopicRecord } from './contract.ts'
import type { Markers } from './markers.ts'
import type { TopicMetrics } from './measures.ts'
import { partitionOf } from './partition.ts'
import type { LogRetention } from './retention.ts'
import type { Space } from './space.ts'
import { encodeBlockKey, type Store } from './store.ts'

export interface AppenderParts {
  readonly store: Store
  readonly committer: Committer
  readonly space: Space
  readonly markers: Markers
  readonly retention: LogRetention
  readonly clock: Clock
  readonly measure: TopicMetrics
  /** Records of these partitions became readable. */
  appended(partitions: ReadonlySet<Partition>): void
  /** Who holds back deletion, for the message of TOPIC_FULL. */
  slowest(): string
}

interface Built {
  readonly partition: Partition
  readonly block: Buffer
  readonly count: number
  readonly timeMs: number
  /** Offset of the first record, known once the group is written. */
  base: number
}

/** Records of one partition on their way into a block. */
interface FillingBlock {
  records: TopicRecord[]
  bytes: number
  timeMs: number
}

const DONE: Appended = { retry: [], repeated: false }
const REPEATED: Appended = { retry: [], repeated: true }

export class Appender {
  readonly #parts: AppenderParts
  /** Appends not durable yet, by the digest of their marker. */
  readonly #underway = new Map<string, Promise<Appended>>()
  readonly #buffers = new BlockBuffers()
  /** Spreads records without a key. */
  #rotation = 0

  constructor(parts: AppenderParts) {
    this.#parts = parts
  }

  append(topic: Topic, records: readonly TopicRecord[], marker: string | undefined): Promise<Appended> {
    if (records.length === 0) return Promise.resolve(DONE)
    return marker === undefined ? this.#append(topic, records) : this.#appendOnce(topic, records, marker)
  }

  async #appendOnce(topic: Topic, records: readonly TopicRecord[], marker: string): Promise<Appended> {
    const { markers, store } = this.#parts
    const digest = markers.digest(topic.id, marker)
    const name = digest.toString('latin1')
    for (;;) {
      while (store.busy) await store.busy
      const same = this.#underway.get(name)
      if (!same) break
      await same
      return REPEATED
    }
    if (markers.knows(digest)) return REPEATED
    const appending = this.#append(topic, records, digest)
    this.#underway.set(name, appending)
    try {
      return await appending
    } finally {
      this.#underway.delete(name)
    }
  }

  async #append(topic: Topic, records: readonly TopicRecord[], digest?: Buffer): Promise<Appended> {
    const built = this.#build(topic, records)
    const bytes = built.reduce((sum, { block }) => sum + storedBytes(block.length), 0)
    try {
      await this.#commit(built, bytes, digest)
    } finally {
      for (const { block } of built) this.#buffers.give(block)
    }
    this.#parts.measure.appended(topic.config.name, records.length, bytes)
    return DONE
  }

  async #commit(built: readonly Built[], bytes: number, digest: Buffer | undefined): Promise<void> {
    const { committer, space, retention } = this.#parts
    if (!space.fits(bytes) || space.diskTrouble) await retention.relieve(bytes).catch(() => undefined)
    space.admit(bytes, () => this.#parts.slowest())
    try {
      await committer.submit(this.#write(built, bytes, digest))
    } finally {
      space.settle(bytes)
    }
  }

  #write(built: readonly Built[], bytes: number, digest: Buffer | undefined): Write {
    const { markers, clock, space } = this.#parts
    let marked: { undo(): void } | undefined
    return {
      kind: 'append',
      bytes,
      apply: transaction => {
        for (const each of built) {
          const { partition, block, count: span, timeMs } = each
          each.base = partition.next
          partition.next += span
          const place = { topicId: partition.topic.id, partition: partition.index, base: each.base, span }
          transaction.put('blocks', encodeBlockKey({ ...place, timeMs, bytes: block.length }), block)
        }
        if (digest) marked = markers.write(transaction, digest, clock.now())
      },
      undone: () => {
        for (const { partition, base } of [...built].reverse()) partition.next = base
        marked?.undo()
      },
      committed: () => {
        for (const { partition, block, base, count } of built) {
          partition.end = base + count
          partition.bytes += storedBytes(block.length)
          partition.uncompactedBytes += storedBytes(block.length)
        }
        space.grew(bytes)
        space.recovered()
        this.#parts.appended(new Set(built.map(({ partition }) => partition)))
      },
    }
  }

  /** One block for each partition that gets records, more where they would be larger than a block. */
  #build(topic: Topic, records: readonly TopicRecord[]): readonly Built[] {
    const { partitions, config } = topic
    const filling: (FillingBlock | undefined)[] = Array.from({ length: partitions.length })
    const built: Built[] = []
    const finish = (index: number, { records, bytes, timeMs }: FillingBlock): void => {
      const block = encodeBlock(records, this.#buffers.take(blockBytes(bytes)))
      built.push({ partition: partitions[index]!, block, count: records.length, timeMs, base: 0 })
    }
    for (const record of records) {
      if (record.key === undefined && config.compacted) {
        throw new HaetaeError('TOPIC_MISMATCH', `the topic ${config.name} is compacted: each record needs a key`)
      }
      const index =
        record.key === undefined ? this.#rotation++ % partitions.length : partitionOf(record.key, partitions.length)
      const bytes = recordBytes(record)
      let fill = filling[index]
      if (fill && (fill.bytes + bytes > BLOCK_BYTES_MAX || fill.records.length >= BLOCK_RECORDS_MAX)) {
        finish(index, fill)
        fill = undefined
      }
      fill ??= filling[index] = { records: [], bytes: 0, timeMs: 0 }
      fill.records.push(record)
      fill.bytes += bytes
      if (record.timeMs > fill.timeMs) fill.timeMs = record.timeMs
    }
    for (const [index, fill] of filling.entries()) if (fill) finish(index, fill)
    return built
  }
}
