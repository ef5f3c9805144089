import { type Checkpoint, trackOffsets } from '../../engine/checkpoint.ts'
import type { Kind } from '../../engine/contract.ts'
import type { Position } from '../../platform/topics/contract.ts'
import { placeOf } from '../../platform/topics/place.ts'
import type { Caution, PoisonGuard } from './poison.ts'
import type { StateNote } from './stored-state.ts'

/** A topic of the source: what its records are, and what remembers those that killed the process. */
export interface ReadTopic {
  readonly topic: string
  readonly kind: Kind
  readonly guard: PoisonGuard
}

/** One partition while it is ours. */
export class Stream {
  readonly name: string
  readonly topic: string
  readonly partition: number
  readonly kind: Kind
  readonly guard: PoisonGuard
  readonly caution: Caution
  readonly #checkpoint: Checkpoint = trackOffsets()
  #committed: bigint
  #note: string | undefined
  /** What comes before it was settled when somebody else read it. */
  #mutedBefore: bigint
  #next: bigint
  /** The position that goes with what detectors remember, where that is kept. */
  #snapshotPosition: bigint
  #snapshot: StateNote['snapshot']
  #revoked = false

  constructor(position: Position, { kind, guard }: ReadTopic) {
    this.topic = position.topic
    this.partition = position.partition
    this.name = placeOf(position)
    this.kind = kind
    this.guard = guard
    this.caution = guard.cautionOf(position.partition, position.offset)
    this.#committed = position.offset
    this.#note = position.note
    this.#mutedBefore = position.offset
    this.#next = position.offset
    this.#snapshotPosition = position.offset
  }

  get committed(): bigint {
    return this.#committed
  }

  get note(): string | undefined {
    return this.#note
  }

  /** The next offset to be handed out. */
  get next(): bigint {
    return this.#next
  }

  get mutedBefore(): bigint {
    return this.#mutedBefore
  }

  get snapshotPosition(): bigint {
    return this.#snapshotPosition
  }

  /** Everything before it is settled. */
  get settled(): bigint {
    const acked = this.#checkpoint.committable()
    const settled = acked === undefined ? this.#committed : acked + 1n
    return settled > this.#mutedBefore ? settled : this.#mutedBefore
  }

  /** What is to be stored where detectors' state is kept: where to read again from, and how far to be silent then. */
  get resumable(): { readonly offset: bigint; readonly note: string } {
    const position = String(this.#snapshotPosition)
    const note: StateNote = {
      position,
      settled: String(this.settled),
      ...(this.#snapshot ? { snapshot: this.#snapshot } : {}),
    }
    return { offset: this.#snapshotPosition, note: JSON.stringify(note) }
  }

  resume({ settled, snapshot }: StateNote): void {
    this.#mutedBefore = BigInt(settled)
    this.#snapshot = snapshot
  }

  /** A snapshot with everything before `position` is durable. */
  snapshotIs(position: bigint, snapshot: StateNote['snapshot']): void {
    this.#snapshotPosition = position
    this.#snapshot = snapshot
  }

  /** Returns the ack of the records up to `last`. */
  handOut(last: bigint): () => void {
    const tracked = this.#checkpoint.track(last)
    this.#next = last + 1n
    return () => tracked.ack()
  }

  stored(offset: bigint, note: string | undefined): void {
    this.#committed = offset
    this.#note = note
  }

  get isRevoked(): boolean {
    return this.#revoked
  }

  revoke(): void {
    this.#revoked = true
    this.#checkpoint.revoke()
  }
}
