import type { Delivery, Deps } from '../../engine/contract.ts'
import { RecordEvent } from '../../engine/event.ts'
import type { ActionRecord } from './records.ts'

interface Waiting {
  readonly records: readonly ActionRecord[]
  readonly settled: (stored: boolean) => void
}

const WAITING_MAX = 64

/** Between a person who waits for an answer and the engine that makes it durable. */
export class ActionQueue {
  readonly #deps: Deps
  readonly #waiting: Waiting[] = []
  #wake: (() => void) | undefined
  #stopped = false

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** True once the records are stored; false when they are not in time, and may be stored all the same. */
  store(records: readonly ActionRecord[], withinMs: number): Promise<boolean> {
    if (this.#stopped || this.#waiting.length >= WAITING_MAX) return Promise.resolve(false)
    return new Promise(resolve => {
      const over = new AbortController()
      const settled = (stored: boolean): void => {
        over.abort()
        resolve(stored)
      }
      this.#waiting.push({ records, settled })
      this.#wake?.()
      void this.#deps.clock.wait(withinMs, over.signal).then(() => settled(false))
    })
  }

  /** As Source.read. */
  async read(signal: AbortSignal): Promise<Delivery | undefined> {
    while (this.#waiting.length === 0) {
      if (signal.aborted) return undefined
      await new Promise<void>(resolve => {
        this.#wake = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
      this.#wake = undefined
    }
    const { records, settled } = this.#waiting.shift()!
    const nowMs = this.#deps.clock.now()
    const batch = records.map(({ kind, key, json }) => {
      const event = new RecordEvent(kind, Buffer.from(JSON.stringify(json)), nowMs)
      event.key = key
      return event
    })
    return { batch, ack: () => settled(true), nack: () => settled(false) }
  }

  stop(): void {
    this.#stopped = true
    for (const { settled } of this.#waiting.splice(0)) settled(false)
  }
}
