import { randomBytes } from 'node:crypto'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { asError, isForAPerson } from '../errors.ts'
import type { DuckDb } from './duckdb.ts'
import { type KeptManifest, type Manifest, putManifest, readManifests, replacementName } from './manifest.ts'
import { mergeFiles } from './merge.ts'
import { hourEndMs, type LakeObject, listObjects, withoutReplaced } from './objects.ts'
import type { LakeStore } from './store.ts'
import { type LakeTable, lakeTables } from './tables.ts'

export interface CompactionLimits {
  /** An hour is closed this long after its end. */
  readonly latenessMs: number
  /** This long after their end, the hours of one day are merged with one another. */
  readonly settledMs: number
  /** Objects that were replaced stay for this long, for readers that have listed them. */
  readonly graceMs: number
  /** Of the objects that are merged into one. */
  readonly unitBytesMax: number
}

/** DuckDB holds the ids of one unit and sorts its rows, on disk beyond its memory (docs/performance.md has the figures). */
export const compactionDefaults: CompactionLimits = {
  latenessMs: 60 * 60_000,
  settledMs: 48 * 60 * 60_000,
  graceMs: 15 * 60_000,
  unitBytesMax: 128 * 1024 * 1024,
}

export interface CompactionTools {
  readonly store: LakeStore
  readonly db: DuckDb
  /** For one unit at a time; emptied. */
  readonly workFolder: string
  readonly signal?: AbortSignal
}

export interface CompactionReport {
  /** Objects made, and how many they replaced. */
  readonly made: number
  readonly replaced: number
  readonly rows: number
  /** Rows left out, as their event was there already. */
  readonly duplicates: number
  readonly bytesBefore: number
  readonly bytesAfter: number
  /** Objects deleted whose replacement had been there for the grace. */
  readonly deleted: number
  /** What went wrong with single hours, which stay as they were until the next run. */
  readonly problems: readonly Error[]
}

type Counts = { -readonly [Key in Exclude<keyof CompactionReport, 'problems'>]: number }

/** A manifest whose object never came. Nothing depends on when it goes. */
const ABANDONED_MS = 24 * 3_600_000

/**
 * Merges the objects of closed hours, each hour of a partition into one sorted object that holds each event once, and deletes what was
 * replaced long enough ago (docs/decisions/010). May be stopped at any moment, and run by several processes at once.
 */
export async function compactLake(
  tools: CompactionTools,
  limits: CompactionLimits,
  nowMs: number,
): Promise<CompactionReport> {
  const counts: Counts = { made: 0, replaced: 0, rows: 0, duplicates: 0, bytesBefore: 0, bytesAfter: 0, deleted: 0 }
  const problems: Error[] = []
  const attempt = async (task: Promise<void>): Promise<void> => {
    try {
      await task
    } catch (thrown) {
      if (tools.signal?.aborted || isForAPerson(thrown)) throw thrown
      problems.push(asError(thrown))
    }
  }
  await emptied(tools.workFolder)
  try {
    const manifests = await readManifests(tools.store, tools.workFolder)
    for (const table of lakeTables) {
      const objects = await listObjects(tools.store, table)
      for (const unit of unitsOf(withoutReplaced(objects, manifests), limits, nowMs)) {
        await attempt(replace(unit, table, tools, counts))
      }
      const own = manifests.filter(({ partition }) => partition.startsWith(`class=${table.name}/`))
      for (const manifest of own) await attempt(sweep(manifest, objects, tools, nowMs - limits.graceMs, counts))
    }
  } finally {
    await rm(tools.workFolder, { recursive: true, force: true })
  }
  return { ...counts, problems }
}

/**
 * Objects to be merged into one: those that were stored in one closed hour of one partition, later those of one day, in the order in which they
 * were stored and as many as may be merged at once. Every merge makes fewer objects or takes one that a sink wrote, so it comes to an end.
 */
