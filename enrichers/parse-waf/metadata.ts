import type { Literal } from '../../platform/json/literal.ts'
import { ENTRY } from '../../platform/json/scan.ts'
import type { JsonWriter } from '../../platform/json/writer.ts'
import { F } from './fields.ts'
import { labelsOfRules, nameOfLabel } from './labels.ts'
import type { WafRecord } from './record.ts'
import { T } from './text.ts'
import { webAclOf } from './web-acl.ts'
import { writeField } from './write.ts'

/** OCSF metadata. The id comes from the record's bytes: a requestId can be the client's own (X-Amzn-Trace-Id behind an ALB). */
export function writeMetadata(record: WafRecord, out: JsonWriter): void {
  out.literal(T.metadata)
  writeQuoted(record, out, T.quotedVersion, F.formatVersion)
  out.ascii(webAclOf(record).feature)
  out.literal(T.afterProductUid)
  out.ascii(record.event.id)
  writeField(record, out, T.quotedOriginalTime, F.timestamp)
  out.literal(T.quote)
  writeQuoted(record, out, T.quotedLogVersion, F.formatVersion)
  writeLabels(record, out)
  out.literal(T.close)
}

/** A number of the record as a string. */
function writeQuoted(record: WafRecord, out: JsonWriter, prefix: Literal, field: number): void {
  if (!record.has(field)) return
  writeField(record, out, prefix, field)
  out.literal(T.quote)
}

function writeLabels(record: WafRecord, out: JsonWriter): void {
  const { document } = record
  const list = record.at[F.labels]!
  let separator: Literal = T.labels
  if (list !== 0) {
    for (let item = list + ENTRY; !document.isClose(item); item = document.after(item)) {
      const name = nameOfLabel(document, item)
      if (name === 0) continue
      out.entry(separator, document, name)
      separator = T.comma
    }
  }
  for (const label of labelsOfRules(record)) {
    out.literal(separator)
    out.string(label)
    separator = T.comma
  }
  if (separator === T.comma) out.literal(T.closeList)
}
