/**
 * How much the engine holds: deliveries being written and their raw bytes. Waiting for room is what makes the engine
 * pull; nothing else holds back a source.
 */
export class Room {
  readonly #deliveriesMax: number
  readonly #bytesMax: number
  readonly #signal: AbortSignal
  #deliveries = 0
  #bytes = 0
  #wake = (): void => undefined

  /** `signal` ends every wait. */
  constructor(deliveriesMax: number, bytesMax: number, signal: AbortSignal) {
    this.#deliveriesMax = deliveriesMax
    this.#bytesMax = bytesMax
    this.#signal = signal
    signal.addEventListener('abort', () => this.#wake(), { once: true })
  }

  /** Resolves when one more delivery may be read, or when the signal aborts. */
  async wait(): Promise<void> {
    while (!this.#signal.aborted && (this.#deliveries >= this.#deliveriesMax || this.#bytes >= this.#bytesMax)) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
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
    this.#wake()
  }
}
