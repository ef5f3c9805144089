/** So many at once, and one more every `refillMs`. */
export class Bucket {
  readonly #capacity: number
  readonly #refillMs: number
  #tokens: number
  #filledMs: number | undefined

  constructor(capacity: number, refillMs: number) {
    this.#capacity = capacity
    this.#refillMs = refillMs
    this.#tokens = capacity
  }

  has(nowMs: number): boolean {
    this.#fill(nowMs)
    return this.#tokens >= 1
  }

  take(nowMs: number): void {
    this.#fill(nowMs)
    this.#tokens--
  }

  #fill(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - (this.#filledMs ?? nowMs))
    this.#filledMs = nowMs
    this.#tokens = Math.min(this.#capacity, this.#tokens + passedMs / this.#refillMs)
  }
}
