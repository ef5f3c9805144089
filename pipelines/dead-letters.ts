import { type DeadLetter, type Deps, type Event, isLogKind } from '../engine/contract.ts'
import { type KeptLetter, readDeadLetters } from '../engine/dead-letter-files.ts'
import { RecordEvent } from '../engine/event.ts'
import { reasonCode } from '../engine/measures.ts'
import { stages } from '../enrichers/index.ts'
import { HaetaeError } from '../platform/errors.ts'
import type { TopicRecord } from '../platform/topics/contract.ts'
import { openByType } from './compose.ts'
import { markReplayed, ReplayedMarks } from './replayed.ts'

export interface Selection {
  readonly ids?: readonly string[]
  readonly pipeline?: string | undefined
  readonly reason?: string | undefined
  /** Also those that were replayed before. */
  readonly replayed: boolean
}

export interface Found extends KeptLetter {
  readonly replayed: boolean
}

/** Dead letters that match, oldest first, one in memory at a time. */
export async function* findDeadLetters(folder: string, selection: Selection): AsyncGenerator<Found> {
  const marks = new ReplayedMarks()
  try {
    for await (const kept of readDeadLetters(folder)) {
      const { letter } = kept
      if (selection.pipeline !== undefined && letter.pipeline !== selection.pipeline) continue
      if (selection.reason !== undefined && reasonCode(letter.reason) !== selection.reason) continue
      if (selection.ids && !selection.ids.some(id => letter.id.startsWith(id))) continue
      const replayed = await marks.has(kept)
      if (!replayed || selection.replayed) yield { ...kept, replayed }
    }
  } finally {
    await marks.close()
  }
}

/** Where a replay sends records; the topics, by whichever road. Resolves when durable. */
export type Append = (topic: string, records: readonly TopicRecord[]) => Promise<void>

const REPLAY_BATCH = 100
/** Reason codes of letters that hold no whole record. */
const NO_RECORDS: readonly string[] = ['oversize', 'announcement']
/** About 100 MiB of memory. */
const REPLAY_IDS_MAX = 1_000_000

export interface Replayed {
  readonly sent: number
  /** Letters that cannot be sent: of an oversize record only the start is kept, an announcement of S3 is no record, an incident is out of date. */
  readonly skipped: number
  /** Letters that were left for the next replay, as this one had sent its most. */
  readonly left: number
}

/**
 * Sends the records of dead letters back to the topic of their kind, each once however many pipelines rejected it, as every
 * pipeline reads the topic; then marks all letters of what was sent, selected or not. A crash in between sends a batch twice,
 * which the sinks absorb by id.
 */
export async function replayDeadLetters(
  folder: string,
  selection: Selection,
  append: Append,
  deps: Deps,
  idsMax = REPLAY_IDS_MAX,
): Promise<Replayed> {
  const key = await openByType(stages, 'key', {}, deps)
  // What is sent may be rejected again at once, into the file that is being read: that is not chased.
  const beganMs = deps.clock.now()
  const sent = new Set<string>()
  let batch: KeptLetter[] = []
  let skipped = 0
  let left = 0
  const flush = async (): Promise<void> => {
    const events: Event[] = batch.map(({ letter: { kind, raw } }) => new RecordEvent(kind, raw, deps.clock.now()))
    await key.apply(events, event => {
      throw new HaetaeError('PIPELINE_STOPPED', `no key for ${event.id}: a fault in the key stage`)
    })
    const topics = batch.map(({ letter }) => topicOf(letter)!)
    for (const [topic, records] of byTopic(events, topics)) await append(topic, records)
    await markReplayed(batch)
    batch = []
  }
  for await (const found of findDeadLetters(folder, selection)) {
    const { letter } = found
    if (letter.timeMs > beganMs || sent.has(letter.id)) continue
    if (NO_RECORDS.includes(reasonCode(letter.reason)) || topicOf(letter) === undefined) skipped++
    else if (sent.size >= idsMax) left++
    else {
      sent.add(letter.id)
      batch.push(found)
      if (batch.length >= REPLAY_BATCH) await flush()
    }
  }
  if (batch.length > 0) await flush()
  await markOthers(folder, sent, beganMs)
  return { sent: sent.size, skipped, left }
}

/** Marks every letter of these records that was written before `untilMs` and has no mark yet. */
async function markOthers(folder: string, ids: ReadonlySet<string>, untilMs: number): Promise<void> {
  if (ids.size === 0) return
  let batch: KeptLetter[] = []
  for await (const found of findDeadLetters(folder, { replayed: false })) {
    if (!ids.has(found.letter.id) || found.letter.timeMs > untilMs) continue
    batch.push(found)
    if (batch.length < REPLAY_BATCH) continue
    await markReplayed(batch)
    batch = []
  }
  await markReplayed(batch)
}

/**
 * Logs go back to the topic of their kind, what Haetae wrote itself to the topic it was read from. undefined: it cannot be sent again, as an
 * incident, of which the newest version counts and not the one that was written last.
 */
function topicOf({ kind, origin }: DeadLetter): string | undefined {
  if (isLogKind(kind)) return `events.${kind}`
  return kind === 'incident' ? undefined : origin?.stream.replace(/\/\d+$/, '')
}

function byTopic(events: readonly Event[], names: readonly string[]): Map<string, TopicRecord[]> {
  const topics = new Map<string, TopicRecord[]>()
  for (const [at, { key, raw, timeMs }] of events.entries()) {
    const topic = names[at]!
    const records = topics.get(topic) ?? []
    records.push({ key, value: raw, timeMs, replayed: true })
    topics.set(topic, records)
  }
  return topics
}
