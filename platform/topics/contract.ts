/**
 * The one seam between processes. Two implementations with one contract and one test suite: the embedded log
 * (embedded.ts) and Kafka. Nothing else about a pipeline changes between the two.
 */

export interface TopicConfig {
  readonly name: string
  readonly partitions: number
  /** Keeps the newest record of each key for ever; `retention` then bounds nothing. */
  readonly compacted: boolean
  readonly retention: Retention
}

interface Retention {
  readonly ageMsMax: number
  readonly bytesMax: number
}

export interface TopicRecord {
  /** Records of one key share a partition (murmur2, partition.ts). undefined: spread evenly. */
  readonly key: string | undefined
  /** null deletes the key in a compacted topic. */
  readonly value: Buffer | null
  /** When it was received, milliseconds since the epoch. */
  readonly timeMs: number
  /** Sent again on purpose from the dead letter: a dedupe stage must let it pass. */
  readonly replayed?: boolean
}

export interface FetchedRecord extends TopicRecord {
  readonly offset: bigint
  /** Why this version cannot read the record, as a dead letter says it: `code: detail`. `value` is then what is stored. */
  readonly refused?: string
}

/** Consecutive records of one partition. Offsets ascend and may have gaps (compaction, retention). */
export interface Fetched {
  readonly topic: string
  readonly partition: number
  readonly records: readonly FetchedRecord[]
}

export interface Appended {
  /** Positions in the request that are not durable and must be sent again. Embedded: always empty (all or nothing). */
  readonly retry: readonly number[]
  /** Positions that will never be taken, such as a record over the broker's limit. Left out when there are none. */
  readonly refused?: readonly Refused[]
  /** Why what is in `retry` is not taken before a person acts, such as a right that is missing. */
  readonly paused?: string
  /** True when the marker was known: the records were already durable and nothing was written. */
  readonly repeated: boolean
}

export interface Refused {
  readonly index: number
  /** As a dead letter says it: `code: detail`. */
  readonly reason: string
}

/** Where a consumer stands in one partition. `offset` is the next to read; `note` a short string kept with it. */
export interface Position {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly note: string | undefined
}

export interface AssignmentListener {
  /** Before the first poll of these partitions. */
  assigned(positions: readonly Position[]): void
  /**
   * After this call no commit for them succeeds and poll gives nothing more of them. (Kafka: both end before another
   * member can have them; the call itself comes when the new share is known.)
   */
  revoked(partitions: readonly { readonly topic: string; readonly partition: number }[]): void
  /** Why nothing is read until a person acts, such as a right that is missing; undefined when it goes on. */
  paused?(reason: string | undefined): void
}

export interface SubscribeOptions {
  readonly group: string
  /** What reads, such as the pipeline's name: another reader in the same group is refused with TOPIC_MISMATCH (Kafka). */
  readonly reader?: string
  readonly topics: readonly string[]
  /** Where a group without a committed offset begins. */
  readonly from: 'earliest' | 'latest'
  readonly recordsMax: number
  readonly bytesMax: number
  readonly listener: AssignmentListener
}

export interface Subscription {
  /**
   * Waits for records; undefined when `signal` aborts. Partitions take turns. Never called concurrently. Rejects when the
   * group cannot go on without a person; the process should then end.
   */
  poll(signal: AbortSignal): Promise<Fetched | undefined>
  /** Resolves when durable; rejects with STREAM_REVOKED for a partition that is not ours any more. */
  commit(positions: readonly Position[]): Promise<void>
  /** Leaves the group. Listener.revoked is called first. */
  close(): Promise<void>
}

export interface GroupLag {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly committed: bigint
  readonly end: bigint
}

export interface Topics {
  /**
   * Embedded: creates the topic if it does not exist; an existing topic with other settings is an error, never changed.
   * Kafka: never creates; TOPIC_UNKNOWN says which command does.
   */
  ensure(config: TopicConfig): Promise<void>
  /**
   * Resolves when every record not named in `retry` is durable: flushed to disk (embedded) or acknowledged by all in-sync replicas
   * (Kafka). A `marker` identifies this very set of records; the embedded log keeps it in the same transaction, so a
   * repeat writes nothing; Kafka ignores it (the dedupe stage covers repeats there).
   * Rejects with TOPIC_FULL past the size bound or on a full disk, TOPIC_UNKNOWN for a topic that is not there.
   */
  append(topic: string, records: readonly TopicRecord[], marker?: string): Promise<Appended>
  subscribe(options: SubscribeOptions): Promise<Subscription>
  /**
   * The newest record of each key of a compacted topic, as of now; of those keys alone that are wanted, when it says which. Tombstones are
   * left out. Memory is taken for keys, not for values: one that is kept must be copied, as it may be part of a larger buffer.
   */
  readCompacted(
    topic: string,
    wants?: (key: string) => boolean,
  ): AsyncIterable<FetchedRecord & { readonly partition: number }>
  lag(): Promise<readonly GroupLag[]>
  close(): Promise<void>
}
