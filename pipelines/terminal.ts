import { HaetaeError } from '../platform/errors.ts'
import { untrusted } from '../platform/untrusted.ts'

const formats = ['table', 'json', 'ndjson'] as const
export type Format = (typeof formats)[number]

export function formatOf(text: string | undefined): Format {
  const format = formats.find(each => each === (text ?? 'table'))
  if (!format) throw new HaetaeError('USAGE', `-o is one of ${formats.join(', ')}`)
  return format
}

/** `1 record`, `2 records`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

export type Row = Readonly<Record<string, string | number | boolean>>

/** Rows for people or programs. In a table, what came from outside is made harmless for a terminal. */
export function render(rows: readonly Row[], columns: readonly string[], format: Format): string {
  if (format === 'json') return JSON.stringify(rows, null, 2)
  if (format === 'ndjson') return rows.map(row => JSON.stringify(row)).join('\n')
  const cells = rows.map(row => columns.map(column => untrusted(String(row[column] ?? ''))))
  const widths = columns.map((column, at) => Math.max(column.length, ...cells.map(line => line[at]!.length)))
  const lines = [[...columns], ...cells].map(line => line.map((text, at) => text.padEnd(widths[at]!)).join('  '))
  return lines.map(line => line.trimEnd()).join('\n')
}
