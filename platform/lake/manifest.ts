import { hash, randomBytes } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LakeStore } from './store.ts'

/** Beside the tables and not below them: Athena and DuckDB take every file below a table for a part of it. */
const FOLDER = '_compaction/'

/** That one object holds every event of some others of its partition. Written before the object, removed after the others. */
export interface Manifest {
  /** `class=…/region=…/account=…/day=…`. */
  readonly partition: string
  /** YYYYMMDDTHH (UTC): when the objects were stored. */
  readonly hour: string
  /** Names in the partition, ascending. */
  readonly replaces: readonly string[]
}

export interface KeptManifest extends Manifest {
  readonly path: string
  readonly modifiedMs: number
}

const COMPACTED = /^compacted-(\d{8}T\d{2})-[0-9a-f]{24}\.parquet$/

/** The hour of an object that is the result of a compaction; undefined for one that a sink wrote. */
export function compactedHour(name: string): string | undefined {
  return COMPACTED.exec(name)?.[1]
}

/** The name follows from what is replaced: whoever compacts the same objects makes the same object. */
export function replacementName(manifest: Manifest): string {
  return `compacted-${manifest.hour}-${printOf(manifest)}.parquet`
}

export async function putManifest(store: LakeStore, manifest: Manifest, signal?: AbortSignal): Promise<void> {
  const { partition, hour, replaces } = manifest
  const file = join(store.partsFolder, `${randomBytes(12).toString('hex')}.json`)
  try {
    await writeFile(file, `${JSON.stringify({ version: 1, partition, hour, replaces })}\n`, { mode: 0o600 })
    await store.putNew(`${FOLDER}${printOf(manifest)}.json`, file, signal)
  } finally {
    await rm(file, { force: true })
  }
}

/** Those that are there, each proved by its own name; what is not ours, or damaged, replaces nothing and is left alone. */
export async function readManifests(store: LakeStore, folder: string): Promise<KeptManifest[]> {
  const found: KeptManifest[] = []
  for await (const { path, modifiedMs } of store.list(FOLDER)) {
    const file = join(folder, `${randomBytes(12).toString('hex')}.json`)
    try {
      if (!(await store.get(path, file))) continue
      const manifest = parse(await readFile(file, 'utf8'))
      if (manifest && path === `${FOLDER}${printOf(manifest)}.json`) found.push({ ...manifest, path, modifiedMs })
    } finally {
      await rm(file, { force: true })
    }
  }
  return found
}

function printOf({ partition, hour, replaces }: Manifest): string {
  return hash('sha256', JSON.stringify([partition, hour, ...replaces])).slice(0, 24)
}

function parse(text: string): Manifest | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
    const { version, partition, hour, replaces } = value as Readonly<Record<string, unknown>>
    if (version !== 1 || typeof partition !== 'string' || typeof hour !== 'string') return undefined
    if (!Array.isArray(replaces) || !replaces.every(name => typeof name === 'string')) return undefined
    return { partition, hour, replaces }
  } catch {
    return undefined
  }
}
