import { asError } from '../../platform/errors.ts'
import { type FlushContext, flushRange } from './flush.ts'
import type { Range } from './plan.ts'
import type { FillingRange, RangeStream } from './stream.ts'

const HURRIED_WAIT_MS_MAX = 1_000

interface Job {
  readonly stream: RangeStream
  readonly range: Range
  readonly filling: FillingRange
}

/** Complete ranges on their way into objects, one after the other, and what the spool takes on disk. */
export class FlushQueue {
  readonly #context: FlushContext
  readonly #jobs: Job[] = []
  #running: Promise<void> | undefined
  /** On disk: everything, and what belongs to ranges being filled again. */
  #bytes = 0
  #againBytes = 0
  #freed = Promise.withResolvers<void>()
  #patience = new AbortController()
  #hurried = false

  constructor(context: Omit<FlushContext, 'wait'>) {
    this.#context = { ...context, wait: ms => this.#wait(ms) }
    context.signal.addEventListener('abort', () => this.#patience.abort(), { once: true })
  }

  /** Bytes of ranges being filled for the first time or waiting for their objects. */
  get newBytes(): number {
    return this.#bytes - this.#againBytes
  }

  /** Resolves when the next range has left the spool, or on `wake`. */
  get freed(): Promise<void> {
    return this.#freed.promise
  }

  account({ again }: FillingRange, bytes: number): void {
    this.#bytes += bytes
    if (again) this.#againBytes += bytes
    this.#context.measures.spooled(this.#bytes)
  }

  /** The range is complete: nothing is added to its spool any more. */
  push(stream: RangeStream, range: Range): void {
    const filling = stream.filling.get(range.first)
    if (!filling) return // Filled again, but none of its records is left: all were dropped on the way here.
    stream.filling.delete(range.first)
    filling.timer.abort()
    this.#jobs.push({ stream, range, filling })
    this.#running ??= this.#run()
  }

  /** Removes a spool that has been written or is not wanted any more. */
  async release(filling: FillingRange): Promise<void> {
    const { bytes } = filling.spool
    // A file that cannot be removed now is removed with all the others when the next process starts.
    await filling.spool.remove().catch(error => this.#context.measures.failed('spool', asError(error)))
    this.account(filling, -bytes)
    this.wake()
  }

  wake(): void {
    this.#freed.resolve()
    this.#freed = Promise.withResolvers<void>()
  }

  /** The engine waits for us to finish: a try that would be made in half a minute is made now, and again soon. */
  hurry(): void {
    if (this.#hurried || this.#context.signal.aborted) return
    this.#hurried = true
    this.#patience.abort()
    this.#patience = new AbortController()
  }

  /** After the context's signal aborted: resolves when nothing is being written any more. */
  async close(): Promise<void> {
    await this.#running
  }

  #wait(ms: number): Promise<void> {
    return this.#context.deps.clock.wait(this.#hurried ? Math.min(ms, HURRIED_WAIT_MS_MAX) : ms, this.#patience.signal)
  }

  async #run(): Promise<void> {
    await Promise.resolve()
    for (let job = this.#jobs.shift(); job; job = this.#jobs.shift()) await this.#flush(job)
    this.#running = undefined
  }

  async #flush({ stream, range, filling }: Job): Promise<void> {
    try {
      const outcome = await flushRange(stream, range, filling.spool, this.#context)
      // Dropped because the sink closes: stays unsettled, and the engine gives it back.
      if (outcome === 'durable' || stream.revoked) filling.durable.resolve()
    } catch (thrown) {
      filling.durable.reject(asError(thrown))
    }
    await this.release(filling)
  }
}
