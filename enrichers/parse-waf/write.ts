import type { Literal } from '../../platform/json/literal.ts'
import type { JsonWriter } from '../../platform/json/writer.ts'
import type { WafRecord } from './record.ts'

/** `before` and the field's value, if the field is there. */
export function writeField(record: WafRecord, out: JsonWriter, before: Literal, field: number): void {
  const entry = record.at[field]!
  if (entry !== 0) out.entry(before, record.document, entry)
}
