import { constants } from 'node:fs'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeadLetter, Deps, Event } from '../engine/contract.ts'
import { readDeadLetters } from '../engine/dead-letter.ts'
import { RecordEvent } from '../engine/event.ts'
import { reasonCode } from '../engine/measures.ts'
import { stages } from '../enrichers/index.ts'
import { HaetaeError } from '../platform/errors.ts'
import type { TopicRecord } from '../platform/topics/contract.ts'
import { openByType } from './compose.ts'

export interface Selection {
  readonly ids?: readonly string[]
  readonly pipeline?: string | undefined
  readonly reason?: string | undefined
  /** Also those that were replayed before. */
  readonly replayed: boolean
}

export interface Found {
  readonly letter: DeadLetter
  readonly replayed: boolean
}

/** Dead letters that match, oldest first, one in memory at a time. */
export async function* findDeadLetters(folder: string, selection: Selection): AsyncGenerator<Found> {
  const done = await replayedBefore(folder)
  for await (const letter of readDeadLetters(folder)) {
    const replayed = done.has(mark(letter))
    if (replayed && !selection.replayed) continue
    if (selection.pipeline !== undefined && letter.pipeline !== selection.pipeline) continue
    if (selection.reason !== undefined && reasonCode(letter.reason) !== selection.reason) continue
    if (selection.ids && !selection.ids.some(id => letter.id.startsWith(id))) continue
    yield { letter, replayed }
  }
}

const REPLAYED = 'replayed'

/** With the time: a record that is rejected once more after its replay is a new dead letter, and must be seen. */
function mark({ id, pipeline, timeMs }: DeadLetter): string {
  return `${pipeline} ${id} ${timeMs}`
}

async function replayedBefore(folder: string): Promise<Set<string>> {
  try {
    return new Set((await readFile(join(folder, REPLAYED), 'utf8')).split('\n'))
  } catch {
    return new Set() // Nothing was replayed yet.
  }
}

/** Where a replay sends records; the topics, by whichever road. Resolves when durable. */
export type Append = (topic: string, records: readonly TopicRecord[]) => Promise<void>

const REPLAY_BATCH = 100

/**
 * Sends dead letters back to the topic of their kind, then marks them. A crash in between replays a batch twice, which
 * the sinks absorb by id. Returns how many were sent and which cannot be: of an oversize record only the start is kept.
 */
export async function replayDeadLetters(
  folder: string,
  selection: Selection,
  append: Append,
  deps: Deps,
): Promise<{ sent: number; skipped: number }> {
  const key = await openByType(stages, 'key', {}, deps)
  let batch: DeadLetter[] = []
  let sent = 0
  let skipped = 0
  const flush = async (): Promise<void> => {
    const events: Event[] = batch.map(({ kind, raw }) => new RecordEvent(kind, raw, deps.clock.now()))
    await key.apply(events, event => {
      throw new HaetaeError('PIPELINE_STOPPED', `no key for ${event.id}: a fault in the key stage`)
    })
    for (const [topic, records] of byTopic(events)) await append(topic, records)
    await markReplayed(folder, batch)
    sent += batch.length
    batch = []
  }
  // What is sent may be rejected again at once, into the file that is being read: that is not chased.
  const beganMs = deps.clock.now()
  for await (const { letter } of findDeadLetters(folder, selection)) {
    if (letter.timeMs > beganMs) continue
    if (reasonCode(letter.reason) === 'oversize') {
      skipped++
      continue
    }
    batch.push(letter)
    if (batch.length >= REPLAY_BATCH) await flush()
  }
  if (batch.length > 0) await flush()
  return { sent, skipped }
}

function byTopic(events: readonly Event[]): Map<string, TopicRecord[]> {
  const topics = new Map<string, TopicRecord[]>()
  for (const { kind, key, raw, timeMs } of events) {
    const topic = `events.${kind}`
    const records = topics.get(topic) ?? []
    records.push({ key, value: raw, timeMs, replayed: true })
    topics.set(topic, records)
  }
  return topics
}

async function markReplayed(folder: string, letters: readonly DeadLetter[]): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const file = await open(join(folder, REPLAYED), constants.O_CREAT | constants.O_APPEND | constants.O_WRONLY, 0o600)
  try {
    // Begins a line of its own: a crash may have torn the one before.
    await file.appendFile(`\n${letters.map(letter => `${mark(letter)}\n`).join('')}`)
    await file.sync()
  } finally {
    await file.close()
  }
}
