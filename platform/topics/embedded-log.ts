import type { FetchedRecord, Topics } from './contract.ts'

export interface PartitionState {
  readonly topic: string
  readonly partition: number
  readonly start: bigint
  readonly end: bigint
  readonly bytes: number
}

/** Some records of a partition, and the offset after what was looked at. */
export interface Slice {
  readonly records: readonly FetchedRecord[]
  readonly next: bigint
}

/** What the embedded log can beside the contract, for the command line on its socket. */
export interface EmbeddedLog extends Topics {
  /** Appends are being refused with TOPIC_FULL (or TOPIC_UNWRITABLE) at the moment. */
  readonly full: boolean
  describe(): readonly PartitionState[]
  /**
   * For a look at a topic without being a consumer: records from `from` until before `to` that are still there, as many as fit into `bytesMax` but
   * at least one, and where to go on. Throws TOPIC_UNKNOWN.
   */
  recordsBetween(topic: string, partition: number, from: bigint, to: bigint, bytesMax: number): Promise<Slice>
  /** The group has subscriptions. */
  isRead(group: string): boolean
  /** The group no longer holds back retention; throws TOPIC_MISMATCH while it has subscriptions. */
  forgetGroup(group: string): Promise<void>
  /** For a group that must go on elsewhere, such as past a block that cannot be read. */
  moveGroup(group: string, topic: string, partition: number, offset: bigint): Promise<void>
}
