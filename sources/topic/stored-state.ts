import { z } from 'zod'
import type { StatePart } from '../../engine/contract.ts'
import type { TopicRecord, Topics } from '../../platform/topics/contract.ts'

/** Of one record: with its key and headers it stays below what Kafka takes by default (1 MiB). */
const CHUNK_BYTES_MAX = 800 * 1024

/** Which snapshot goes with a committed position. It stands in the note of the position, and so is fenced as that is. */
const stateNote = z.object({
  /** The position that the snapshot includes everything before; the committed one, unless somebody moved the group. */
  position: z.string().regex(/^\d{1,20}$/),
  /** Everything before it is settled: what is read again up to here is muted. */
  settled: z.string().regex(/^\d{1,20}$/),
  /** Absent before the first snapshot. */
  snapshot: z.object({ owner: z.string(), version: z.int().min(0) }).optional(),
})
export type StateNote = z.output<typeof stateNote>

export function readNote(note: string | undefined, offset: bigint): StateNote | undefined {
  if (note === undefined) return undefined
  try {
    const read = stateNote.parse(JSON.parse(note))
    return BigInt(read.position) === offset ? read : undefined
  } catch {
    return undefined
  }
}

/** Which records make up a snapshot: of each part the version in which it was last written, and in how many chunks. */
const manifest = z.object({
  position: z.string(),
  parts: z.array(
    z.object({ detector: z.string(), part: z.int().min(0), version: z.int().min(0), chunks: z.int().min(1) }),
  ),
})
type Manifest = z.output<typeof manifest>
type StoredPart = Manifest['parts'][number]

export interface DetectorParts {
  readonly detector: string
  readonly parts: readonly StatePart[]
}

/** `group/topic/partition/`: the keys of one stream begin with it. */
export function prefixOf(group: string, stream: string): string {
  return `${group}/${stream}/`
}

/** What is stored of one stream. */
export interface Stored {
  /** Of the owner whose snapshot is wanted, by key. */
  readonly values: ReadonlyMap<string, Buffer>
  /** Of every owner. */
  readonly keys: readonly string[]
}

/**
 * By prefix, what is stored of these streams; `owners` of the snapshots that are wanted, as what others left is only to be deleted. Ends
 * early, with a part of it, when `signal` aborts.
 */
export async function readStored(
  topics: Topics,
  topic: string,
  owners: ReadonlyMap<string, string | undefined>,
  signal: AbortSignal,
): Promise<Map<string, Stored>> {
  const found = new Map<string, { readonly values: Map<string, Buffer>; readonly keys: string[] }>()
  for (const prefix of owners.keys()) found.set(prefix, { values: new Map(), keys: [] })
  const prefixOfKey = (key: string): string | undefined => [...owners.keys()].find(each => key.startsWith(each))
  for await (const { key = '', value } of topics.readCompacted(topic, each => prefixOfKey(each) !== undefined)) {
    if (signal.aborted) break
    const prefix = prefixOfKey(key)
    if (prefix === undefined || value === null) continue
    const { keys, values } = found.get(prefix)!
    keys.push(key)
    const owner = owners.get(prefix)
    if (owner !== undefined && key.startsWith(`${prefix}${owner}/`)) values.set(key, Buffer.from(value))
  }
  return found
}

/** The parts of one snapshot, joined again; undefined when not all of it is there. */
export function partsOf(
  stored: ReadonlyMap<string, Buffer>,
  prefix: string,
  { position, snapshot }: StateNote,
): readonly DetectorParts[] | undefined {
  if (!snapshot) return undefined
  const { owner, version } = snapshot
  const text = stored.get(manifestKey(prefix, owner, version))
  if (!text) return undefined
  const read = manifest.parse(JSON.parse(text.toString('utf8')))
  if (read.position !== position) return undefined
  const byDetector = new Map<string, StatePart[]>()
  for (const part of read.parts) {
    const chunks = chunkKeys(prefix, owner, part).map(key => stored.get(key))
    if (chunks.some(chunk => chunk === undefined)) return undefined
    const parts = byDetector.get(part.detector) ?? []
    parts.push({ part: part.part, bytes: Buffer.concat(chunks.filter(chunk => chunk !== undefined)) })
    byDetector.set(part.detector, parts)
  }
  return [...byDetector].map(([detector, parts]) => ({ detector, parts }))
}

/**
 * The snapshots of one stream by one owner. A new one is written beside the old, and only when the position that names it is
 * committed, the old is deleted: at every moment the committed position has its whole snapshot. Keys hold the owner, so that one
 * who lost the stream and does not know it yet writes over nothing.
 */
export class StoredState {
  readonly owner: string
  readonly #prefix: string
  #version = -1
  #parts = new Map<string, StoredPart>()
  /** Keys of what no snapshot needs. */
  #stale: Set<string>

  /** `left`: keys of owners before, to be deleted once there is a snapshot of ours. */
  constructor(prefix: string, owner: string, left: Iterable<string>) {
    this.#prefix = prefix
    this.owner = owner
    this.#stale = new Set(left)
  }

  get version(): number {
    return this.#version
  }

  /** The records of the next snapshot: the parts that changed, and what names them all. The manifest comes last. */
  next(position: bigint, changed: readonly DetectorParts[], timeMs: number): readonly TopicRecord[] {
    const version = ++this.#version
    const records: TopicRecord[] = []
    for (const { detector, parts } of changed) {
      for (const { part, bytes } of parts) {
        const name = `${detector} ${part}`
        const old = this.#parts.get(name)
        if (old) for (const key of chunkKeys(this.#prefix, this.owner, old)) this.#stale.add(key)
        this.#parts.delete(name)
        if (bytes.length === 0) continue
        const stored = { detector, part, version, chunks: Math.ceil(bytes.length / CHUNK_BYTES_MAX) }
        this.#parts.set(name, stored)
        for (const [at, key] of chunkKeys(this.#prefix, this.owner, stored).entries()) {
          const value = Buffer.from(bytes.subarray(at * CHUNK_BYTES_MAX, (at + 1) * CHUNK_BYTES_MAX))
          records.push({ key, value, timeMs })
        }
      }
    }
    if (version > 0) this.#stale.add(manifestKey(this.#prefix, this.owner, version - 1))
    const named: Manifest = { position: String(position), parts: [...this.#parts.values()] }
    const value = Buffer.from(JSON.stringify(named))
    records.push({ key: manifestKey(this.#prefix, this.owner, version), value, timeMs })
    return records
  }

  /** The position that names the last snapshot is committed: deletions of what no snapshot needs any more. */
  deletions(timeMs: number): readonly TopicRecord[] {
    const records = [...this.#stale].map(key => ({ key, value: null, timeMs }))
    this.#stale = new Set()
    return records
  }
}

function manifestKey(prefix: string, owner: string, version: number): string {
  return `${prefix}${owner}/manifest/${version}`
}

function chunkKeys(prefix: string, owner: string, { detector, part, version, chunks }: StoredPart): readonly string[] {
  return Array.from({ length: chunks }, (_, at) => `${prefix}${owner}/${detector}/${part}/${version}/${at}`)
}
