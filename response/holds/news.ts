import type { Decision } from '../../platform/response/decision.ts'

const REPEAT_MS = 10 * 60_000
const KEPT_MAX = 10_000

/** Which refusals were told lately: a flood of alerts about one target is refused every time and told once. */
export class News {
  readonly #told = new Map<string, number>()

  /** A person's request always is. */
  isNews({ source, target }: Decision, reason: string, nowMs: number): boolean {
    if (source !== 'detection') return true
    // Whom a tripped budget spares is of no interest one by one.
    const key = reason === 'budget' ? reason : `${reason} ${target.value}`
    const toldMs = this.#told.get(key)
    if (toldMs !== undefined && Math.abs(nowMs - toldMs) < REPEAT_MS) return false
    this.#told.delete(key)
    this.#told.set(key, nowMs)
    const [oldest] = this.#told.keys()
    if (this.#told.size > KEPT_MAX && oldest !== undefined) this.#told.delete(oldest)
    return true
  }
}
