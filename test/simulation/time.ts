import type { Clock } from '../../platform/clock.ts'
import type { Life } from './life.ts'

interface Timer {
  readonly atMs: number
  readonly order: number
  readonly life: Life | undefined
  fire: (() => void) | undefined
}

/**
 * Simulated time: it jumps to the next timer once everything that can run now has run. Real work (LMDB) is announced
 * with `real`; while any is under way time stands still, so that its speed never changes a run.
 */
export class SimTime {
  nowMs = Date.UTC(2026, 10, 24)
  #timers: Timer[] = []
  #order = 0
  #real: Promise<unknown> = Promise.resolve()
  #underway = 0

  /** `life`: whose timer it is; it does not fire when that process is dead by then. */
  after(ms: number, fire: () => void, life?: Life): Timer {
    const timer: Timer = { atMs: this.nowMs + Math.max(0, ms), order: this.#order++, life, fire }
    let at = this.#timers.length
    while (at > 0 && this.#timers[at - 1]!.atMs > timer.atMs) at--
    this.#timers.splice(at, 0, timer)
    return timer
  }

  sleep(ms: number, life?: Life): Promise<void> {
    return new Promise(resolve => this.after(ms, resolve, life))
  }

  /** Real work, one piece after another in the order of the calls. */
  real<T>(work: () => Promise<T>): Promise<T> {
    this.#underway++
    const done = this.#real.then(work)
    this.#real = done.catch(() => undefined).finally(() => this.#underway--)
    return done
  }

  /** The clock that a process sees. A dead process never wakes up. */
  clock(life: Life): Clock {
    return {
      now: () => this.nowMs,
      monotonicMs: () => this.nowMs,
      wait: (ms, signal) => {
        if (signal?.aborted) return Promise.resolve()
        return new Promise(resolve => {
          const wake = (): void => {
            timer.fire = undefined
            signal?.removeEventListener('abort', wake)
            resolve()
          }
          const timer = this.after(ms, wake, life)
          signal?.addEventListener('abort', wake)
        })
      },
    }
  }

  /** Lets time pass until `done`, at most until `limitMs` on the clock. Tells whether it was reached. */
  async runUntil(done: () => boolean, limitMs: number): Promise<boolean> {
    for (;;) {
      await this.#quiet()
      if (done()) return true
      const timer = this.#timers.shift()
      if (!timer || timer.atMs > limitMs) {
        if (timer) this.#timers.unshift(timer)
        return false
      }
      if (!timer.fire || timer.life?.alive === false) continue
      this.nowMs = Math.max(this.nowMs, timer.atMs)
      timer.fire()
    }
  }

  /** Until nothing has happened for two turns and no real work is under way. */
  async #quiet(): Promise<void> {
    for (let quiet = 0; quiet < 2; ) {
      await new Promise(resolve => setImmediate(resolve))
      quiet = this.#underway > 0 || usesDisk() ? 0 : quiet + 1
    }
  }
}

function usesDisk(): boolean {
  return process.getActiveResourcesInfo().some(name => name.startsWith('FSReq') || name === 'CloseReq')
}
