import { z } from 'zod'
import { HaetaeError } from '../errors.ts'
import type { Catalog, Partition } from './catalog.ts'
import type { Store, Transaction } from './store.ts'

/** As Kafka's offset.metadata.max.bytes. */
export const NOTE_BYTES_MAX = 4096

export interface Committed {
  /** The next offset to read. */
  readonly offset: number
  readonly note: string | undefined
}

const stored = z.object({ offset: z.number().int().min(0), note: z.string().optional() })

/** What each registered group has committed: one entry for each partition of each topic it subscribed to. */
export class GroupPositions {
  readonly #groups = new Map<string, Map<Partition, Committed>>()
  readonly #byPartition = new Map<Partition, Map<string, Committed>>()

  constructor(store: Store, catalog: Catalog, folder: string) {
    for (const { key, value } of store.entries('positions')) {
      const [group = '', topicId, index] = key.toString().split('\0')
      const partition = catalog.byId(Number(topicId))?.partitions[Number(index)]
      const committed = parse(value)
      if (!partition || !committed) {
        const name = JSON.stringify(key.toString())
        throw new HaetaeError(
          'TOPIC_CORRUPT',
          `the topic log in ${folder} holds an unreadable position under ${name}: restore the folder from a copy`,
        )
      }
      this.set(group, partition, committed)
    }
  }

  get groups(): IterableIterator<string> {
    return this.#groups.keys()
  }

  of(group: string): ReadonlyMap<Partition, Committed> {
    return this.#groups.get(group) ?? new Map()
  }

  get(group: string, partition: Partition): Committed | undefined {
    return this.#groups.get(group)?.get(partition)
  }

  set(group: string, partition: Partition, committed: Committed): void {
    const own = this.#groups.get(group) ?? new Map<Partition, Committed>()
    this.#groups.set(group, own.set(partition, committed))
    const readers = this.#byPartition.get(partition) ?? new Map<string, Committed>()
    this.#byPartition.set(partition, readers.set(group, committed))
  }

  forget(group: string): void {
    this.#groups.delete(group)
    for (const readers of this.#byPartition.values()) readers.delete(group)
  }

  /** What every registered group is done with; undefined when no group is registered. */
  lowest(partition: Partition): number | undefined {
    let lowest: number | undefined
    for (const { offset } of this.#byPartition.get(partition)?.values() ?? []) {
      lowest = lowest === undefined ? offset : Math.min(lowest, offset)
    }
    return lowest
  }

  write(transaction: Transaction, group: string, partition: Partition, committed: Committed): void {
    transaction.put('positions', positionKey(group, partition), Buffer.from(JSON.stringify(committed)))
  }

  remove(transaction: Transaction, group: string): void {
    for (const partition of this.of(group).keys()) transaction.remove('positions', positionKey(group, partition))
  }
}

function parse(value: Buffer): Committed | undefined {
  try {
    const { offset, note } = stored.parse(JSON.parse(value.toString()))
    return { offset, note }
  } catch {
    return undefined
  }
}

function positionKey(group: string, { topic, index }: Partition): Buffer {
  return Buffer.from(`${group}\0${topic.id}\0${index}`)
}
