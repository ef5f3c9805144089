import type { Batch, DeadLetter, Delivery, Encoded, Event, Sink, Source, Verdict } from '../../engine/contract.ts'
import type { Plan, RunDeps } from '../../engine/pipeline.ts'
import { run } from '../../engine/pipeline.ts'
import type { DeadLetterStore } from '../../engine/write.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { FakeClock } from './clock.ts'
import { eventOf } from './deps.ts'

export const durable: Verdict = { retry: [], reject: [] }

/** A delivery as a test sees it: what it carried and how it was settled. */
export class TestDelivery implements Delivery {
  readonly batch: Batch
  acks = 0
  readonly nacks: Error[] = []

  constructor(batch: Batch) {
    this.batch = batch
  }

  readonly ack = (): void => {
    this.acks++
  }

  readonly nack = (cause: Error): void => {
    this.nacks.push(cause)
  }

  /** 'ack' or 'nack' when settled exactly once, else what was wrong. */
  get settled(): string {
    if (this.acks + this.nacks.length === 0) return 'open'
    if (this.acks + this.nacks.length > 1) return `${this.acks} acks, ${this.nacks.length} nacks`
    return this.acks === 1 ? 'ack' : 'nack'
  }
}

/** Gives the deliveries that the test pushes, in order, and waits in between as a real source does. */
export class TestSource implements Source {
  reads = 0
  /** Deliveries that were handed to the engine. */
  given = 0
  aborted = 0
  closed = 0
  #waiting: (Delivery | Error)[] = []
  #ended = false
  #wake = (): void => undefined

  push(...records: unknown[]): TestDelivery {
    const delivery = new TestDelivery(records.map(record => (isEvent(record) ? record : eventOf(record))))
    this.give(delivery)
    return delivery
  }

  give(next: Delivery | Error): void {
    this.#waiting.push(next)
    this.#wake()
  }

  end(): void {
    this.#ended = true
    this.#wake()
  }

  async read(signal: AbortSignal): Promise<Delivery | undefined> {
    this.reads++
    for (;;) {
      if (signal.aborted) {
        this.aborted++
        return undefined
      }
      const next = this.#waiting.shift()
      if (next instanceof Error) throw next
      if (next) {
        this.given++
        return next
      }
      if (this.#ended) return undefined
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      signal.addEventListener('abort', this.#wake, { once: true })
      await promise
      signal.removeEventListener('abort', this.#wake)
    }
  }

  close(): Promise<void> {
    this.closed++
    return Promise.resolve()
  }
}

function isEvent(record: unknown): record is Event {
  return typeof record === 'object' && record !== null && 'raw' in record && 'encode' in record
}

type Answer = (records: readonly Encoded[], call: number, signal: AbortSignal) => Verdict | Promise<Verdict>

/** Answers as the test says and remembers what it was given. */
export class TestSink implements Sink {
  readonly writes: (readonly Encoded[])[] = []
  drains = 0
  closed = 0
  answer: Answer

  constructor(answer: Answer = () => durable) {
    this.answer = answer
  }

  async write(records: readonly Encoded[], signal: AbortSignal): Promise<Verdict> {
    this.writes.push(records)
    return await this.answer(records, this.writes.length, signal)
  }

  drain(): void {
    this.drains++
  }

  close(): Promise<void> {
    this.closed++
    return Promise.resolve()
  }

  /** Raw bytes of every record written, call by call. */
  get texts(): string[][] {
    return this.writes.map(records => records.map(({ event }) => event.raw.toString()))
  }
}

export class MemoryDeadLetter implements DeadLetterStore {
  readonly letters: DeadLetter[] = []
  failing = false
  tries = 0

  write(letters: readonly DeadLetter[]): Promise<void> {
    this.tries++
    if (this.failing) return Promise.reject(new Error('ENOSPC: no space left on device'))
    this.letters.push(...letters)
    return Promise.resolve()
  }
}

/** A pipeline over fakes that is running; `done` is what run() returns. */
export interface Running {
  readonly source: TestSource
  readonly clock: FakeClock
  readonly dead: MemoryDeadLetter
  readonly done: Promise<void>
  /** 'running', 'done' or the message that run() threw. */
  readonly state: () => string
  readonly stop: () => void
}

export function start(plan: Partial<Plan>, deps: Partial<RunDeps> = {}): Running {
  const source = new TestSource()
  const clock = new FakeClock()
  const dead = new MemoryDeadLetter()
  const stop = new AbortController()
  let state = 'running'
  const whole: Plan = {
    name: 'test',
    source,
    stages: [],
    detectors: [],
    sinks: [],
    alertSinks: [],
    deadLetter: dead,
    deliveriesMax: 4,
    residentBytesMax: 64 * 1024 * 1024,
    drainMs: 10_000,
    ...plan,
  }
  const done = run(whole, { log: silentLog, metrics: createMetrics(), clock, random: () => 0.5, ...deps }, stop.signal)
  done.then(
    () => {
      state = 'done'
    },
    (error: Error) => {
      state = error.message
    },
  )
  return { source, clock, dead, done, state: () => state, stop: () => stop.abort() }
}
