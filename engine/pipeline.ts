import type { Clock } from '../platform/clock.ts'
import { asError, HaetaeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import { type Backoff, writeBackoff } from './backoff.ts'
import type { Alert, Batch, DeadLetter, Delivery, Detector, Encoded, Event, Sink, Source } from './contract.ts'
import { deadLetterOf } from './dead-letter.ts'
import { engineMetrics } from './measures.ts'
import { Room } from './room.ts'
import { type NamedStage, type Rejected, runStages } from './stages.ts'
import { type DeadLetterStore, GaveUp, type WriteContext, writeAll, writeDeadLetters } from './write.ts'

export interface NamedSink {
  readonly name: string
  readonly sink: Sink
}
export interface NamedDetector {
  readonly name: string
  readonly detector: Detector
}

export interface Plan {
  readonly name: string
  readonly source: Source
  readonly stages: readonly NamedStage[]
  readonly detectors: readonly NamedDetector[]
  readonly sinks: readonly NamedSink[]
  readonly alertSinks: readonly NamedSink[]
  readonly deadLetter: DeadLetterStore
  /** Deliveries being written at once; 1 = strict order of writes. */
  readonly deliveriesMax: number
  /** Raw bytes of the deliveries being written. */
  readonly residentBytesMax: number
  /** After a stop: how long what was read may take to settle before it is given back. */
  readonly drainMs: number
}

export interface RunDeps {
  readonly log: Log
  readonly metrics: Metrics
  readonly clock: Clock
  /** 0 ≤ x < 1; a seeded one makes a run repeatable. */
  readonly random?: () => number
  readonly backoff?: Backoff
}

/**
 * Runs a pipeline until its input ends, `signal` aborts, or a delivery fails for good: then it throws that failure. On
 * return every delivery was acked or nacked exactly once and every component is closed.
 */
export async function run(plan: Plan, deps: RunDeps, signal: AbortSignal): Promise<void> {
  await new Run(plan, deps).untilStopped(signal)
}

/** How long the loop may run without letting timers and sockets have their turn. */
const TURN_MS_MAX = 20

const DRAIN_AGAIN_MS = 250

const EMPTY = Buffer.alloc(0)

class Run {
  readonly #plan: Plan
  readonly #deps: RunDeps
  readonly #room: Room
  readonly #measure: ReturnType<typeof engineMetrics>
  readonly #encodes: boolean
  readonly #stopReading = new AbortController()
  readonly #giveUp = new AbortController()
  readonly #open = new Set<Promise<void>>()
  readonly #failedDetectors = new Set<string>()
  #failure: Error | undefined

  constructor(plan: Plan, deps: RunDeps) {
    this.#plan = plan
    this.#deps = deps
    this.#room = new Room(plan.deliveriesMax, plan.residentBytesMax, this.#stopReading.signal)
    this.#measure = engineMetrics(deps.metrics, plan.name)
    this.#encodes = plan.sinks.some(({ sink }) => sink.wants !== 'raw')
  }

  async untilStopped(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#stopReading.abort()
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    try {
      await this.#readAll()
    } catch (thrown) {
      this.#fail(asError(thrown))
    }
    signal.removeEventListener('abort', stop)
    await this.#drain(signal)
    await this.#close()
    if (this.#failure) throw this.#failure
  }

  async #readAll(): Promise<void> {
    const stopping = this.#stopReading.signal
    const { source } = this.#plan
    let turnStartedMs = this.#deps.clock.monotonicMs()
    for (;;) {
      await this.#room.wait()
      if (stopping.aborted) return
      const delivery = await source.read(stopping)
      if (!delivery) return
      await this.#accept(delivery)
      if (this.#deps.clock.monotonicMs() - turnStartedMs > TURN_MS_MAX) {
        await new Promise(resolve => setImmediate(resolve))
        turnStartedMs = this.#deps.clock.monotonicMs()
      }
    }
  }

  /** Stages and detectors run here, in read order; only the writes that follow overlap. */
  async #accept(delivery: Delivery): Promise<void> {
    const { batch } = delivery
    const bytes = batch.reduce((sum, event) => sum + event.raw.length, 0)
    this.#room.enter(bytes)
    this.#measure.read(batch.length, bytes)
    const settle = settleOnce(delivery)
    try {
      const staged = await runStages(this.#plan.stages, batch, this.#deps.clock.now())
      for (const [at, count] of staged.dropped.entries()) this.#measure.dropped(this.#plan.stages[at]!.name, count)
      const rejected = [...staged.rejected]
      const alerts = this.#detect(staged.events)
      const records = this.#encode(staged.events, rejected)
      const written = this.#write(records, alerts, rejected, bytes)
      this.#track(written, settle, batch.length)
    } catch (thrown) {
      this.#room.leave(bytes)
      settle.nack(asError(thrown))
      throw thrown
    }
  }

  /** Follows a delivery until it is settled. A failure, whenever it comes, stops the loop and is what run() throws. */
  #track(written: Promise<readonly Promise<void>[]>, settle: Settle, count: number): void {
    const settled = this.#settle(written, settle, count)
    this.#open.add(settled)
    void settled.finally(() => this.#open.delete(settled))
  }

  async #settle(written: Promise<readonly Promise<void>[]>, settle: Settle, count: number): Promise<void> {
    try {
      await orGiveUp(Promise.all(await written), this.#giveUp.signal)
    } catch (thrown) {
      const error = asError(thrown)
      if (!(error instanceof GaveUp)) this.#fail(error)
      return settle.nack(error)
    }
    try {
      settle.ack()
      this.#measure.acked(count)
    } catch (thrown) {
      this.#fail(asError(thrown))
    }
  }

  /** Resolves with the promises of spooling sinks once the records themselves may be let go. */
  async #write(
    records: readonly Encoded[],
    alerts: readonly Encoded[],
    rejected: readonly Rejected[],
    bytes: number,
  ): Promise<readonly Promise<void>[]> {
    try {
      const { sinks, alertSinks } = this.#plan
      const writes = [
        ...(records.length > 0 ? sinks.map(named => this.#writeTo(named, records)) : []),
        ...(alerts.length > 0 ? alertSinks.map(named => this.#writeTo(named, alerts)) : []),
      ]
      if (rejected.length > 0) writes.push(this.#writeRejected(rejected).then(() => []))
      // allSettled: a delivery is settled only when nothing of it is still being written.
      const results = await Promise.allSettled(writes)
      const failed = results.find(result => result.status === 'rejected')
      if (failed) throw failed.reason
      return results.flatMap(result => (result.status === 'fulfilled' ? result.value : []))
    } finally {
      this.#room.leave(bytes)
    }
  }

  async #writeTo({ name, sink }: NamedSink, records: readonly Encoded[]): Promise<Promise<void>[]> {
    const promised = await writeAll(sink, records, this.#context(name))
    this.#measure.written(name, records.length)
    return promised
  }

  async #writeRejected(rejected: readonly Rejected[]): Promise<void> {
    const { clock } = this.#deps
    const letters: DeadLetter[] = rejected.map(({ event, stage, reason }) => {
      this.#measure.rejected(stage, reason)
      return deadLetterOf(event, this.#plan.name, stage, reason, clock.now())
    })
    await writeDeadLetters(this.#plan.deadLetter, letters, this.#context('deadletter'))
  }

  #context(name: string): WriteContext {
    const { clock, log, random = Math.random, backoff = writeBackoff } = this.#deps
    return {
      name,
      clock,
      log: log.child({ pipeline: this.#plan.name, component: name }),
      random,
      backoff,
      signal: this.#giveUp.signal,
      retries: this.#measure.retries,
      deadLetter: refused =>
        this.#writeRejected(refused.map(({ record, reason }) => ({ event: record.event, stage: name, reason }))),
    }
  }

  #detect(events: Batch): Encoded[] {
    const alerts: Alert[] = []
    for (const { name, detector } of this.#plan.detectors) {
      try {
        detector.detect(events, alert => alerts.push(alert))
      } catch (thrown) {
        // A detector that fails must not hold back the events it looked at.
        this.#measure.detectorFailed(name)
        if (this.#failedDetectors.has(name)) continue
        this.#failedDetectors.add(name)
        this.#deps.log.error('a detector failed; its events go on', { detector: name, error: asError(thrown).message })
      }
    }
    return alerts.map(event => ({ event, json: jsonOf(event) }))
  }

  #encode(events: Batch, rejected: Rejected[]): Encoded[] {
    if (!this.#encodes) return events.map(event => ({ event, json: EMPTY }))
    const records: Encoded[] = []
    for (const event of events) {
      try {
        records.push({ event, json: jsonOf(event) })
      } catch (thrown) {
        rejected.push({ event, stage: 'encode', reason: `not_encodable: ${asError(thrown).message.slice(0, 500)}` })
      }
    }
    return records
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#stopReading.abort()
    // Deliveries that wait for a destination would wait for ever: give them back now.
    this.#giveUp.abort()
  }

  /** Nothing more is read: lets spooling sinks finish, and after `drainMs` gives back what has not settled. */
  async #drain(signal: AbortSignal): Promise<void> {
    const timer = new AbortController()
    const settled = async (): Promise<void> => {
      while (this.#open.size > 0) {
        for (const { sink } of [...this.#plan.sinks, ...this.#plan.alertSinks]) sink.drain?.()
        // Again now and then: a record that was tried again after the last call may be held back anew.
        await Promise.race([...this.#open, this.#deps.clock.wait(DRAIN_AGAIN_MS, timer.signal)])
      }
    }
    const done = settled()
    const deadline = async (): Promise<void> => {
      if (!signal.aborted) await new Promise<void>(resolve => whenAborted(resolve, signal, timer.signal))
      await this.#deps.clock.wait(this.#plan.drainMs, timer.signal)
      if (!timer.signal.aborted) this.#giveUp.abort()
    }
    const waiting = deadline()
    await done
    timer.abort()
    await waiting
  }

  async #close(): Promise<void> {
    const { source, stages, sinks, alertSinks } = this.#plan
    const closing = [
      ...[...sinks, ...alertSinks].reverse().map(({ sink }) => sink),
      ...stages.toReversed().map(({ stage }) => stage),
      source,
    ]
    for (const component of closing) {
      try {
        await component.close?.()
      } catch (thrown) {
        this.#failure ??= asError(thrown)
      }
    }
  }
}

function jsonOf(event: Event): Buffer {
  return event.encode ? event.encode() : Buffer.from(JSON.stringify(event.body))
}

interface Settle {
  ack(): void
  nack(cause: Error): void
}

/** Holds the closures only, so that a spooled delivery does not keep its batch alive; a second call is a fault of ours. */
function settleOnce({ ack, nack }: Delivery): Settle {
  let settled = false
  const first = (): void => {
    if (settled) throw new HaetaeError('ACK_TWICE', 'a delivery was settled twice: a fault in the engine')
    settled = true
  }
  return {
    ack() {
      first()
      ack()
    },
    nack(cause) {
      first()
      nack(cause)
    },
  }
}

async function orGiveUp<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let giveUp = (): void => undefined
  const gaveUp = new Promise<never>((_, reject) => {
    giveUp = () => reject(new GaveUp('stopped before everything held back was durable'))
    if (signal.aborted) giveUp()
    signal.addEventListener('abort', giveUp, { once: true })
  })
  try {
    return await Promise.race([promise, gaveUp])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

function whenAborted(then: () => void, ...signals: readonly AbortSignal[]): void {
  for (const signal of signals) {
    if (signal.aborted) then()
    signal.addEventListener('abort', () => then(), { once: true })
  }
}
