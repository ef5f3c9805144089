import type { Deps } from '../../engine/contract.ts'
import { backoffMs, writeBackoff } from '../../platform/backoff.ts'
import { asError, isForAPerson, PERSON_WAIT_MS } from '../../platform/errors.ts'
import type { Queue, QueueMessage } from '../../platform/sqs.ts'
import { Leases } from './leases.ts'

/** How soon a queue is asked again that answered at once, and with nothing. */
const EMPTY_WAIT_MS = 1_000

export interface InboxOptions {
  readonly visibilityMs: number
  readonly waitMs: number
  readonly receivesMax: number
}

/** Receives, for as long as it takes; what it gave out is leased until it is settled. */
export class Inbox {
  readonly leases: Leases
  readonly #queue: Queue
  readonly #options: InboxOptions
  readonly #deps: Deps
  readonly #component: string
  /** Received and not given out yet. */
  #waiting: readonly QueueMessage[] = []

  constructor(queue: Queue, options: InboxOptions, deps: Deps, component: string) {
    this.#queue = queue
    this.#options = options
    this.#deps = deps
    this.#component = component
    this.leases = new Leases(queue, options.visibilityMs, deps.clock, deps.log)
  }

  /** At least one message, and no more than `bytesMax` in several; none when `signal` aborted. */
  async take(bytesMax: number, signal: AbortSignal): Promise<readonly QueueMessage[]> {
    if (this.#waiting.length === 0) this.#waiting = await this.#receive(signal)
    const taken: QueueMessage[] = []
    let bytes = 0
    for (const message of this.#waiting) {
      bytes += Buffer.byteLength(message.body)
      if (taken.length > 0 && bytes > bytesMax) break
      taken.push(message)
    }
    this.#waiting = this.#waiting.slice(taken.length)
    return taken
  }

  async #receive(signal: AbortSignal): Promise<readonly QueueMessage[]> {
    const { visibilityMs, waitMs } = this.#options
    for (let failures = 0; !signal.aborted; ) {
      const askedMs = this.#deps.clock.monotonicMs()
      try {
        const messages = await this.#queue.receive(visibilityMs, waitMs, signal)
        if (failures > 0) {
          this.#deps.paused?.(this.#component, undefined)
          this.#deps.log.info('the queue can be read again')
        }
        failures = 0
        this.leases.hold(messages.map(({ receipt }) => receipt))
        if (messages.length > 0) return messages
        // A server that does not wait with its answer, as SQS does, is not asked again at once.
        const waitedMs = this.#deps.clock.monotonicMs() - askedMs
        if (waitedMs < waitMs / 2) await this.#deps.clock.wait(EMPTY_WAIT_MS, signal)
      } catch (thrown) {
        const refused = isForAPerson(thrown)
        if (refused) this.#deps.paused?.(this.#component, asError(thrown).message)
        if (failures === 0) this.#deps.log.warn('the queue cannot be read', { error: asError(thrown).message })
        await this.#deps.clock.wait(refused ? PERSON_WAIT_MS : backoffMs(writeBackoff, failures, Math.random), signal)
        failures++
      }
    }
    return []
  }

  /** Why this message shall not be worked on any more; undefined when it shall. */
  poison({ receives }: QueueMessage): string | undefined {
    const { receivesMax } = this.#options
    return receives > receivesMax ? `poison: received ${receives} times and never finished` : undefined
  }

  async close(): Promise<void> {
    await this.leases.close()
    this.#queue.close()
  }
}
