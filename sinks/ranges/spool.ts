import { mkdir, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import type { LakeTable } from '../../platform/lake/tables.ts'
import type { Evidence, EvidenceKey } from './evidence.ts'
import type { AppendFiles } from './files.ts'
import type { Scratch } from './scratch.ts'

/** What decides which object a record goes into. */
export interface ObjectPartition {
  /** Folder of the object: `class=…/day=…`. */
  readonly path: string
  /** Columns, where objects have any. */
  readonly table?: LakeTable
}

/** One record on its way into an object. */
export interface Row {
  readonly partition: ObjectPartition
  readonly timeMs: number
  /** One line, without its line feed: JSON, but for records as they were received. */
  readonly json: Buffer
  readonly evidence: Evidence
}

/** The rows of a range that go into one object: JSON lines, and the records they came from. */
export interface Split {
  readonly partition: ObjectPartition
  readonly jsonPath: string
  readonly evidencePath: string
  readonly count: number
  /** By row, in the order of the file. */
  readonly timesMs: Float64Array
  /** Bytes of each line, line feed included. */
  readonly lengths: Uint32Array
}

/** What the spools of one sink share; they are written in turn. */
export interface SpoolTools {
  readonly files: AppendFiles
  /** Of the evidence, for objects that may refuse a row; without it none is kept, and lines stay in the order of the stream. */
  readonly key: EvidenceKey | undefined
  readonly lines: Scratch
}

/** Files of one range below its own folder, 0600. Never synced: after a crash the topic is read again. */
export class RangeSpool {
  readonly folder: string
  readonly #tools: SpoolTools
  readonly #splits = new Map<string, GrowingSplit>()
  #made = false
  rows = 0
  jsonBytes = 0
  /** On disk, evidence included. */
  bytes = 0

  constructor(folder: string, tools: SpoolTools) {
    this.folder = folder
    this.#tools = tools
  }

  /** False when a row of this partition would need one object more than `splitsMax`. */
  hasRoomFor(partition: ObjectPartition, splitsMax: number): boolean {
    return this.#splits.has(partition.path) || this.#splits.size < splitsMax
  }

  /** Counts the partition of a row that will be appended. */
  reserve(partition: ObjectPartition): void {
    this.#split(partition)
  }

  /** All or nothing: after a failure the same rows may be appended again. */
  async append(rows: readonly Row[]): Promise<void> {
    if (!this.#made) await mkdir(this.folder, { recursive: true, mode: 0o700 })
    this.#made = true
    const bySplit = new Map<GrowingSplit, Row[]>()
    for (const row of rows) {
      const split = this.#split(row.partition)
      const known = bySplit.get(split)
      if (known) known.push(row)
      else bySplit.set(split, [row])
    }
    const taken: (() => number)[] = []
    for (const [split, own] of bySplit) {
      taken.push(await split.write(this.#tools.key ? inTimeOrder(own) : own, this.#tools))
    }
    for (const take of taken) this.bytes += take()
    this.rows += rows.length
    for (const { json } of rows) this.jsonBytes += json.length + 1
  }

  /** No more is appended. Cuts off what failed appends left behind. */
  async finish(): Promise<readonly Split[]> {
    const splits = [...this.#splits.values()].filter(split => split.count > 0)
    for (const split of splits) await split.finish(this.#tools.files)
    return splits
  }

  async remove(): Promise<void> {
    for (const { jsonPath, evidencePath } of this.#splits.values()) {
      await this.#tools.files.close(jsonPath)
      await this.#tools.files.close(evidencePath)
    }
    await rm(this.folder, { recursive: true, force: true })
  }

  #split(partition: ObjectPartition): GrowingSplit {
    const known = this.#splits.get(partition.path)
    if (known) return known
    const split = new GrowingSplit(partition, join(this.folder, String(this.#splits.size)))
    this.#splits.set(partition.path, split)
    return split
  }
}

/** What is appended together is in time order, so that sorting the whole reads long runs (segments.ts). */
function inTimeOrder(rows: readonly Row[]): readonly Row[] {
  for (let at = 1; at < rows.length; at++) {
    if (rows[at]!.timeMs < rows[at - 1]!.timeMs) return [...rows].sort((a, b) => a.timeMs - b.timeMs)
  }
  return rows
}

const LINE_FEED = 0x0a

class GrowingSplit implements Split {
  readonly partition: ObjectPartition
  readonly jsonPath: string
  readonly evidencePath: string
  count = 0
  timesMs = new Float64Array(64)
  lengths = new Uint32Array(64)
  #jsonBytes = 0
  #evidenceBytes = 0

  constructor(partition: ObjectPartition, pathStart: string) {
    this.partition = partition
    this.jsonPath = `${pathStart}.ndjson`
    this.evidencePath = `${pathStart}.evidence`
  }

  /** Writes; what it returns makes the rows count and gives the bytes they take. */
  async write(rows: readonly Row[], { files, key, lines }: SpoolTools): Promise<() => number> {
    const jsonBytes = rows.reduce((sum, { json }) => sum + json.length + 1, 0)
    const json = lines.take(jsonBytes)
    let end = 0
    for (const row of rows) {
      end += row.json.copy(json, end)
      json[end++] = LINE_FEED
    }
    await files.write(this.jsonPath, [json], this.#jsonBytes)
    const evidence = key?.seal(rows.map(row => row.evidence)) ?? []
    if (key) await files.write(this.evidencePath, evidence, this.#evidenceBytes)
    const evidenceBytes = evidence.reduce((sum, part) => sum + part.length, 0)
    return () => {
      this.#jsonBytes += jsonBytes
      this.#evidenceBytes += evidenceBytes
      this.#grow(rows.length)
      for (const row of rows) {
        this.timesMs[this.count] = row.timeMs
        this.lengths[this.count++] = row.json.length + 1
      }
      return jsonBytes + evidenceBytes
    }
  }

  async finish(files: AppendFiles): Promise<void> {
    await files.close(this.jsonPath)
    await files.close(this.evidencePath)
    await truncate(this.jsonPath, this.#jsonBytes)
    if (this.#evidenceBytes > 0) await truncate(this.evidencePath, this.#evidenceBytes)
  }

  #grow(more: number): void {
    const needed = this.count + more
    if (needed <= this.lengths.length) return
    const capacity = Math.max(needed, this.lengths.length * 2)
    const timesMs = new Float64Array(capacity)
    timesMs.set(this.timesMs)
    const lengths = new Uint32Array(capacity)
    lengths.set(this.lengths)
    this.timesMs = timesMs
    this.lengths = lengths
  }
}
