import { Bell } from './bell.ts'
import type { Partition } from './catalog.ts'
import type { Fetched, Position, SubscribeOptions, Subscription } from './contract.ts'
import type { Committed } from './positions.ts'
import type { PartitionReader } from './reader.ts'
import type { Store } from './store.ts'

export interface Assigned {
  readonly partition: Partition
  readonly reader: PartitionReader
  readonly committed: Committed
}

interface Hooks {
  readonly store: Store
  commit(positions: readonly Position[]): Promise<void>
  /** Resolves after a commit that writes nothing. */
  barrier(): Promise<void>
  leave(): Promise<void>
}

/** One member of a consumer group. */
export class EmbeddedSubscription implements Subscription {
  readonly #options: SubscribeOptions
  readonly #hooks: Hooks
  #assigned: Assigned[] = []
  /** Whose turn it is. */
  #turn = 0
  #closing: Promise<void> | undefined
  readonly #bell = new Bell()

  constructor(options: SubscribeOptions, hooks: Hooks) {
    this.#options = options
    this.#hooks = hooks
  }

  get group(): string {
    return this.#options.group
  }

  get topics(): readonly string[] {
    return this.#options.topics
  }

  get partitions(): readonly Partition[] {
    return this.#assigned.map(({ partition }) => partition)
  }

  owned(topic: string, index: number): Partition | undefined {
    return this.partitions.find(partition => partition.index === index && partition.topic.config.name === topic)
  }

  async poll(signal: AbortSignal): Promise<Fetched | undefined> {
    for (;;) {
      // Who reads a backlog may not commit for long.
      if (this.#hooks.store.hasReadEnough) await this.#hooks.barrier().catch(() => undefined)
      // The log is opened again now and then. Nothing is awaited between here and the bell below.
      while (this.#hooks.store.busy) await this.#hooks.store.busy
      if (signal.aborted || this.#closing) return undefined
      const fetched = this.#next()
      if (fetched) return fetched
      await this.#bell.wait(signal)
    }
  }

  async commit(positions: readonly Position[]): Promise<void> {
    await this.#hooks.commit(positions)
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.revoke(this.partitions)
      this.#bell.ring()
      await this.#hooks.leave()
    })()
    return this.#closing
  }

  ring(partitions: ReadonlySet<Partition>): void {
    if (this.#assigned.some(({ partition }) => partitions.has(partition))) this.#bell.ring()
  }

  revoke(partitions: readonly Partition[]): void {
    const gone = this.#assigned.filter(({ partition }) => partitions.includes(partition))
    if (gone.length === 0) return
    this.#assigned = this.#assigned.filter(assigned => !gone.includes(assigned))
    this.#options.listener.revoked(gone.map(({ partition }) => place(partition)))
  }

  assign(added: readonly Assigned[]): void {
    if (added.length === 0 || this.#closing) return
    this.#options.listener.assigned(
      added.map(({ partition, committed }) => ({
        ...place(partition),
        offset: BigInt(committed.offset),
        note: committed.note,
      })),
    )
    this.#assigned = [...this.#assigned, ...added]
    this.#bell.ring()
  }

  /** The first partition with records, beginning after the one that was served last. */
  #next(): Fetched | undefined {
    const count = this.#assigned.length
    for (let step = 0; step < count; step++) {
      const at = (this.#turn + step) % count
      const { partition, reader } = this.#assigned[at]!
      if (!reader.hasMore) continue
      this.#turn = at + 1
      const records = reader.take(this.#options.recordsMax, this.#options.bytesMax)
      if (records.length > 0) return { ...place(partition), records }
    }
    return undefined
  }
}

function place(partition: Partition): { readonly topic: string; readonly partition: number } {
  return { topic: partition.topic.config.name, partition: partition.index }
}
