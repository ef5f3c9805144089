import { z } from 'zod'
import { asError, HaetaeError } from '../../platform/errors.ts'
import { type Incident, incidentSchema, readIncident } from '../../platform/incident.ts'
import type { TopicRecord, Topics } from '../../platform/topics/contract.ts'
import { type Blocked, blockedSchema } from './blocked.ts'
import type { IncidentBook } from './book.ts'
import { CHUNKS, type Chunk, type Seen } from './seen.ts'

/** What a process that takes over goes on with. */
export interface Restored {
  readonly incidents: readonly Incident[]
  readonly blocked: readonly Blocked[]
  /** The newest number given to an incident. */
  readonly number: number
  readonly chunks: readonly Chunk[]
}

interface Names {
  readonly incidents: string
  /** Compacted and read by nobody else. */
  readonly state: string
}

const LAST = 'last'
const chunkSchema = z.object({ number: z.int().min(0), ids: z.string() })
const lastSchema = z.object({
  number: z.int().min(0),
  changes: z.array(z.object({ uid: z.string().min(1), record: incidentSchema.optional() })),
  blocked: z.array(z.object({ key: z.string().min(1), record: blockedSchema.optional() })).default([]),
  chunk: chunkSchema,
})
const stateSchema = z.union([lastSchema, chunkSchema, blockedSchema])
type Last = z.output<typeof lastSchema>

/**
 * Incidents on a compacted topic, such that an alert counts once whatever dies when. One record, `last` on the state topic,
 * is one transaction: the ids that were taken in and what they changed. After it the changes are written to `incidents` and
 * to records of their own; who restores writes those of `last` again. So are ids before the current chunk.
 */
export class IncidentStore {
  readonly #topics: Topics
  readonly #names: Names
  /** Prepared and not durable yet; finished before anything else is. */
  #unfinished: { topic: string; records: readonly TopicRecord[] }[] = []

  constructor(topics: Topics, names: Names) {
    this.#topics = topics
    this.#names = names
  }

  async restore(nowMs: number): Promise<Restored> {
    const incidents = new Map<string, Incident>()
    for await (const { value, key } of this.#topics.readCompacted(this.#names.incidents)) {
      const incident = value ? readIncident(value) : undefined
      if (!incident) throw unreadable(this.#names.incidents, key)
      incidents.set(incident.uid, incident)
    }
    const chunks: Chunk[] = []
    const blocked = new Map<string, Blocked>()
    let last: Last | undefined
    for await (const { value, key = '' } of this.#topics.readCompacted(this.#names.state)) {
      const { data } = stateSchema.safeParse(parsed(value))
      if (!data || (key === LAST) !== 'changes' in data) throw unreadable(this.#names.state, key)
      if ('changes' in data) last = data
      else if ('ids' in data) chunks.push(data)
      else blocked.set(key, data)
    }
    if (last) {
      await this.#finish(this.#after(last, nowMs))
      for (const { uid, record } of last.changes) {
        if (record) incidents.set(uid, record)
        else incidents.delete(uid)
      }
      for (const { key, record } of last.blocked) {
        if (record) blocked.set(key, record)
        else blocked.delete(key)
      }
      // The newest says most of a chunk that is in two records.
      chunks.push(last.chunk)
    }
    return {
      incidents: [...incidents.values()],
      blocked: [...blocked.values()],
      number: last?.number ?? 0,
      chunks,
    }
  }

  /** Makes durable what was taken in. Throws when it is not; what was prepared is then finished by the next call. */
  async commit(book: IncidentBook, seen: Seen, nowMs: number): Promise<void> {
    await this.#finish(this.#unfinished)
    const changes = book.take()
    const full = seen.takeFull()
    const last: Last = { number: book.number, changes, blocked: book.takeBlocked(), chunk: seen.current }
    const state = [
      ...full.map(chunk => ({ key: `seen/${chunk.number % CHUNKS}`, value: json(chunk), timeMs: nowMs })),
      { key: LAST, value: json(last), timeMs: nowMs },
    ]
    await this.#finish([{ topic: this.#names.state, records: state }, ...this.#after(last, nowMs)])
  }

  /** What follows from the transaction. */
  #after({ changes, blocked }: Last, nowMs: number): { topic: string; records: readonly TopicRecord[] }[] {
    return [
      { topic: this.#names.incidents, records: changes.map(({ uid, record }) => recordOf(uid, record, nowMs)) },
      { topic: this.#names.state, records: blocked.map(({ key, record }) => recordOf(key, record, nowMs)) },
    ]
  }

  async #finish(steps: { topic: string; records: readonly TopicRecord[] }[]): Promise<void> {
    this.#unfinished = steps
    while (this.#unfinished.length > 0) {
      const [{ topic, records }] = this.#unfinished as [{ topic: string; records: readonly TopicRecord[] }]
      if (records.length > 0) await this.#append(topic, records)
      this.#unfinished = this.#unfinished.slice(1)
    }
  }

  /** One after the other when some were not taken: their order is what a reader relies on. */
  async #append(topic: string, records: readonly TopicRecord[]): Promise<void> {
    const { retry, refused = [] } = await this.#topics.append(topic, records)
    const [first] = refused
    if (first) throw new HaetaeError('TOPIC_OVERSIZE', `${topic} does not take an incident: ${first.reason}`)
    if (retry.length > 0)
      throw new HaetaeError('TOPIC_UNREACHABLE', `${topic} did not take ${retry.length} records yet`)
  }
}

function recordOf(key: string, record: object | undefined, nowMs: number): TopicRecord {
  return { key, value: record ? json(record) : null, timeMs: nowMs }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function parsed(value: Buffer | null): unknown {
  try {
    return JSON.parse(String(value))
  } catch (thrown) {
    return asError(thrown)
  }
}

function unreadable(topic: string, key: string | undefined): HaetaeError {
  return new HaetaeError(
    'TOPIC_CORRUPT',
    `${topic} holds under ${key ?? 'no key'} what this version cannot read: no incident is changed before somebody looked`,
  )
}
