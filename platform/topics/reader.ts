import { asError, HaetaeError } from '../errors.ts'
import { BlockReader } from './block.ts'
import type { Partition } from './catalog.ts'
import type { FetchedRecord } from './contract.ts'
import type { BlockKey, Store } from './store.ts'

/**
 * Reads one partition forward. Keeps the block it stands in, so that reading a large block in small parts decodes it
 * once.
 */
export class PartitionReader {
  readonly #store: Store
  readonly #partition: Partition
  /** The next offset to read. */
  next: number
  #current: { readonly key: BlockKey; readonly reader: BlockReader } | undefined

  constructor(store: Store, partition: Partition, offset: number) {
    this.#store = store
    this.#partition = partition
    this.next = offset
  }

  get hasMore(): boolean {
    return this.next < this.#partition.end
  }

  /**
   * Up to `recordsMax` records and `bytesMax` bytes, but at least one; none at the end of the partition or at `end`.
   * Throws TOPIC_CORRUPT, and stays where it is, at a block that cannot be read.
   */
  take(recordsMax: number, bytesMax: number, end = this.#partition.end): FetchedRecord[] {
    const records: FetchedRecord[] = []
    let bytes = 0
    while (records.length < recordsMax && this.next < end) {
      const block = this.#block(end)
      if (!block) {
        this.next = end
        break
      }
      const { key, reader } = block
      while (!reader.done && records.length < recordsMax) {
        bytes += reader.nextBytes
        if ((bytes > bytesMax && records.length > 0) || reader.nextOffset >= end) return records
        this.next = reader.nextOffset + 1
        records.push(reader.next())
      }
      if (reader.done) {
        this.next = Math.max(this.next, key.base + key.span)
        this.#current = undefined
      }
    }
    return records
  }

  #block(end: number): { readonly key: BlockKey; readonly reader: BlockReader } | undefined {
    if (this.#current) return this.#current
    const { topic, index } = this.#partition
    const key = this.#store.seek(topic.id, index, this.next)
    if (!key || key.base >= end) return undefined
    const reader = this.#decode(key)
    reader.skipTo(this.next)
    this.#current = { key, reader }
    return this.#current
  }

  #decode(key: BlockKey): BlockReader {
    const { topic, index } = this.#partition
    try {
      const block = this.#store.block(key)
      if (!block) throw new RangeError('the block is gone')
      return new BlockReader(block, key.base)
    } catch (cause) {
      throw new HaetaeError(
        'TOPIC_CORRUPT',
        `topic ${topic.config.name}, partition ${index}, offset ${key.base}: a block of ${key.span} offsets cannot be ` +
          `read (${asError(cause).message}): restore the log from a copy, or move the group past offset ` +
          `${key.base + key.span - 1} (haetae topics move, --partition ${index} --to ${key.base + key.span}) to go on ` +
          'without these records',
        { cause },
      )
    }
  }
}
