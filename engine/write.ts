import { type Backoff, backoffMs } from '../platform/backoff.ts'
import type { Clock } from '../platform/clock.ts'
import { asError, HaetaeError, hasCode } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Counter } from '../platform/metrics.ts'
import type { DeadLetter, Encoded, Rejection, Sink, Verdict } from './contract.ts'

export interface WriteContext {
  readonly name: string
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  readonly backoff: Backoff
  /** Aborts when the engine gives up waiting: the drain deadline passed or another delivery failed for good. */
  readonly signal: AbortSignal
  readonly retries: Counter
  /** Called at once when a promise for later is broken: the write that it came from may still go on for hours. */
  broken(thrown: unknown): void
  /** Resolves when the rejected records are durable in the dead letter. */
  deadLetter(rejected: readonly { readonly record: Encoded; readonly reason: string }[]): Promise<void>
}

/** Thrown when the engine stopped waiting; the delivery is nacked and read again by the next process. */
export class GaveUp extends Error {}

/**
 * One sink's retry loop: returns when each record has a final verdict, with what the sink promised for later. Retries
 * for ever with backoff and jitter; only the records named are written again. An impossible verdict stops the pipeline.
 */
export async function writeAll(
  sink: Sink,
  records: readonly Encoded[],
  context: WriteContext,
): Promise<Promise<void>[]> {
  const promised: Promise<void>[] = []
  let pending = records
  for (let attempt = 0; ; attempt++) {
    if (context.signal.aborted) throw new GaveUp(`${context.name}: stopped before every record was written`)
    const verdict = await tryWrite(sink, pending, context, attempt)
    checkPositions(verdict, pending.length, context.name)
    if (verdict.later) promised.push(observed(verdict.later, context))
    if (verdict.reject.length > 0) await context.deadLetter(rejectedRecords(pending, verdict.reject))
    if (verdict.retry.length === 0) return promised
    context.retries.add({ component: context.name }, verdict.retry.length)
    if (verdict.retry.length < pending.length) attempt = 0
    pending = verdict.retry.map(index => pending[index]!)
    const { retryAfterMs = 0, retryWithinMs = Number.POSITIVE_INFINITY } = verdict
    const backoff = backoffMs(context.backoff, attempt, context.random)
    const waitMs = Math.max(retryAfterMs, Math.min(backoff, retryWithinMs))
    await context.clock.wait(waitMs, context.signal)
  }
}

async function tryWrite(
  sink: Sink,
  records: readonly Encoded[],
  context: WriteContext,
  attempt: number,
): Promise<Verdict> {
  try {
    return await sink.write(records, context.signal)
  } catch (thrown) {
    if (hasCode(thrown, 'VERDICT_OUT_OF_RANGE')) throw thrown
    // The first failure of a row is said; the rest is in the retry counter.
    if (attempt === 0) context.log.warn('a sink failed and is tried again', { error: asError(thrown).message })
    return { retry: records.map((_, index) => index), reject: [] }
  }
}

function rejectedRecords(
  records: readonly Encoded[],
  rejections: readonly Rejection[],
): { readonly record: Encoded; readonly reason: string }[] {
  return rejections.map(({ index, reason }) => ({ record: records[index]!, reason }))
}

/** Every position in range and named once; a wrong one could lose or double an event, so it is never tolerated. */
export function checkPositions(verdict: Verdict, count: number, name: string): void {
  if (verdict.retry.length === 0 && verdict.reject.length === 0) return
  const seen = new Set<number>()
  for (const index of [...verdict.retry, ...verdict.reject.map(rejection => rejection.index)]) {
    if (!Number.isInteger(index) || index < 0 || index >= count || seen.has(index)) {
      throw new HaetaeError(
        'VERDICT_OUT_OF_RANGE',
        `${name} gave a verdict for position ${index} of a batch of ${count}: a fault in the sink; the pipeline stops`,
      )
    }
    seen.add(index)
  }
}

function observed(promise: Promise<void>, context: WriteContext): Promise<void> {
  promise.catch(thrown => context.broken(thrown))
  return promise
}

export interface DeadLetterStore {
  /** Resolves when durable; rejects when it cannot be written (and may then have written part of it). */
  write(letters: readonly DeadLetter[]): Promise<void>
}

/** Writes to the dead letter, for ever: while it is unwritable the delivery stays open and reading stops. */
export async function writeDeadLetters(
  store: DeadLetterStore,
  letters: readonly DeadLetter[],
  context: Pick<WriteContext, 'clock' | 'log' | 'random' | 'backoff' | 'signal'>,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await store.write(letters)
    } catch (thrown) {
      if (attempt === 0) {
        context.log.error('the dead letter cannot be written: reading stops until it can', {
          code: hasCode(thrown, 'DEADLETTER_FULL') ? 'DEADLETTER_FULL' : 'DEADLETTER_UNWRITABLE',
          error: asError(thrown).message,
        })
      }
    }
    await context.clock.wait(backoffMs(context.backoff, attempt, context.random), context.signal)
    if (context.signal.aborted) throw new GaveUp('stopped while the dead letter was unwritable')
  }
}
