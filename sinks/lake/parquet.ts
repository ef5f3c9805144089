import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readJson } from '../../platform/lake/columns.ts'
import { type DuckDb, isRowError, literal } from '../../platform/lake/duckdb.ts'
import { type LakeTable, parquetFormat } from '../../platform/lake/tables.ts'
import type { BadRow } from '../ranges/objects.ts'
import type { Split } from '../ranges/spool.ts'
import { findBadRows } from './bad-rows.ts'
import { type Segment, writeSegments } from './segments.ts'

/**
 * Writes the rows of a split to `path` as one Parquet file in time order. Rows that DuckDB refuses are left out and returned, with what it
 * said; undefined in place of the file when no row is left.
 */
export async function writeParquet(
  db: DuckDb,
  split: Split,
  path: string,
  workFolder: string,
): Promise<{ readonly written: number; readonly bad: readonly BadRow[] }> {
  await rm(workFolder, { recursive: true, force: true })
  await mkdir(workFolder, { recursive: true, mode: 0o700 })
  try {
    const segments = await writeSegments(split, workFolder, new Set())
    try {
      await copy(db, split, segments, path)
      return { written: split.count, bad: [] }
    } catch (thrown) {
      if (!isRowError(thrown)) throw thrown
      const bad = await findBadRows(db, tableOf(split).fields, segments, join(workFolder, 'probe.ndjson'))
      if (bad.length === 0) throw thrown
      const written = split.count - bad.length
      if (written > 0) {
        await copy(db, split, await writeSegments(split, workFolder, new Set(bad.map(({ row }) => row))), path)
      }
      return { written, bad }
    }
  } finally {
    await rm(workFolder, { recursive: true, force: true })
  }
}

function tableOf({ partition }: Split): LakeTable {
  if (!partition.table) throw new TypeError(`${partition.path} is no partition of the lake`)
  return partition.table
}

function copy(db: DuckDb, split: Split, segments: readonly Segment[], path: string): Promise<void> {
  const paths = segments.map(segment => segment.path)
  const table = tableOf(split)
  return db.run(`COPY (SELECT * FROM ${readJson(table.fields, paths)}) TO ${literal(path)} (${parquetFormat(table)})`)
}
