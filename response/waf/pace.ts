import type { Clock } from '../../platform/clock.ts'

/** Turns at least `everyMs` apart, in the order in which they were asked for. */
export class Pace {
  readonly #everyMs: number
  readonly #clock: Clock
  #nextMs = Number.NEGATIVE_INFINITY

  constructor(everyMs: number, clock: Clock) {
    this.#everyMs = everyMs
    this.#clock = clock
  }

  /** Resolves when it is the caller's turn, or `signal` aborted. */
  async turn(signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.monotonicMs()
    const turnMs = Math.max(nowMs, this.#nextMs)
    this.#nextMs = turnMs + this.#everyMs
    if (turnMs > nowMs) await this.#clock.wait(turnMs - nowMs, signal)
  }

  /** What the turn was for happens only now: the next one is counted from here. */
  taken(): void {
    this.#nextMs = Math.max(this.#nextMs, this.#clock.monotonicMs() + this.#everyMs)
  }
}
