import { readFile, writeFile } from 'node:fs/promises'
import { asError } from '../../platform/errors.ts'
import { readJson } from '../../platform/lake/columns.ts'
import { type DuckDb, isRowError } from '../../platform/lake/duckdb.ts'
import type { Fields } from '../../platform/ocsf/schema.ts'
import type { BadRow } from '../ranges/objects.ts'
import type { Segment } from './segments.ts'

/**
 * The rows that DuckDB cannot read, found by halving: a segment without any costs one reading, a bad row about twice the logarithm of a
 * segment's rows in ever smaller ones. `probe` is a file for the parts that are tried. Ascending.
 */
export async function findBadRows(
  db: DuckDb,
  fields: Fields,
  segments: readonly Segment[],
  probe: string,
): Promise<BadRow[]> {
  const bad: BadRow[] = []
  for (const { path, rows } of segments) {
    if ((await problemOf(db, fields, path)) === undefined) continue
    const lines = splitLines(await readFile(path))
    const parts: [from: number, to: number][] = [[0, lines.length]]
    for (let part = parts.pop(); part; part = parts.pop()) {
      const [from, to] = part
      await writeFile(probe, Buffer.concat(lines.slice(from, to)), { mode: 0o600 })
      const problem = await problemOf(db, fields, probe)
      if (problem === undefined) continue
      const middle = (from + to) >>> 1
      if (to - from === 1) bad.push({ row: rows[from]!, problem })
      else parts.push([from, middle], [middle, to])
    }
  }
  return bad.sort((a, b) => a.row - b.row)
}

/** What is wrong with some row of the file; undefined when all can be read, every column of them. */
async function problemOf(db: DuckDb, fields: Fields, path: string): Promise<string | undefined> {
  try {
    await db.run(`SELECT bit_xor(hash(row)) FROM ${readJson(fields, [path])} AS row`)
    return undefined
  } catch (thrown) {
    if (!isRowError(thrown)) throw thrown
    return aboutTheRow(asError(thrown).message)
  }
}

/** The part of DuckDB's message that is about the row: not our file names, nor its advice. */
function aboutTheRow(message: string): string {
  const line = message.split('\n', 1)[0]!
  return (/, (?:in line \d+|at byte \d+ in line \d+): (.*)$/.exec(line)?.[1] ?? line).slice(0, 300).trim()
}

function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = []
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0x0a, start) + 1
    lines.push(bytes.subarray(start, end))
    start = end
  }
  return lines
}
