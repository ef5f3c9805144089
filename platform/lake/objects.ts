import { compactedHour, type KeptManifest, readManifests, replacementName } from './manifest.ts'
import type { LakeStore, StoredObject } from './store.ts'
import type { LakeTable } from './tables.ts'

export interface LakeObject extends StoredObject {
  /** `class=…/region=…/account=…/day=…`. */
  readonly partition: string
  readonly name: string
  /** YYYYMMDDTHH (UTC) in which it was stored, or those were that it replaced. */
  readonly hour: string
  readonly compacted: boolean
}

const PATH = /^(class=[a-z_]+\/region=[A-Za-z0-9-]+\/account=[A-Za-z0-9-]+\/day=\d{4}-\d{2}-\d{2})\/([^/]+\.parquet)$/

/** The objects of one table, in the order of their paths. */
export async function listObjects(store: LakeStore, table: LakeTable): Promise<LakeObject[]> {
  const objects: LakeObject[] = []
  for await (const { path, bytes, modifiedMs } of store.list(`class=${table.name}/`)) {
    const [, partition, name] = PATH.exec(path) ?? []
    if (partition === undefined || name === undefined) continue
    const hour = compactedHour(name)
    const compacted = hour !== undefined
    objects.push({ path, bytes, modifiedMs, partition, name, hour: hour ?? hourOf(modifiedMs), compacted })
  }
  return objects
}

/**
 * What a reader reads: every event of the table, without the objects of which another one in the list holds every event. To be called
 * with manifests read after the objects were listed or before, as a manifest counts only when its object is in the list.
 */
export function withoutReplaced(objects: readonly LakeObject[], manifests: readonly KeptManifest[]): LakeObject[] {
  const there = new Set(objects.map(({ path }) => path))
  const replaced = new Set<string>()
  for (const manifest of manifests) {
    if (!there.has(`${manifest.partition}/${replacementName(manifest)}`)) continue
    for (const name of manifest.replaces) replaced.add(`${manifest.partition}/${name}`)
  }
  return objects.filter(({ path }) => !replaced.has(path))
}

/** `workFolder` exists; for small files while they are read. */
export async function liveObjects(store: LakeStore, table: LakeTable, workFolder: string): Promise<LakeObject[]> {
  const objects = await listObjects(store, table)
  return withoutReplaced(objects, await readManifests(store, workFolder))
}

function hourOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 13).replaceAll('-', '')
}

/** The first moment after an hour as `hourOf` gives it. */
export function hourEndMs(hour: string): number {
  const [, year, month, day, at] = /^(\d{4})(\d{2})(\d{2})T(\d{2})$/.exec(hour) ?? []
  return Date.UTC(Number(year), Number(month) - 1, Number(day), Number(at) + 1)
}
