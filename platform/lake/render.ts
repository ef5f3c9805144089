import type { DuckDBValue } from '@duckdb/node-api'
import type { Json, JsonObject } from '../ocsf/event.ts'
import { untrusted } from '../untrusted.ts'

export const lakeFormats = ['table', 'json', 'ndjson', 'csv'] as const
export type LakeFormat = (typeof lakeFormats)[number]

/** A table is for a person: it is held in memory to find its widths, and ends here. */
const TABLE_ROWS_MAX = 1_000
const CELL_CHARS_MAX = 80

export interface LakeResult {
  readonly columns: readonly string[]
  /** Some thousand at a time, as they are computed. */
  readonly rows: AsyncIterable<readonly (readonly DuckDBValue[])[]>
}

/** A result as text, ending in a line feed, piece by piece; only a table is held whole. */
export async function* renderResult(
  result: LakeResult,
  format: LakeFormat,
  notice: (text: string) => void = () => undefined,
): AsyncGenerator<string> {
  if (format === 'table') return yield* table(result, notice)
  if (format === 'csv') yield `${result.columns.map(csvCell).join(',')}\r\n`
  if (format === 'json') yield '['
  let separator = '\n'
  for await (const rows of result.rows) {
    let text = ''
    for (const row of rows) {
      if (format === 'csv') {
        text += `${row.map(value => csvCell(plainText(value))).join(',')}\r\n`
        continue
      }
      const object = JSON.stringify(
        Object.fromEntries(result.columns.map((name, at) => [name, jsonOf(row[at] ?? null)])),
      )
      text += format === 'json' ? `${separator}${object}` : `${object}\n`
      separator = ',\n'
    }
    yield text
  }
  if (format === 'json') yield separator === '\n' ? ']\n' : '\n]\n'
}

/**
 * Numbers that a double cannot hold exactly become strings, as do times (`2026-11-24 00:00:00.123`), decimals and
 * everything else that JSON has no form for.
 */
function jsonOf(value: DuckDBValue): Json {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if ('items' in value) return value.items.map(jsonOf)
  if ('entries' in value) {
    const { entries } = value
    return Array.isArray(entries)
      ? entries.map(entry => ({ key: jsonOf(entry.key), value: jsonOf(entry.value) }))
      : (Object.fromEntries(Object.entries(entries).map(([name, inner]) => [name, jsonOf(inner)])) as JsonObject)
  }
  return String(value)
}

function plainText(value: DuckDBValue): string {
  if (value === null) return ''
  const json = jsonOf(value)
  return typeof json === 'object' ? JSON.stringify(json) : String(json)
}

/** RFC 4180. */
function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

async function* table({ columns, rows }: LakeResult, notice: (text: string) => void): AsyncGenerator<string> {
  const lines: { readonly cells: string[]; readonly numeric: readonly boolean[] }[] = []
  let isCut = false
  for await (const chunk of rows) {
    const room = TABLE_ROWS_MAX - lines.length
    for (const row of chunk.slice(0, room)) {
      lines.push({ cells: row.map(tableCell), numeric: row.map(value => /^(number|bigint)$/.test(typeof value)) })
    }
    isCut = chunk.length > room
    if (isCut) break
  }
  const heads = columns.map(name => cut(untrusted(name)))
  const widths = heads.map((head, at) =>
    lines.reduce((width, { cells }) => Math.max(width, cells[at]!.length), head.length),
  )
  const line = (cells: readonly string[], numeric?: readonly boolean[]): string =>
    `${cells
      .map((cell, at) => (numeric?.[at] ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)))
      .join('  ')
      .trimEnd()}\n`
  yield line(heads) + line(widths.map(width => '-'.repeat(width)))
  yield lines.map(({ cells, numeric }) => line(cells, numeric)).join('')
  if (isCut) notice(`only the first ${TABLE_ROWS_MAX} rows are shown: add a LIMIT, or ask for ndjson or csv`)
  else notice(lines.length === 1 ? '1 row' : `${lines.length} rows`)
}

function tableCell(value: DuckDBValue): string {
  return cut(untrusted(plainText(value)))
}

function cut(text: string): string {
  return text.length <= CELL_CHARS_MAX ? text : `${text.slice(0, CELL_CHARS_MAX - 1)}…`
}
