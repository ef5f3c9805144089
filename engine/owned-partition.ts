import type { Encoded, Positions, Rejection, Verdict } from './contract.ts'

/** What a sink holds while it owns a partition, from the topics to what runs. */
export interface Holding<T> {
  /** Reads what is known from the topics and starts what runs; begins only when what ran before has come to rest. `isLost` in the end: it starts stopped. */
  readonly restore: (isLost: () => boolean) => Promise<T>
  /** Ends what runs and waits for it; `lost`: another process owns it now. */
  readonly end: (held: T, why: 'lost' | undefined) => Promise<unknown>
  /** It cannot be held yet; it is tried again. */
  readonly failed: (thrown: unknown) => void
}

const RETRY_AFTER_MS = 1_000

/** For sinks that do their work aside, in the one process that has a partition: when it begins, ends, and what writes say meanwhile. */
export class OwnedPartition<T> {
  readonly #holding: Holding<T>
  #held: Promise<T> | undefined
  /** The partition went to another process: what is still written here is read again there. */
  #isLost = false
  /** What ran before and has not come to rest. */
  #leaving: Promise<unknown> = Promise.resolve()

  constructor(positions: Pick<Positions, 'onAssigned' | 'onRevoked'>, stream: string, holding: Holding<T>) {
    this.#holding = holding
    positions.onAssigned(streams => {
      if (!streams.includes(stream)) return
      this.#isLost = false
      void this.#own().catch(holding.failed)
    })
    positions.onRevoked(streams => {
      if (!streams.includes(stream)) return
      this.#isLost = true
      void this.leave('lost')
    })
  }

  /** `take` does the work of a write and says which records are refused. When it throws, all of them are written again. */
  async write(
    records: readonly Encoded[],
    take: (held: T, reject: Rejection[]) => Promise<void> | void,
  ): Promise<Verdict> {
    const reject: Rejection[] = []
    // A delivery is tried again even after its partition was taken away: it must not make us its owner once more.
    if (this.#isLost) return { retry: [], reject }
    try {
      const held = await this.#own()
      if (!this.#isLost) await take(held, reject)
      return { retry: [], reject }
    } catch (thrown) {
      if (this.#isLost) return { retry: [], reject }
      this.#holding.failed(thrown)
      return { retry: records.map((_, index) => index), reject: [], retryAfterMs: RETRY_AFTER_MS }
    }
  }

  /** Resolves when nothing runs any more. */
  async leave(why?: 'lost'): Promise<void> {
    const leaving = this.#held
    this.#held = undefined
    this.#leaving = Promise.allSettled([this.#leaving, this.#end(leaving, why)])
    await this.#leaving
  }

  async #end(leaving: Promise<T> | undefined, why: 'lost' | undefined): Promise<void> {
    // What could not be restored runs nothing.
    const held = await leaving?.catch(() => undefined)
    if (held !== undefined) await this.#holding.end(held, why)
  }

  #own(): Promise<T> {
    this.#held ??= this.#leaving.then(() => this.#holding.restore(() => this.#isLost))
    const held = this.#held
    held.catch(() => {
      if (this.#held === held) this.#held = undefined
    })
    return held
  }
}
