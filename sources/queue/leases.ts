import type { Clock } from '../../platform/clock.ts'
import { asError } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import { MESSAGES_MAX, type Queue } from '../../platform/sqs.ts'

/** SQS hides a message no longer than this after it was received, however often that is extended. */
const HIDDEN_MS_MAX = 12 * 3_600_000
/** A message is deleted at most so often; it comes again then, and its events are known by their ids. */
const REMOVE_TRIES_MAX = 10
/** How long close() may take to delete what is done. */
const CLOSE_MS_MAX = 10_000

interface Lease {
  readonly sinceMs: number
  tries: number
}

/**
 * Messages that were received and not deleted yet. While one is worked on it stays hidden from other readers; it is deleted only when
 * all that came of it is durable; what is given back can be read by the next process at once.
 */
export class Leases {
  readonly #queue: Queue
  readonly #visibilityMs: number
  readonly #clock: Clock
  readonly #log: Log
  readonly #held = new Map<string, Lease>()
  readonly #done = new Map<string, Lease>()
  readonly #stop = new AbortController()
  readonly #loop: Promise<void>
  #wake = new AbortController()
  #failing = false

  constructor(queue: Queue, visibilityMs: number, clock: Clock, log: Log) {
    this.#queue = queue
    this.#visibilityMs = visibilityMs
    this.#clock = clock
    this.#log = log
    this.#loop = this.#keep()
  }

  /** Messages in work or waiting to be deleted. */
  get size(): number {
    return this.#held.size + this.#done.size
  }

  hold(receipts: readonly string[]): void {
    for (const receipt of receipts) this.#held.set(receipt, { sinceMs: this.#clock.now(), tries: 0 })
  }

  /** All that came of these messages is durable: they are deleted soon. */
  done(receipts: readonly string[]): void {
    for (const receipt of receipts) {
      const lease = this.#held.get(receipt)
      if (!lease) continue
      this.#held.delete(receipt)
      this.#done.set(receipt, lease)
    }
    this.#wake.abort()
  }

  /** Somebody else may read these messages from now on. Never rejects: else they come back when their time is over. */
  async release(receipts: readonly string[], afterMs = 0): Promise<void> {
    for (const receipt of receipts) this.#held.delete(receipt)
    await this.#each(receipts, some => this.#queue.hide(some, afterMs)).catch(() => undefined)
  }

  /** Deletes what is done and gives the rest back. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.#wake.abort()
    await this.#loop
    const untilMs = this.#clock.monotonicMs() + CLOSE_MS_MAX
    while (this.#done.size > 0 && this.#clock.monotonicMs() < untilMs) {
      if (!(await this.#removeDone())) await this.#clock.wait(500)
    }
    await this.release([...this.#held.keys()])
  }

  /** Deletes as soon as something is done, and hides what is held again when a third of its time went by. */
  async #keep(): Promise<void> {
    const everyMs = this.#visibilityMs / 3
    let nextMs = this.#clock.monotonicMs() + everyMs
    while (!this.#stop.signal.aborted) {
      // One that failed is tried again in a second; a wake in between comes of something new.
      const waitMs = this.#done.size > 0 ? 1_000 : Math.max(0, nextMs - this.#clock.monotonicMs())
      if (!this.#wake.signal.aborted) await this.#clock.wait(waitMs, this.#wake.signal)
      this.#wake = new AbortController()
      await this.#removeDone()
      if (this.#clock.monotonicMs() < nextMs) continue
      nextMs = this.#clock.monotonicMs() + everyMs
      await this.#hideHeld()
    }
  }

  /** False when something is left. */
  async #removeDone(): Promise<boolean> {
    const due = [...this.#done.keys()]
    if (due.length === 0) return true
    const failed = await this.#try(() => this.#each(due, some => this.#queue.remove(some)))
    if (!failed) return false
    for (const receipt of due) {
      const lease = this.#done.get(receipt)!
      if (!failed.includes(receipt) || ++lease.tries >= REMOVE_TRIES_MAX) this.#done.delete(receipt)
    }
    return failed.length === 0
  }

  async #hideHeld(): Promise<void> {
    const nowMs = this.#clock.now()
    const due = [...this.#held].filter(([, { sinceMs }]) => nowMs - sinceMs + this.#visibilityMs < HIDDEN_MS_MAX)
    const failed = await this.#try(() =>
      this.#each(
        due.map(([receipt]) => receipt),
        some => this.#queue.hide(some, this.#visibilityMs),
      ),
    )
    // Its time was over, and another reader may have it: both then write the same events under the same ids.
    for (const receipt of failed ?? []) this.#held.delete(receipt)
  }

  async #each(
    receipts: readonly string[],
    ask: (some: readonly string[]) => Promise<readonly string[]>,
  ): Promise<readonly string[]> {
    const failed: string[] = []
    for (let at = 0; at < receipts.length; at += MESSAGES_MAX)
      failed.push(...(await ask(receipts.slice(at, at + MESSAGES_MAX))))
    return failed
  }

  async #try<T>(ask: () => Promise<T>): Promise<T | undefined> {
    try {
      const answer = await ask()
      this.#failing = false
      return answer
    } catch (thrown) {
      if (!this.#failing)
        this.#log.warn('the queue does not take what we say of its messages', { error: asError(thrown).message })
      this.#failing = true
      return undefined
    }
  }
}