export function unitsOf(
  objects: readonly LakeObject[],
  { latenessMs, settledMs, unitBytesMax }: Pick<CompactionLimits, 'latenessMs' | 'settledMs' | 'unitBytesMax'>,
  nowMs: number,
): LakeObject[][] {
  const closed = objects.filter(({ hour }) => hourEndMs(hour) + latenessMs <= nowMs)
  const groups = Map.groupBy(closed, ({ partition, hour }) => {
    const isSettled = hourEndMs(hour) + settledMs <= nowMs
    return `${partition} ${isSettled ? hour.slice(0, 8) : hour}`
  })
  return [...groups.values()].flatMap(group => {
    const units: LakeObject[][] = []
    let bytes = 0
    for (const object of group.toSorted((a, b) => (a.hour < b.hour ? -1 : Number(a.hour > b.hour)))) {
      const unit = units.at(-1)
      if (unit && bytes + object.bytes <= unitBytesMax) unit.push(object)
      else {
        units.push([object])
        bytes = 0
      }
      bytes += object.bytes
    }
    // One that is the result of a compaction already, and has nobody to be merged with, stays as it is.
    return units.filter(unit => unit.length > 1 || !unit[0]!.compacted)
  })
}

/**
 * The manifest first, then the object. Stopped between the two, the manifest says nothing, as its object is not there; with the object, in the same
 * moment, it takes the replaced objects out of what readers read.
 */
async function replace(
  unit: readonly LakeObject[],
  table: LakeTable,
  tools: CompactionTools,
  counts: Counts,
): Promise<void> {
  const { store, signal } = tools
  signal?.throwIfAborted()
  const { partition } = unit[0]!
  const hour = unit.map(each => each.hour).sort()[0]!
  const manifest: Manifest = { partition, hour, replaces: unit.map(({ name }) => name).sort() }
  const path = `${partition}/${replacementName(manifest)}`
  await putManifest(store, manifest, signal)
  const file = join(store.partsFolder, `${randomBytes(12).toString('hex')}.part`)
  await emptied(tools.workFolder)
  try {
    const inputs = await fetched(manifest, tools)
    if (!inputs) return // Somebody else compacted them meanwhile, and has deleted them.
    const { rows, duplicates } = await mergeFiles(inputs, file, table, tools.db, tools.workFolder)
    await store.putNew(path, file, signal)
    counts.made++
    counts.replaced += unit.length
    counts.rows += rows
    counts.duplicates += duplicates
    counts.bytesBefore += unit.reduce((sum, { bytes }) => sum + bytes, 0)
    counts.bytesAfter += (await stat(file)).size
  } finally {
    await rm(file, { force: true })
    await emptied(tools.workFolder)
  }
}

/** Files in the order of the objects' names; undefined when one of them is gone. */
async function fetched({ partition, replaces }: Manifest, tools: CompactionTools): Promise<string[] | undefined> {
  const files: string[] = []
  for (const name of replaces) {
    const file = join(tools.workFolder, `${String(files.length).padStart(6, '0')}.parquet`)
    if (!(await tools.store.get(`${partition}/${name}`, file))) return undefined
    files.push(file)
  }
  return files
}

/** Deletes what was replaced by an object that has been there since `untilMs`; then the manifest. */
async function sweep(
  manifest: KeptManifest,
  objects: readonly LakeObject[],
  { store, signal }: CompactionTools,
  untilMs: number,
  counts: Counts,
): Promise<void> {
  signal?.throwIfAborted()
  const { partition, replaces, path, modifiedMs } = manifest
  const replacement = objects.find(object => object.path === `${partition}/${replacementName(manifest)}`)
  if (!replacement) {
    if (modifiedMs + ABANDONED_MS <= untilMs) await store.remove(path)
    return
  }
  // Looked for once more: the list may be as old as the last unit took.
  if (replacement.modifiedMs > untilMs || (await store.sizeOf(replacement.path)) === undefined) return
  for (const name of replaces) {
    await store.remove(`${partition}/${name}`)
    counts.deleted++
  }
  await store.remove(path)
}

async function emptied(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true, mode: 0o700 })
}
