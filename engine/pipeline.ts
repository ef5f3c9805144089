import { type Backoff, writeBackoff } from '../platform/backoff.ts'
import type { Clock } from '../platform/clock.ts'
import { asError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Alert, Batch, DeadLetter, Delivery, Detector, Encoded, Event, Sink, Source } from './contract.ts'
import { deadLetterOf } from './dead-letter.ts'
import { type Ages, agesOf, engineMetrics } from './measures.ts'
import { Room } from './room.ts'
import { orGiveUp, type Settle, settleOnce } from './settle.ts'
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

/** While draining: a record that was tried again after the last call of `drain` may be held back anew. */
const DRAIN_AGAIN_MS = 250

/** How long a sink may take to end a write that was given up, before its delivery is given back without it. */
const GIVE_UP_MS = 5_000

const EMPTY = Buffer.alloc(0)

class Run {
  readonly #plan: Plan
  readonly #deps: RunDeps
  readonly #room: Room
  readonly #measure: ReturnType<typeof engineMetrics>
  readonly #encodes: boolean
  readonly #stopReading = new AbortController()
  /** Nothing is waited for or tried again any more; a write under way may end. */
  readonly #giveUp = new AbortController()
  /** Nor is a write that does not end. */
  readonly #abandon = new AbortController()
  #open = 0
  #whenSettled = (): void => undefined
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
      this.#fail(thrown)
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
      const staged = await runStages(this.#plan.stages, batch)
      if (delivery.muted) {
        this.#detect(staged.events)
        this.#measure.muted(batch.length)
        this.#room.leave(bytes)
        delivery.staged?.()
        settle.ack()
        return
      }
      for (const [at, count] of staged.dropped.entries()) this.#measure.dropped(this.#plan.stages[at]!.name, count)
      const rejected = [...staged.rejected]
      const alerts = encodeAll(this.#detect(staged.events), rejected)
      const records = this.#encodes ? encodeAll(staged.events, rejected) : staged.events.map(withoutJson)
      const written = this.#write(records, alerts, rejected, bytes)
      delivery.staged?.()
      void this.#follow(written, settle, batch.length, agesOf(staged.events))
    } catch (thrown) {
      this.#room.leave(bytes)
      this.#fail(thrown)
      settle.nack(asError(thrown))
    }
  }

  /** Follows a delivery until it is settled. Never rejects: a failure, whenever it comes, is what run() throws. */
  async #follow(
    written: Promise<readonly Promise<void>[]>,
    settle: Settle,
    count: number,
    ages: Ages | undefined,
  ): Promise<void> {
    this.#open++
    try {
      const cause = await this.#failureOf(written)
      if (cause) settle.nack(cause)
      else {
        settle.ack()
        this.#measure.acked(count)
        this.#measure.durable(ages, this.#deps.clock.now())
      }
    } catch (thrown) {
      this.#fail(thrown)
    }
    this.#open--
    this.#whenSettled()
  }

  async #failureOf(written: Promise<readonly Promise<void>[]>): Promise<Error | undefined> {
    try {
      const promised = await orGiveUp(written, this.#abandon.signal)
      await orGiveUp(Promise.all(promised), this.#giveUp.signal)
      return undefined
    } catch (thrown) {
      return asError(thrown)
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
      // At once, not when the slowest is done: another destination of this delivery may be down for hours.
      for (const write of writes) write.catch(thrown => this.#fail(thrown))
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
      broken: thrown => this.#fail(thrown),
      deadLetter: refused =>
        this.#writeRejected(refused.map(({ record, reason }) => ({ event: record.event, stage: name, reason }))),
    }
  }

  #detect(events: Batch): Alert[] {
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
    return alerts
  }

  /** The first failure is what run() throws; giving up is none. */
  #fail(thrown: unknown): void {
    if (thrown instanceof GaveUp) return
    this.#failure ??= asError(thrown)
    this.#stopReading.abort()
    // Deliveries that wait for a destination would wait for ever: give them back now.
    this.#giveUp.abort()
  }

  /** Nothing more is read: lets spooling sinks finish, and after `drainMs` gives back what has not settled. */
  async #drain(signal: AbortSignal): Promise<void> {
    const idle = new AbortController()
    this.#whenSettled = () => {
      if (this.#open === 0) idle.abort()
    }
    this.#whenSettled()
    const deadline = this.#deadline(signal, idle.signal)
    while (!idle.signal.aborted) {
      try {
        for (const { sink } of [...this.#plan.sinks, ...this.#plan.alertSinks]) sink.drain?.()
      } catch (thrown) {
        this.#fail(thrown)
      }
      await this.#deps.clock.wait(DRAIN_AGAIN_MS, idle.signal)
    }
    await deadline
  }

  async #deadline(signal: AbortSignal, idle: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    const giveUp = this.#giveUp.signal
    await aborted(AbortSignal.any([signal, giveUp, idle]))
    await clock.wait(this.#plan.drainMs, AbortSignal.any([giveUp, idle]))
    if (idle.aborted) return
    this.#giveUp.abort()
    await clock.wait(GIVE_UP_MS, idle)
    if (!idle.aborted) this.#abandon.abort()
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

function withoutJson(event: Event): Encoded {
  return { event, json: EMPTY }
}

function encodeAll(events: readonly Event[], rejected: Rejected[]): Encoded[] {
  const records: Encoded[] = []
  for (const event of events) {
    try {
      const json = event.encode ? event.encode() : Buffer.from(JSON.stringify(event.body))
      records.push({ event, json })
    } catch (thrown) {
      rejected.push({ event, stage: 'encode', reason: `not_encodable: ${asError(thrown).message.slice(0, 500)}` })
    }
  }
  return records
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
