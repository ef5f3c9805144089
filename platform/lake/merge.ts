import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { asError, HaetaeError } from '../errors.ts'
import { type DuckDb, literal } from './duckdb.ts'
import { type LakeTable, parquetFormat } from './tables.ts'

/**
 * Sorted at once. DuckDB takes ten times that in memory and cannot sort rows of nested columns on disk; where it is still too much, smaller
 * slices are tried.
 */
const SLICE_BYTES = 8 * 1024 * 1024
const SLICE_ROWS = [8_192, 1_024, 128]

export interface Merged {
  readonly rows: number
  /** Rows left out, as their event was there already. */
  readonly duplicates: number
}

/**
 * One Parquet file of all rows of the given ones, sorted by time, each event once. Columns are taken as they are, so that nothing is lost
 * from files of another version. The files are named by their number in the list (`000000.parquet`, …) and sorted by time, as sinks and merges
 * write them: slices of time are sorted one after the other, and each reads only the row groups around it. `workFolder` exists.
 * Throws LAKE_COMPACTION when the result does not hold exactly the events of the files.
 */
export async function mergeFiles(
  files: readonly string[],
  file: string,
  table: LakeTable,
  db: DuckDb,
  workFolder: string,
): Promise<Merged> {
  const before = await contentOf(files, db)
  for (const [attempt, rowsMax] of SLICE_ROWS.entries()) {
    try {
      await sortAll(files, rowsMax, file, table, db, workFolder)
      break
    } catch (thrown) {
      if (attempt === SLICE_ROWS.length - 1 || !asError(thrown).message.startsWith('Out of Memory')) throw thrown
    }
  }
  const after = await contentOf([file], db)
  if (after.print !== before.print || after.rows !== before.events) {
    const message = `a compaction made ${after.rows} rows of ${before.events} events: nothing was replaced; report this`
    throw new HaetaeError('LAKE_COMPACTION', message)
  }
  return { rows: after.rows, duplicates: before.rows - before.events }
}

async function sortAll(
  files: readonly string[],
  rowsMax: number,
  file: string,
  table: LakeTable,
  db: DuckDb,
  workFolder: string,
): Promise<void> {
  const repeats = `repeats_${randomBytes(6).toString('hex')}`
  const folder = join(workFolder, 'slices')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  try {
    await findRepeats(files, repeats, db)
    const sorted: string[] = []
    for (const slice of await slicesOf(files, rowsMax, db)) {
      const path = join(folder, `${String(sorted.length).padStart(6, '0')}.parquet`)
      await sortSlice(slice, repeats, path, table, db)
      sorted.push(path)
    }
    await db.run(
      `COPY (SELECT * FROM ${read(sorted, 'union_by_name = true')}) TO ${literal(file)} (${parquetFormat(table)})`,
    )
  } finally {
    await db.run(`DROP TABLE IF EXISTS ${repeats}`)
    await rm(folder, { recursive: true, force: true })
  }
}

function read(files: readonly string[], ...options: readonly string[]): string {
  return `read_parquet([${files.map(literal).join(', ')}], ${['hive_partitioning = false', ...options].join(', ')})`
}

/** Which row it is among those of all files: the number of the file, then that of the row. */
const PLACE = `(parse_filename(filename, true)::BIGINT << 32) + file_row_number`
const PLACED = ['union_by_name = true', 'filename = true', 'file_row_number = true']

/** A table of ids that stand in several rows, each with the row that stays. First by hashes, which take a fraction of the memory of ids. */
async function findRepeats(files: readonly string[], table: string, db: DuckDb): Promise<void> {
  const hash = 'hash(metadata.uid)'
  await db.run(`
    CREATE TEMP TABLE ${table} AS
      SELECT metadata.uid AS uid, min(${PLACE}) AS kept FROM ${read(files, ...PLACED)}
      WHERE ${hash} IN (SELECT ${hash} FROM ${read(files)} GROUP BY ${hash} HAVING count(*) > 1)
      GROUP BY metadata.uid HAVING count(*) > 1 AND metadata.uid IS NOT NULL`)
}

