import type { JsonDocument } from '../../platform/json/document.ts'
import { ENTRY, ESCAPED, KEY, kindOf, OBJECT, START_MASK, STRING } from '../../platform/json/scan.ts'
import type { Json } from '../../platform/ocsf/event.ts'
import { F } from './fields.ts'
import { isLabel } from './shapes.ts'
import { wouldBlockLabels } from './would-block.ts'

/** What of a record its labels are in. */
interface Labelled {
  readonly document: JsonDocument
  /** Entry of each field's value; 0 = absent. */
  readonly at: readonly number[]
  /** The lists of rules name one: there may be labels of what would have been blocked. */
  namesRules(): boolean
}

/** The labels of a record, as OCSF's metadata has them. */
export function labelsOf(record: Labelled): string[] {
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
export function nameOfLabel(document: JsonDocument, item: number): number {
  if (isLabel(document, item)) return item + 2 * ENTRY
  const name = document.kind(item) === OBJECT ? document.member(item, '"name"') : 0
  return name !== 0 && document.kind(name) === STRING ? name : 0
}

/** Of what would have been blocked. */
export function labelsOfRules(record: Labelled): readonly string[] {
  const { at, document } = record
  const groups = at[F.ruleGroupList]!
  const nonTerminating = at[F.nonTerminatingMatchingRules]!
  if (!record.namesRules()) return []
  const type = at[F.terminatingRuleType]!
  const typeText = type === 0 ? '' : document.text(type)
  return wouldBlockLabels({
    groups: groups === 0 ? undefined : (document.value(groups) as Json),
    nonTerminating: nonTerminating === 0 ? undefined : (document.value(nonTerminating) as Json),
    endedByGroup: typeText === 'GROUP' || typeText === 'MANAGED_RULE_GROUP',
  })
}

const RULE = Buffer.from('rule').readInt32LE()
const LE_ID = Buffer.from('leId').readInt32LE()

/** The lists of rules name one. */
export function namesRules(document: JsonDocument, at: readonly number[]): boolean {
  return namesRule(document, at[F.ruleGroupList]!) || namesRule(document, at[F.nonTerminatingMatchingRules]!)
}

/** Most lists name no rule, which is much cheaper to see than to read them. */
function namesRule(document: JsonDocument, list: number): boolean {
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
