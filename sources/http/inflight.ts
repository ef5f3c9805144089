/** What one request holds of the shared bound. Every method is safe to call after `release`. */
export interface Hold {
  /** False, and nothing taken, when that would pass the bound. */
  grow(bytes: number): boolean
  shrink(bytes: number): void
  /** Gives everything back; only the first call counts. */
  release(): void
}

/**
 * Counts the memory of all requests that are being received, waiting, or with the engine: the decompressed body (twice
 * while its buffer grows), the positions of its records, and the text of a body that needs the general JSON parser.
 */
export class Inflight {
  readonly #bytesMax: number
  readonly #requestsMax: number
  readonly #changed: (bytes: number) => void
  #bytes = 0
  #requests = 0

  constructor(bytesMax: number, requestsMax: number, changed: (bytes: number) => void) {
    this.#bytesMax = bytesMax
    this.#requestsMax = requestsMax
    this.#changed = changed
  }

  get bytes(): number {
    return this.#bytes
  }

  get requests(): number {
    return this.#requests
  }

  /** undefined when one more request, or that many bytes more, would pass a bound. */
  hold(bytes: number): Hold | undefined {
    if (this.#requests >= this.#requestsMax || !this.#take(bytes)) return undefined
    this.#requests++
    let held = bytes
    let released = false
    return {
      grow: more => {
        if (released || !this.#take(more)) return false
        held += more
        return true
      },
      shrink: less => {
        if (released) return
        held -= less
        this.#take(-less)
      },
      release: () => {
        if (released) return
        released = true
        this.#requests--
        this.#take(-held)
      },
    }
  }

  #take(bytes: number): boolean {
    if (bytes > 0 && this.#bytes + bytes > this.#bytesMax) return false
    this.#bytes += bytes
    this.#changed(this.#bytes)
    return true
  }
}
