import type { Literal } from '../../platform/json/literal.ts'
import type { JsonWriter } from '../../platform/json/writer.ts'
import type { WafRecord } from './record.ts'

/** `before` and a string or number of the record, as it is written there. */
export function writeEntry({ document }: WafRecord, out: JsonWriter, before: Literal, entry: number): void {
  out.literal(before)
  out.part(document, document.from(entry), document.tape[entry + 1]!)
}

/** `before` and the field's value, if the field is there. */
export function writeField(record: WafRecord, out: JsonWriter, before: Literal, field: number): void {
  const entry = record.at[field]!
  if (entry !== 0) writeEntry(record, out, before, entry)
}
