import { hash } from 'node:crypto'
import type { Store, Transaction } from './store.ts'

export interface MarkerBounds {
  readonly ageMsMax: number
  readonly countMax: number
}

const TIME_KEY_BYTES = 8
/** Older markers removed in one transaction. */
const PRUNE_MAX = 20_000

/**
 * Request ids of what was appended, so that a repeat writes nothing. `markers` maps a digest to its place in
 * `markerTimes`, which lists the digests in order of arrival with their time: u64 sequence → u48 time, 16 bytes digest.
 */
export class Markers {
  readonly #store: Store
  readonly #bounds: MarkerBounds
  /** Sequence numbers of the oldest one kept and after the newest one. */
  #first: number
  #next: number

  constructor(store: Store, bounds: MarkerBounds) {
    this.#store = store
    this.#bounds = bounds
    const edges = store.edges('markerTimes')
    this.#first = edges ? readSequence(edges.first) : 0
    this.#next = edges ? readSequence(edges.last) + 1 : 0
  }

  get count(): number {
    return this.#next - this.#first
  }

  /** Scoped to the topic; any string makes 16 bytes. */
  digest(topicId: number, marker: string): Buffer {
    return hash('sha256', `${topicId}\0${marker}`, 'buffer').subarray(0, 16)
  }

  knows(digest: Buffer): boolean {
    return this.#store.get('markers', digest) !== undefined
  }

  /** Part of the transaction of the append. `undo` when it was not committed. */
  write(transaction: Transaction, digest: Buffer, nowMs: number): { undo(): void } {
    const sequence = this.#next++
    const key = timeKey(sequence)
    const entry = Buffer.allocUnsafe(6 + digest.length)
    entry.writeUIntBE(nowMs, 0, 6)
    digest.copy(entry, 6)
    transaction.put('markers', digest, key)
    transaction.put('markerTimes', key, entry)
    return {
      undo: () => {
        this.#next = sequence
      },
    }
  }

  /** What is over the bounds, oldest first, as one step of upkeep; undefined when nothing is. */
  prune(
    nowMs: number,
  ): { apply(transaction: Transaction): void; committed(): void; readonly count: number } | undefined {
    const gone: { readonly key: Buffer; readonly digest: Buffer }[] = []
    let first = this.#first
    for (const { key, value } of this.#store.entries('markerTimes', PRUNE_MAX)) {
      const old = value.readUIntBE(0, 6) < nowMs - this.#bounds.ageMsMax
      if (!old && this.count - gone.length <= this.#bounds.countMax) break
      gone.push({ key, digest: value.subarray(6) })
      first = readSequence(key) + 1
    }
    if (gone.length === 0) return undefined
    return {
      count: gone.length,
      apply: transaction => {
        for (const { key, digest } of gone) {
          transaction.remove('markerTimes', key)
          transaction.remove('markers', digest)
        }
      },
      committed: () => {
        this.#first = first
      },
    }
  }
}

function timeKey(sequence: number): Buffer {
  const key = Buffer.allocUnsafe(TIME_KEY_BYTES)
  key.writeBigUInt64BE(BigInt(sequence))
  return key
}

function readSequence(key: Buffer): number {
  return Number(key.readBigUInt64BE(0))
}
