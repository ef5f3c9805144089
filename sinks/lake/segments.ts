import { type FileHandle, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dayStartMs } from '../../platform/lake/tables.ts'
import { readInto } from '../ranges/evidence.ts'
import { Scratch } from '../ranges/scratch.ts'
import type { Split } from '../ranges/spool.ts'

/**
 * DuckDB's JSON reader takes up to 32 MiB of one file into memory at a time, ten times that once parsed; it never reads over the end
 * of a file. Small files are what keeps it within its limit (docs/performance.md). One longer line makes a longer file.
 */
export const SEGMENT_BYTES_MAX = 1024 * 1024

/** More than RANGE_ROWS_MAX: 2^25 times the milliseconds of a day still fit a double. */
const ROW_FACTOR = 2 ** 25

/** A file of lines in time order, and which rows of the split they are. */
export interface Segment {
  readonly path: string
  readonly rows: Uint32Array
}

/** The rows of a split by time, then by the order of arrival. */
function timeOrder({ count, timesMs }: Split): Uint32Array {
  const startMs = count > 0 ? dayStartMs(timesMs[0]!) : 0
  // Time and row in one number: sorting numbers needs no comparing function, which is ten times slower.
  const keys = new Float64Array(count)
  for (let row = 0; row < count; row++) keys[row] = (timesMs[row]! - startMs) * ROW_FACTOR + row
  keys.sort()
  return Uint32Array.from(keys, key => key % ROW_FACTOR)
}

/** Writes the rows of a split into files of their own, in time order, leaving out `without`. */
export async function writeSegments(split: Split, folder: string, without: ReadonlySet<number>): Promise<Segment[]> {
  const starts = new Float64Array(split.count + 1)
  for (let row = 0; row < split.count; row++) starts[row + 1] = starts[row]! + split.lengths[row]!
  const order = timeOrder(split).filter(row => !without.has(row))
  const segments: Segment[] = []
  const gather = gatherer()
  const file = await open(split.jsonPath, 'r')
  try {
    for (let from = 0; from < order.length; ) {
      const to = segmentEnd(order, from, split.lengths)
      const rows = order.subarray(from, to)
      const path = join(folder, `${String(segments.length).padStart(6, '0')}.ndjson`)
      await writeFile(path, await gather(file, rows, starts), { mode: 0o600 })
      segments.push({ path, rows })
      from = to
    }
  } finally {
    await file.close()
  }
  return segments
}

function segmentEnd(order: Uint32Array, from: number, lengths: Uint32Array): number {
  let bytes = 0
  let to = from
  while (to < order.length && (to === from || bytes + lengths[order[to]!]! <= SEGMENT_BYTES_MAX)) {
    bytes += lengths[order[to++]!]!
  }
  return to
}

type Gather = (file: FileHandle, rows: Uint32Array, starts: Float64Array) => Promise<Buffer>

/**
 * Gives the lines of `rows` in that order, in memory that is used again by the next call. Rows that are neighbours in the file are
 * read at once: batches are in time order already.
 */
function gatherer(): Gather {
  const asRead = new Scratch()
  const inOrder = new Scratch()
  return async (file, rows, starts) => {
    const total = rows.reduce((sum, row) => sum + starts[row + 1]! - starts[row]!, 0)
    const read = asRead.take(total)
    const ascending = rows.slice().sort()
    /** Where a row begins in `read`; in the order of `ascending`. */
    const places = new Map<number, number>()
    let filled = 0
    for (let at = 0; at < ascending.length; ) {
      const first = ascending[at]!
      let end = first
      while (at < ascending.length && ascending[at] === end) {
        places.set(end, filled + starts[end]! - starts[first]!)
        end++
        at++
      }
      const length = starts[end]! - starts[first]!
      await readInto(file, read, filled, length, starts[first]!)
      filled += length
    }
    if (isAscending(rows)) return read
    const sorted = inOrder.take(total)
    let written = 0
    for (const row of rows) {
      const place = places.get(row)!
      written += read.copy(sorted, written, place, place + starts[row + 1]! - starts[row]!)
    }
    return sorted
  }
}

function isAscending(rows: Uint32Array): boolean {
  for (let at = 1; at < rows.length; at++) if (rows[at]! < rows[at - 1]!) return false
  return true
}
