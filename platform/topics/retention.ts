import type { Clock } from '../clock.ts'
import { Turns } from '../turns.ts'
import { type Catalog, type Partition, storedBytes, type Topic } from './catalog.ts'
import type { Committer } from './committer.ts'
import type { GroupPositions } from './positions.ts'
import type { Space } from './space.ts'
import { type BlockKey, encodeBlockKey, type Store } from './store.ts'

export interface RetentionParts {
  readonly store: Store
  readonly committer: Committer
  readonly catalog: Catalog
  readonly positions: GroupPositions
  readonly space: Space
  readonly clock: Clock
}

interface Doomed {
  readonly partition: Partition
  readonly block: BlockKey
}

/** Blocks deleted in one transaction. */
const STEP_BLOCKS_MAX = 2_000
/** At the size bound this share of the log is freed at once, so that not every append has to delete. */
const RELIEF_SHARE = 0.03
/** Tried again no sooner after it freed nothing. */
const RELIEF_PAUSE_MS = 500

/** Deletes whole blocks, oldest first; never one with a record that a registered group has not committed. */
export class LogRetention {
  readonly #parts: RetentionParts
  /** Deletions follow one another, as each decides by what the one before left. */
  readonly #turns = new Turns()
  #relief: Promise<void> | undefined
  #reliefAtMs = Number.NEGATIVE_INFINITY

  constructor(parts: RetentionParts) {
    this.#parts = parts
  }

  /** What the topics' own bounds ask for. */
  apply(): Promise<void> {
    return this.#turns.take(async () => {
      for (const topic of this.#parts.catalog.topics) {
        if (topic.config.compacted) continue
        await this.#delete(() => this.#tooOld(topic))
        await this.#delete(() => this.#tooMuch(topic))
      }
    })
  }

  /**
   * Makes room for `bytes` under the size bound or on a full disk: what every registered group has committed is deleted
   * before its retention ends. Topics that no group reads are left alone.
   */
  relieve(bytes: number): Promise<void> {
    const nowMs = this.#parts.clock.monotonicMs()
    if (!this.#relief && nowMs < this.#reliefAtMs) return Promise.resolve()
    this.#relief ??= this.#turns
      .take(async () => {
        const { space } = this.#parts
        const needed = space.diskTrouble ? 2 * bytes : Math.max(0, space.used + bytes - space.bytesMax)
        const freed = await this.#delete(once(() => this.#committedEverywhere(needed + space.used * RELIEF_SHARE)))
        if (freed === 0) this.#reliefAtMs = this.#parts.clock.monotonicMs() + RELIEF_PAUSE_MS
      })
      .finally(() => {
        this.#relief = undefined
      })
    return this.#relief
  }

  /** Some group committed or is gone: what could not be deleted before may be deleted now. */
  progressed(): void {
    this.#reliefAtMs = Number.NEGATIVE_INFINITY
  }

  /** Deletes step by step what `choose` names; resolves with the bytes freed. */
  async #delete(choose: () => Generator<Doomed>): Promise<number> {
    let freed = 0
    for (;;) {
      while (this.#parts.store.busy) await this.#parts.store.busy
      const step: Doomed[] = []
      for (const doomed of choose()) if (step.push(doomed) === STEP_BLOCKS_MAX) break
      if (step.length === 0) return freed
      freed += await this.#deleteStep(step)
    }
  }

  async #deleteStep(step: readonly Doomed[]): Promise<number> {
    const { committer, catalog, space } = this.#parts
    const starts = new Map<Partition, number>()
    for (const { partition, block } of step) starts.set(partition, block.base + block.span)
    const freed = step.reduce((sum, { block }) => sum + storedBytes(block.bytes), 0)
    await committer.submit({
      kind: 'upkeep',
      bytes: 0,
      apply: transaction => {
        for (const { block } of step) transaction.remove('blocks', encodeBlockKey(block))
        for (const [partition, start] of starts) catalog.writeRange(transaction, partition, start)
      },
      committed: () => {
        for (const [partition, start] of starts) partition.start = start
        for (const { partition, block } of step) partition.bytes -= storedBytes(block.bytes)
      },
    })
    // LMDB gives pages to a transaction only if the one that freed them is not the last before it: one more, then.
    await committer.submit({ kind: 'upkeep', bytes: 0, apply: transaction => catalog.writeTurn(transaction) })
    space.shrank(freed)
    return freed
  }

  *#tooOld(topic: Topic): Generator<Doomed> {
    const beforeMs = this.#parts.clock.now() - topic.config.retention.ageMsMax
    for (const partition of topic.partitions) {
      for (const doomed of this.#deletable(partition, partition.end)) {
        if (doomed.block.timeMs >= beforeMs) break
        yield doomed
      }
    }
  }

  *#tooMuch(topic: Topic): Generator<Doomed> {
    let over = topic.partitions.reduce((sum, { bytes }) => sum + bytes, 0) - topic.config.retention.bytesMax
    if (over <= 0) return
    for (const doomed of oldestFirst(topic.partitions.map(partition => this.#deletable(partition, partition.end)))) {
      yield doomed
      over -= storedBytes(doomed.block.bytes)
      if (over <= 0) return
    }
  }

  *#committedEverywhere(bytes: number): Generator<Doomed> {
    const partitions = [...this.#parts.catalog.topics]
      .filter(topic => !topic.config.compacted)
      .flatMap(topic => topic.partitions)
    let left = bytes
    for (const doomed of oldestFirst(partitions.map(partition => this.#deletable(partition, 0)))) {
      if (left <= 0) return
      yield doomed
      left -= storedBytes(doomed.block.bytes)
    }
  }

  /** In order; `ungrouped` is the offset below which records go that no group reads. */
  *#deletable(partition: Partition, ungrouped: number): Generator<Doomed> {
    const { store, positions } = this.#parts
    const below = Math.min(positions.lowest(partition) ?? ungrouped, partition.end)
    for (const block of store.blocksFrom(partition.topic.id, partition.index, partition.start)) {
      if (block.base + block.span > below) return
      yield { partition, block }
    }
  }
}

/** Chooses the first time only: what is named by an amount to free is named once. */
function once(choose: () => Generator<Doomed>): () => Generator<Doomed> {
  let chosen = false
  return function* () {
    if (chosen) return
    chosen = true
    yield* choose()
  }
}

/** Merges rows, each in order, by the time of their blocks. */
function* oldestFirst(rows: readonly Generator<Doomed>[]): Generator<Doomed> {
  const heads = rows.map(row => ({ row, head: row.next() }))
  try {
    for (;;) {
      let oldest: (typeof heads)[number] | undefined
      for (const each of heads) {
        if (each.head.done) continue
        if (!oldest || oldest.head.done || each.head.value.block.timeMs < oldest.head.value.block.timeMs) oldest = each
      }
      if (!oldest || oldest.head.done) return
      yield oldest.head.value
      oldest.head = oldest.row.next()
    }
  } finally {
    for (const { row } of heads) row.return(undefined)
  }
}
