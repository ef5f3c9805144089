import type { JsonDocument } from '../../platform/json/document.ts'
import type { Literal } from '../../platform/json/literal.ts'
import { ENTRY, ESCAPED, KEY, kindOf, OBJECT, START_MASK, STRING } from '../../platform/json/scan.ts'
import type { JsonWriter } from '../../platform/json/writer.ts'
import type { Json } from '../../platform/ocsf/event.ts'
import { F } from './fields.ts'
import type { WafRecord } from './record.ts'
import { isLabel } from './shapes.ts'
import { T } from './text.ts'
import { webAclOf } from './web-acl.ts'
import { wouldBlockLabels } from './would-block.ts'
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

/** The same labels as a list. */
export function labelsOf(record: WafRecord): string[] {
  const { document } = record
  const list = record.at[F.labels]!
  const labels: string[] = []
  if (list !== 0) {
    for (let item = list + ENTRY; !document.isClose(item); item = document.after(item)) {
      const name = nameOfLabel(document, item)
      if (name !== 0) labels.push(document.text(name))
    }
  }
  labels.push(...labelsOfRules(record))
  return labels
}

/** Entry of the string in `{name}`; 0 = there is none. */
function nameOfLabel(document: JsonDocument, item: number): number {
  if (isLabel(document, item)) return item + 2 * ENTRY
  const name = document.kind(item) === OBJECT ? document.member(item, '"name"') : 0
  return name !== 0 && document.kind(name) === STRING ? name : 0
}

function labelsOfRules(record: WafRecord): readonly string[] {
  const { at, document } = record
  const groups = at[F.ruleGroupList]!
  const nonTerminating = at[F.nonTerminatingMatchingRules]!
  if (!record.namesRules()) return []
  const type = record.has(F.terminatingRuleType) ? record.text(F.terminatingRuleType) : ''
  return wouldBlockLabels({
    groups: groups === 0 ? undefined : (document.value(groups) as Json),
    nonTerminating: nonTerminating === 0 ? undefined : (document.value(nonTerminating) as Json),
    endedByGroup: type === 'GROUP' || type === 'MANAGED_RULE_GROUP',
  })
}

const RULE = Buffer.from('rule').readInt32LE()
const LE_ID = Buffer.from('leId').readInt32LE()

export function namesRules(record: WafRecord): boolean {
  return namesRule(record, record.at[F.ruleGroupList]!) || namesRule(record, record.at[F.nonTerminatingMatchingRules]!)
}

/** Most lists name no rule, which is much cheaper to see than to read them. */
function namesRule({ document }: WafRecord, list: number): boolean {
  if (list === 0) return false
  const { tape, view } = document
  for (let entry = list, end = document.after(list); entry < end; entry += ENTRY) {
    const word = tape[entry]!
    if (kindOf(word) !== KEY) continue
    const from = word & START_MASK
    if ((word & ESCAPED) !== 0) return true
    if (tape[entry + 1]! - from !== 8) continue
    if (view.getInt32(from + 1, true) === RULE && view.getInt32(from + 3, true) === LE_ID) return true
  }
  return false
}
