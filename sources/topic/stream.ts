import { type Checkpoint, trackOffsets } from '../../engine/checkpoint.ts'
import type { Position } from '../../platform/topics/contract.ts'
import { placeOf } from '../../platform/topics/place.ts'
import type { Caution } from './poison.ts'

/** One partition while it is ours. */
export class Stream {
  readonly name: string
  readonly topic: string
  readonly partition: number
  readonly caution: Caution
  readonly #checkpoint: Checkpoint = trackOffsets()
  #committed: bigint
  #note: string | undefined

  constructor(position: Position, caution: Caution) {
    this.topic = position.topic
    this.partition = position.partition
    this.name = placeOf(position)
    this.caution = caution
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
