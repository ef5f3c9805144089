import { HaetaeError } from '../errors.ts'
import { type Catalog, isName, type Partition, type Topic } from './catalog.ts'
import type { Committer } from './committer.ts'
import type { GroupLag, Position, SubscribeOptions, Subscription } from './contract.ts'
import { type Committed, type GroupPositions, NOTE_BYTES_MAX } from './positions.ts'
import { PartitionReader } from './reader.ts'
import type { Store } from './store.ts'
import { EmbeddedSubscription } from './subscription.ts'

export interface GroupParts {
  readonly store: Store
  readonly committer: Committer
  readonly catalog: Catalog
  readonly positions: GroupPositions
  /** A group committed or is gone: more may be deleted. */
  readonly progressed: () => void
}

/** Consumer groups of this process: registration, assignment, commits. */
export class Groups {
  readonly #parts: GroupParts
  readonly #members = new Map<string, EmbeddedSubscription[]>()
  /** Rebalances of one group follow one another. */
  readonly #rebalances = new Map<string, Promise<void>>()

  constructor(parts: GroupParts) {
    this.#parts = parts
  }

  async subscribe(options: SubscribeOptions): Promise<Subscription> {
    const { group, from, topics: names } = options
    if (!isName(group)) {
      throw new HaetaeError('TOPIC_MISMATCH', `no group can be called ${JSON.stringify(group)}: use A-Z a-z 0-9 . _ -`)
    }
    const topics = names.map(name => this.#parts.catalog.known(name))
    await this.#register(group, topics, from)
    const member = new EmbeddedSubscription(options, {
      store: this.#parts.store,
      commit: positions => this.#commit(member, positions),
      barrier: () => this.#parts.committer.barrier(),
      leave: () => this.#leave(group, member),
    })
    this.#members.set(group, [...(this.#members.get(group) ?? []), member])
    await this.#rebalance(group)
    return member
  }

  /** Records of these partitions became readable. */
  ring(partitions: ReadonlySet<Partition>): void {
    for (const members of this.#members.values()) for (const member of members) member.ring(partitions)
  }

  lag(): GroupLag[] {
    const lags: GroupLag[] = []
    for (const group of this.#parts.positions.groups) {
      for (const [partition, { offset }] of this.#parts.positions.of(group)) {
        lags.push({
          group,
          topic: partition.topic.config.name,
          partition: partition.index,
          committed: BigInt(offset),
          end: BigInt(partition.end),
        })
      }
    }
    return lags
  }

  /** Somebody subscribes as this group. */
  isRead(group: string): boolean {
    return (this.#members.get(group) ?? []).length > 0
  }

  /** Moves a group to `offset` whatever it has read; whoever reads the partition begins there anew. */
  async move(group: string, topicName: string, index: number, offset: bigint): Promise<void> {
    const partition = this.#parts.catalog.known(topicName).partitions[index]
    const committed = partition && this.#parts.positions.get(group, partition)
    if (!partition || !committed) {
      throw new HaetaeError('TOPIC_UNKNOWN', `the group ${group} reads no partition ${index} of ${topicName}`)
    }
    const to = { offset: checkedOffset(partition, offset), note: undefined }
    for (const member of this.#members.get(group) ?? []) member.revoke([partition])
    await this.#write(group, [[partition, to]])
    await this.#rebalance(group)
  }

  /** The group no longer holds back retention. Its subscriptions must be closed. */
  async forget(group: string): Promise<void> {
    if (this.isRead(group)) {
      throw new HaetaeError(
        'TOPIC_MISMATCH',
        `the group ${group} is being read: stop its pipeline before it is forgotten`,
      )
    }
    const { committer, positions, progressed } = this.#parts
    await committer.submit({
      kind: 'upkeep',
      bytes: 0,
      apply: transaction => positions.remove(transaction, group),
      committed: () => {
        positions.forget(group)
        progressed()
      },
    })
  }

  async close(): Promise<void> {
    const members = [...this.#members.values()].flat()
    for (const member of members) await member.close()
  }

  /** A group holds back retention from here on, even if it never polls. */
  async #register(group: string, topics: readonly Topic[], from: 'earliest' | 'latest'): Promise<void> {
    const { positions, committer } = this.#parts
    const fresh = topics.flatMap(topic => topic.partitions).filter(partition => !positions.get(group, partition))
    if (fresh.length === 0) return
    const added = new Map<Partition, Committed>()
    await committer.submit({
      kind: 'upkeep',
      bytes: 0,
      apply: transaction => {
        for (const partition of fresh) {
          const offset = from === 'earliest' ? partition.start : partition.next
          const committed = { offset, note: undefined }
          added.set(partition, committed)
          positions.write(transaction, group, partition, committed)
        }
      },
      committed: () => {
        for (const [partition, committed] of added) {
          if (!positions.get(group, partition)) positions.set(group, partition, committed)
        }
      },
    })
  }

  async #commit(member: EmbeddedSubscription, wanted: readonly Position[]): Promise<void> {
    const entries = wanted.map(({ topic, partition: index, offset, note }): [Partition, Committed] => {
      const partition = member.owned(topic, index)
      if (!partition) {
        throw new HaetaeError(
          'STREAM_REVOKED',
          `group ${member.group}: ${topic}/${index} is read by another subscription now; it reads these records again`,
        )
      }
      if (note !== undefined && Buffer.byteLength(note) > NOTE_BYTES_MAX) {
        throw new HaetaeError('TOPIC_MISMATCH', `${topic}/${index}: a note is at most ${NOTE_BYTES_MAX} bytes`)
      }
      return [partition, { offset: checkedOffset(partition, offset), note }]
    })
    await this.#write(member.group, entries)
  }

  #write(group: string, entries: readonly (readonly [Partition, Committed])[]): Promise<void> {
    const { positions, committer, progressed } = this.#parts
    return committer.submit({
      kind: 'upkeep',
      bytes: 0,
      apply: transaction => {
        for (const [partition, committed] of entries) positions.write(transaction, group, partition, committed)
      },
      committed: () => {
        for (const [partition, committed] of entries) positions.set(group, partition, committed)
        progressed()
      },
    })
  }

  async #leave(group: string, member: EmbeddedSubscription): Promise<void> {
    this.#members.set(
      group,
      (this.#members.get(group) ?? []).filter(other => other !== member),
    )
    await this.#rebalance(group)
  }

  #rebalance(group: string): Promise<void> {
    const before = this.#rebalances.get(group) ?? Promise.resolve()
    const after = before.catch(() => undefined).then(() => this.#shareOut(group))
    this.#rebalances.set(group, after)
    return after
  }

  /** Partition `i` of a topic goes to subscriber `i mod n`, in the order in which they joined. */
  async #shareOut(group: string): Promise<void> {
    const { positions, committer, store } = this.#parts
    const members = this.#members.get(group) ?? []
    const wanted = new Map<EmbeddedSubscription, Set<Partition>>(members.map(member => [member, new Set()]))
    for (const topic of this.#parts.catalog.topics) {
      const subscribers = members.filter(member => member.topics.includes(topic.config.name))
      if (subscribers.length === 0) continue
      for (const partition of topic.partitions)
        wanted.get(subscribers[partition.index % subscribers.length]!)!.add(partition)
    }
    for (const [member, own] of wanted) member.revoke(member.partitions.filter(partition => !own.has(partition)))
    // What the former owners committed before they lost the partitions must be where the new ones begin.
    await committer.barrier()
    for (const [member, own] of wanted) {
      const added = [...own].filter(partition => !member.partitions.includes(partition))
      const begins = added.flatMap(partition => {
        const committed = positions.get(group, partition)
        return committed
          ? [{ reader: new PartitionReader(store, partition, committed.offset), partition, committed }]
          : []
      })
      member.assign(begins)
    }
  }
}

function checkedOffset(partition: Partition, offset: bigint): number {
  const place = `${partition.topic.config.name}/${partition.index}`
  if (offset >= 0n && offset <= BigInt(partition.end)) return Number(offset)
  throw new HaetaeError(
    'TOPIC_MISMATCH',
    `${place}: offset ${offset} cannot be committed, the partition ends at ${partition.end}`,
  )
}
