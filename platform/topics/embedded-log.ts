import type { Topics } from './contract.ts'

export interface PartitionState {
  readonly topic: string
  readonly partition: number
  readonly start: bigint
  readonly end: bigint
  readonly bytes: number
}

/** What the embedded log can beside the contract, for the command line on its socket. */
export interface EmbeddedLog extends Topics {
  /** Appends are being refused with TOPIC_FULL (or TOPIC_UNWRITABLE) at the moment. */
  readonly full: boolean
  describe(): readonly PartitionState[]
  /** The group has subscriptions. */
  isRead(group: string): boolean
  /** The group no longer holds back retention; throws TOPIC_MISMATCH while it has subscriptions. */
  forgetGroup(group: string): Promise<void>
  /** For a group that must go on elsewhere, such as past a block that cannot be read. */
  moveGroup(group: string, topic: string, partition: number, offset: bigint): Promise<void>
}
