import type { Gauge } from '../../platform/metrics.ts'

/** How a request went: `slow` and `pushback` lower the number of requests at once, `neutral` says nothing about it. */
export type Pace = 'ok' | 'neutral' | 'slow' | 'pushback'

export interface Slot {
  leave(pace: Pace): void
}

/**
 * Requests at once, between 1 and `max`: one more for each round that went well while all slots were in use, half as many
 * when the server pushes back (429, 503, no answer in time), four fifths when it is slow. Requests that were under way
 * when the number went down do not lower it again.
 */
export class Limiter {
  readonly #max: number
  readonly #gauge: Gauge
  readonly #waiting = new Set<() => void>()
  #limit = 1
  #running = 0
  #round = 0

  constructor(max: number, gauge: Gauge) {
    this.#max = max
    this.#gauge = gauge
    gauge.set(1)
  }

  get limit(): number {
    return Math.floor(this.#limit)
  }

  /** Waits for a slot; undefined when `signal` aborts first. */
  async enter(signal: AbortSignal): Promise<Slot | undefined> {
    while (this.#running >= this.limit) {
      if (signal.aborted) return undefined
      await new Promise<void>(resolve => {
        const wake = (): void => {
          this.#waiting.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#waiting.add(wake)
        signal.addEventListener('abort', wake, { once: true })
      })
    }
    if (signal.aborted) {
      this.#wake()
      return undefined
    }
    this.#running++
    const round = this.#round
    const full = this.#running === this.limit
    return { leave: pace => this.#leave(pace, round, full) }
  }

  /** Back to one request at a time: the destination refuses everything. */
  reset(): void {
    this.#set(1)
    this.#round++
  }

  #leave(pace: Pace, round: number, full: boolean): void {
    this.#running--
    if (pace === 'ok') {
      if (full) this.#set(this.#limit + 1 / this.#limit)
    } else if (pace !== 'neutral' && round === this.#round) {
      this.#round++
      this.#set(this.#limit * (pace === 'slow' ? 0.8 : 0.5))
    }
    this.#wake()
  }

  #set(limit: number): void {
    this.#limit = Math.min(this.#max, Math.max(1, limit))
    this.#gauge.set(this.limit)
  }

  #wake(): void {
    let free = this.limit - this.#running
    for (const wake of this.#waiting) {
      if (free-- <= 0) return
      wake()
    }
  }
}
