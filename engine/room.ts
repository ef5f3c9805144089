/**
 * How much the engine holds: deliveries being written and their raw bytes. Waiting for room is what makes the engine
 * pull; nothing else holds back a source.
 */
export class Room {
  readonly #deliveriesMax: number
  readonly #bytesMax: number
  #deliveries = 0
  #bytes = 0
  #waiting: (() => void) | undefined

  constructor(deliveriesMax: number, bytesMax: number) {
    this.#deliveriesMax = deliveriesMax
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  get deliveries(): number {
    return this.#deliveries
  }

  /** Resolves when one more delivery may be read, or when `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (this.#deliveries >= this.#deliveriesMax || this.#bytes >= this.#bytesMax)) {
      await new Promise<void>(resolve => {
        this.#waiting = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
  }

  enter(bytes: number): void {
    this.#deliveries++
    this.#bytes += bytes
  }

  leave(bytes: number): void {
    this.#deliveries--
    this.#bytes -= bytes
    const wake = this.#waiting
    this.#waiting = undefined
    wake?.()
  }
}
