import { type Checkpoint, trackOffsets } from '../../engine/checkpoint.ts'
import type { Kind } from '../../engine/contract.ts'
import type { Position } from '../../platform/topics/contract.ts'
import { placeOf } from '../../platform/topics/place.ts'
import type { Caution, PoisonGuard } from './poison.ts'

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

  constructor(position: Position, { kind, guard }: ReadTopic) {
    this.topic = position.topic
    this.partition = position.partition
    this.name = placeOf(position)
    this.kind = kind
    this.guard = guard
    this.caution = guard.cautionOf(position.partition, position.offset)
    this.#committed = position.offset
    this.#note = position.note
  }

  get committed(): bigint {
    return this.#committed
  }

  get note(): string | undefined {
    return this.#note
  }

  /** The next offset to read should we stop now: everything before it is settled. */
  get committable(): bigint {
    const settled = this.#checkpoint.committable()
    return settled === undefined ? this.#committed : settled + 1n
  }

  /** Returns the ack of the records up to `last`. */
  handOut(last: bigint): () => void {
    const tracked = this.#checkpoint.track(last)
    return () => tracked.ack()
  }

  stored(offset: bigint, note: string | undefined): void {
    this.#committed = offset
    this.#note = note
  }

  revoke(): void {
    this.#checkpoint.revoke()
  }
}
