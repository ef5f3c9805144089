import type { DeadLetter, Deps } from '../../engine/contract.ts'
import { type Backoff, backoffMs } from '../../platform/backoff.ts'
import { asError, type Cure, cureOf, hasCode, PERSON_WAIT_MS } from '../../platform/errors.ts'
import type { EvidenceKey } from './evidence.ts'
import type { ObjectMeasures } from './measures.ts'
import type { BadRow, ObjectStore } from './objects.ts'
import type { Range } from './plan.ts'
import type { RangeSpool, Split } from './spool.ts'
import type { RangeStream } from './stream.ts'

/** Tries for ever: a full disk or a missing right is mended by somebody, and until then the topic keeps the records. */
const BACKOFF: Backoff = { firstMs: 200, maxMs: 30_000 }
const NOTE_BACKOFF: Backoff = { firstMs: 50, maxMs: 5_000 }

export interface FlushContext {
  readonly deps: Deps
  readonly store: ObjectStore
  readonly key: EvidenceKey | undefined
  /** What the object of a range is called. */
  readonly nameOf: (stream: string, lineage: string, first: bigint) => string
  readonly measures: ObjectMeasures
  /** Aborts when the sink closes. */
  readonly signal: AbortSignal
  /** Waits before another try: until then at the latest, or until the sink is asked to hurry, or closes. */
  wait(ms: number): Promise<void>
}

/**
 * Makes a range durable: its note first, then its objects. Resolves 'durable', or 'dropped' when the stream was revoked or the sink
 * is closing; rejects only with what no retry can mend.
 */
export async function flushRange(
  stream: RangeStream,
  range: Range,
  spool: RangeSpool,
  context: FlushContext,
): Promise<'durable' | 'dropped'> {
  const startedMs = context.deps.clock.monotonicMs()
  if (!(await untilDone(() => stream.noteDown(range), NOTE_BACKOFF, stream, context))) return 'dropped'
  const splits = await spool.finish()
  for (const split of splits) {
    const path = `${split.partition.path}/${context.nameOf(stream.name, stream.plan.lineage, range.first)}`
    if (!(await untilDone(() => putOnce(path, split, context), BACKOFF, stream, context))) return 'dropped'
  }
  context.measures.flushed(context.deps.clock.monotonicMs() - startedMs)
  return 'durable'
}

async function untilDone(
  step: () => Promise<void>,
  backoff: Backoff,
  stream: RangeStream,
  { measures, signal, wait }: FlushContext,
): Promise<boolean> {
  for (let attempt = 0; ; attempt++) {
    let cure: Cure
    if (stream.revoked || signal.aborted) return false
    try {
      await step()
      measures.succeeded('objects')
      return true
    } catch (thrown) {
      if (stream.revoked || signal.aborted || hasCode(thrown, 'STREAM_REVOKED')) return false
      cure = cureOf(thrown)
      if (cure === 'fatal') throw thrown
      measures.failed('objects', asError(thrown))
    }
    await wait(cure === 'person' ? PERSON_WAIT_MS : backoffMs(backoff, attempt, Math.random))
  }
}

async function putOnce(path: string, split: Split, context: FlushContext): Promise<void> {
  const { store, measures } = context
  if (await store.has(path)) return measures.found()
  const put = await store.put(path, split, bad => deadLetter(split, bad, context), context.signal)
  measures.stored(put)
}

async function deadLetter(split: Split, bad: readonly BadRow[], { deps, key, measures }: FlushContext): Promise<void> {
  if (!key) throw new TypeError('rows of objects without evidence are never refused')
  const problems = new Map(bad.map(({ row, problem }) => [row, problem]))
  const rows = [...problems.keys()]
  // A few at a time: each carries a record of up to 1 MiB.
  let letters: DeadLetter[] = []
  const write = async (): Promise<void> => {
    if (letters.length > 0) await deps.deadLetter(letters)
    letters = []
  }
  let at = 0
  for await (const { id, kind, origin, raw } of key.find(split.evidencePath, rows)) {
    const reason = `lake_row: ${problems.get(rows[at++]!)}`
    letters.push({ id, kind, pipeline: deps.pipeline, stage: 'lake', reason, timeMs: deps.clock.now(), origin, raw })
    if (letters.length >= 16) await write()
  }
  await write()
  measures.refused(bad.length)
}