interface Slice {
  readonly files: readonly string[]
  /** Seconds, `to` not included; undefined: rows without a time. */
  readonly seconds: { readonly from: number; readonly to: number } | undefined
}

async function slicesOf(files: readonly string[], most: number, db: DuckDb): Promise<Slice[]> {
  const rowsMax = Math.max(1, Math.min(most, Math.floor(SLICE_BYTES / (await bytesOfRow(files, db)))))
  const spans = await db.rows(
    `SELECT filename, min(time) // 1000, max(time) // 1000 FROM ${read(files, 'filename = true')} GROUP BY filename`,
  )
  const counts = await db.rows(
    `SELECT time // 1000 AS s, count(*) FROM ${read(files)} GROUP BY s ORDER BY s NULLS LAST`,
  )
  const slices: Slice[] = []
  const end = (from: number, to: number): void => {
    const overlapping = spans.filter(([, first, last]) => Number(first) < to && Number(last) >= from)
    slices.push({ files: overlapping.map(([name]) => String(name)).sort(), seconds: { from, to } })
  }
  let from: number | undefined
  let rows = 0
  let last = 0
  for (const [second, count] of counts) {
    if (second === null) continue
    if (from !== undefined && rows + Number(count) > rowsMax) {
      end(from, last + 1)
      from = undefined
      rows = 0
    }
    last = Number(second)
    from ??= last
    rows += Number(count)
  }
  if (from !== undefined) end(from, last + 1)
  if (counts.some(([second]) => second === null)) slices.push({ files, seconds: undefined })
  return slices
}

/** On average, encoded and not compressed; at least one. */
async function bytesOfRow(files: readonly string[], db: DuckDb): Promise<number> {
  const list = `[${files.map(literal).join(', ')}]`
  const [row] = await db.rows(
    `SELECT (SELECT sum(total_uncompressed_size) FROM parquet_metadata(${list})) / (SELECT sum(num_rows) FROM parquet_file_metadata(${list}))`,
  )
  return Math.max(1, Number(row?.[0] ?? 1))
}

/** The file is read once, soon, and by nobody else: it is compressed lightly. */
async function sortSlice(
  { files, seconds }: Slice,
  repeats: string,
  path: string,
  table: LakeTable,
  db: DuckDb,
): Promise<void> {
  const when = seconds ? `time >= ${seconds.from * 1000} AND time < ${seconds.to * 1000}` : 'time IS NULL'
  await db.run(`COPY (
    SELECT r.* EXCLUDE (filename, file_row_number)
    FROM (SELECT * FROM ${read(files, ...PLACED)} WHERE ${when}) AS r LEFT JOIN ${repeats} ON r.metadata.uid = ${repeats}.uid
    WHERE (${repeats}.uid IS NULL OR ${repeats}.kept = ${PLACE})
    ORDER BY time, r.metadata.uid
  ) TO ${literal(path)} (${parquetFormat(table, 'lz4_raw')})`)
}

interface Content {
  readonly rows: number
  /** Rows, each id once; a row without an id is an event of its own. */
  readonly events: number
  /** Of the set of ids. */
  readonly print: string
}

async function contentOf(files: readonly string[], db: DuckDb): Promise<Content> {
  const [row] = await db.rows(`
    SELECT sum(n)::BIGINT, sum(CASE WHEN print IS NULL THEN n ELSE 1 END)::BIGINT, bit_xor(print)::VARCHAR FROM (
      SELECT CASE WHEN metadata.uid IS NOT NULL THEN hash(metadata.uid) END AS print, count(*) AS n FROM ${read(files)} GROUP BY print
    )`)
  return { rows: Number(row?.[0] ?? 0), events: Number(row?.[1] ?? 0), print: String(row?.[2]) }
}
