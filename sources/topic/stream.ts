import { type Checkpoint, trackOffsets } from '../../engine/checkpoint.ts'
import type { Position } from '../../platform/topics/contract.ts'
import type { Attempt } from './attempts.ts'

/** As in Event.origin. */
export function streamName(topic: string, partition: number): string {
  return `${topic}/${partition}`
}

/** One partition while it is ours. */
export class Stream {
  readonly name: string
  readonly topic: string
  readonly partition: number
  readonly attempt: Attempt
  /** While reading singly. */
  unsettledMax: number
  readonly #checkpoint: Checkpoint = trackOffsets()
  /** First offsets of what was handed out and is not settled, in ascending order. */
  readonly #unsettled = new Set<bigint>()
  #committed: bigint
  #note: string | undefined
  #readTo: bigint
  #settledBell: (() => void) | undefined

  constructor(position: Position, attempt: Attempt) {
    this.topic = position.topic
    this.partition = position.partition
    this.name = streamName(position.topic, position.partition)
    this.attempt = attempt
    this.unsettledMax = attempt.plan.unsettledMax
    this.#committed = position.offset
    this.#readTo = position.offset
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

  get unsettledCount(): number {
    return this.#unsettled.size
  }

  /** Returns the ack of these records. */
  handOut(first: bigint, last: bigint): () => void {
    const tracked = this.#checkpoint.track(last)
    this.#unsettled.add(first)
    this.#readTo = last + 1n
    this.#remember()
    return () => {
      tracked.ack()
      this.#unsettled.delete(first)
      // While suspects are told apart it counts which are left; else the next delivery says it.
      if (this.attempt.plan.singlyTo !== undefined) this.#remember()
      this.#settledBell?.()
    }
  }

  /** Resolves when something is settled or `signal` aborts. */
  settling(signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const done = (): void => {
        signal.removeEventListener('abort', done)
        this.#settledBell = undefined
        resolve()
      }
      this.#settledBell = done
      signal.addEventListener('abort', done, { once: true })
      if (signal.aborted) done()
    })
  }

  stored(offset: bigint, note: string | undefined): void {
    this.#committed = offset
    this.#note = note
  }

  revoke(): void {
    this.#checkpoint.revoke()
    this.attempt.close()
    this.#settledBell?.()
  }

  #remember(): void {
    const [oldest = this.#readTo] = this.#unsettled
    this.attempt.reading(this.#readTo, oldest)
  }
}
