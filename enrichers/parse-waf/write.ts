import type { JsonWriter } from '../../platform/json/writer.ts'
import type { WafRecord } from './record.ts'

/** A string or number of the record as it is written there. */
export function writeEntry({ document }: WafRecord, out: JsonWriter, entry: number): void {
  out.part(document, document.from(entry), document.tape[entry + 1]!)
}

/** `before` and the field's value, if the field is there. */
export function writeField(record: WafRecord, out: JsonWriter, before: string, field: number): void {
  const entry = record.at[field]!
  if (entry === 0) return
  out.ascii(before)
  writeEntry(record, out, entry)
}
