import type { Batch, Delivery, Source } from '../../engine/contract.ts'
import { RecordEvent } from '../../engine/event.ts'
import type { Random } from '../support/random.ts'
import { Life } from './life.ts'
import type { World } from './world.ts'

/** What becomes of a record on its way; see process.ts. */
const fates = ['ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'bad', 'dull', 'poison', 'refused', 'unstorable'] as const

export interface Request {
  readonly marker: string
  readonly records: readonly Buffer[]
  /** An answer 200 left the process: what it says must hold from then on. */
  acknowledged: boolean
  /** It also reached the client, which then stops asking. */
  answered: boolean
}

const ANSWER_TIMEOUT_MS = 8_000

/** A client such as Firehose: sends a request again, with the same id, until it sees an answer. */
export class Client {
  readonly requests: Request[] = []
  readonly #world: World
  readonly #random: Random
  readonly #waiting: Request[] = []
  #arrived = (): void => undefined

  constructor(world: World) {
    this.#world = world
    this.#random = world.random.fork()
  }

  /** Sends `count` requests at random moments of the next `overMs`. */
  plan(count: number, overMs: number): void {
    let made = 0
    for (let n = 0; n < count; n++) {
      const records = Array.from({ length: this.#random.int(1, 12) }, () => this.#record(made++))
      const request: Request = { marker: `request-${n}`, records, acknowledged: false, answered: false }
      this.requests.push(request)
      this.#world.time.after(this.#random.int(0, overMs), () => this.#send(request))
    }
  }

  get content(): boolean {
    return this.requests.every(({ answered }) => answered)
  }

  /** The ingest source of one process. A request that waits when the process dies is asked again by its client. */
  source(life: Life): Source {
    life.onDeath(() => this.#waiting.splice(0))
    return {
      read: async signal => {
        for (;;) {
          if (!life.alive) return Life.limbo
          if (signal.aborted) return undefined
          const request = this.#waiting.shift()
          if (request) return this.#delivery(request, life)
          await new Promise<void>(resolve => {
            this.#arrived = resolve
            signal.addEventListener('abort', () => resolve(), { once: true })
          })
        }
      },
      close: () => Promise.resolve(),
    }
  }

  #record(n: number): Buffer {
    return Buffer.from(
      JSON.stringify({ n, client: `192.0.2.${this.#random.int(1, 6)}`, fate: this.#random.pick(fates) }),
    )
  }

  #send(request: Request): void {
    if (request.answered) return
    this.#waiting.push(request)
    this.#arrived()
    this.#world.time.after(ANSWER_TIMEOUT_MS, () => this.#send(request))
  }

  #delivery(request: Request, life: Life): Delivery {
    const { time } = this.#world
    const batch: Batch = request.records.map(raw => new RecordEvent('waf', raw, time.nowMs, undefined, request.marker))
    return this.#world.watched('ingest', {
      batch,
      ack: () => {
        if (!life.alive) return
        request.acknowledged = true
        if (this.#random.chance(this.#world.faults.answer)) return
        time.after(this.#random.int(1, 50), () => {
          request.answered = true
        })
      },
      nack: () => undefined, // 503: the client comes back by itself.
    })
  }
}
