import type { Event } from '../../engine/contract.ts'
import type { DocumentReader, JsonDocument } from '../../platform/json/document.ts'
import { ARRAY, CLOSE, ENTRY, ESCAPED, kindOf, NUMBER, OBJECT, START_MASK, STRING } from '../../platform/json/scan.ts'
import { F, FIELDS, type FieldNames, NO_FIELD, recordNames, requestNames } from './fields.ts'
import { WafRecord } from './record.ts'
import { settle } from './settle.ts'

/** JSON kind each field must have to be mapped. */
const expectedKinds = new Uint8Array(FIELDS).fill(STRING)
for (const field of [F.timestamp, F.formatVersion, F.responseCodeSent, F.requestBodySize]) expectedKinds[field] = NUMBER
for (const field of [F.ruleGroupList, F.rateBasedRuleList, F.nonTerminatingMatchingRules]) expectedKinds[field] = ARRAY
for (const field of [F.terminatingRuleMatchDetails, F.labels, F.headers]) expectedKinds[field] = ARRAY
expectedKinds[F.httpRequest] = OBJECT

const nothing = new Array<number>(FIELDS).fill(0)

/** Unknown names at one level that are compared with each other in search of a duplicate. */
const UNKNOWN_NAMES_MAX = 32

/** Members of the two levels as they were found: key entry, field, key entry, field … One for all, as reading is synchronous. */
const recordMembers: number[] = []
const requestMembers: number[] = []

/** The record, or the reason why it is refused. */
export function readRecord(event: Event, reader: DocumentReader): WafRecord | string {
  const document = reader.read(event.raw)
  if (typeof document === 'string') return document
  const at = locate(document)
  if (typeof at === 'string') return at
  if (at) return settle(new WafRecord(event, document, at), recordMembers, requestMembers)
  // A name is there twice or written with escapes: JSON.parse decides what it says; of two, the last one wins.
  const plain = reader.read(Buffer.from(JSON.stringify(JSON.parse(document.bytes.toString()))))
  if (typeof plain === 'string') return plain
  const plainAt = locate(plain, true) ?? 'not_waf'
  if (typeof plainAt === 'string') return plainAt
  return settle(new WafRecord(event, plain, plainAt), recordMembers, requestMembers)
}

/** Entries by field; a reason when this is no WAF record; undefined when names repeat or are escaped. */
function locate(document: JsonDocument, isPlain = false): number[] | string | undefined {
  if (document.kind(document.root) !== OBJECT) return 'not_waf: not an object'
  const at = nothing.slice()
  const names = locateMembers(document, document.root, recordNames, recordMembers, at)
  if (!names.arePlain && !isPlain) return undefined
  if ((names.seen & (1 << F.webaclId)) === 0) return 'not_waf: no webaclId'
  const request = at[F.httpRequest]!
  if (request === 0) return 'not_waf: no httpRequest object'
  const requestLevel = locateMembers(document, request, requestNames, requestMembers, at)
  return requestLevel.arePlain || isPlain ? at : undefined
}

/** Bits of the fields that were named, and whether no name repeats or is escaped. */
function locateMembers(
  document: JsonDocument,
  object: number,
  names: FieldNames,
  members: number[],
  at: number[],
): { readonly seen: number; readonly arePlain: boolean } {
  const { tape } = document
  let seen = 0
  let unknown = 0
  let arePlain = true
  let count = 0
  // Straight from the tape: this is where most of the time goes that is not scanning or writing.
  for (let key = object + ENTRY; kindOf(tape[key]!) !== CLOSE; ) {
    const entry = tape[key]!
    const value = key + ENTRY
    const kind = kindOf(tape[value]!)
    const field = names.find(document, entry & START_MASK, tape[key + 1]!)
    if (field === NO_FIELD) {
      if (++unknown > UNKNOWN_NAMES_MAX || isRepeated(document, members, count, key)) arePlain = false
    } else {
      if ((seen & (1 << field)) !== 0) arePlain = false
      seen |= 1 << field
      if (kind === expectedKinds[field]) at[field] = value
    }
    if ((entry & ESCAPED) !== 0) arePlain = false
    members[count++] = key
    members[count++] = field
    key = kind === OBJECT || kind === ARRAY ? tape[value + 1]! : value + ENTRY
  }
  members.length = count
  return { seen, arePlain }
}

function isRepeated(document: JsonDocument, members: readonly number[], count: number, key: number): boolean {
  const { bytes } = document
  const from = document.from(key)
  const length = document.to(key) - from
  for (let member = 0; member < count; member += 2) {
    const other = members[member]!
    if (members[member + 1] !== NO_FIELD || document.to(other) - document.from(other) !== length) continue
    if (bytes.compare(bytes, from, from + length, document.from(other), document.to(other)) === 0) return true
  }
  return false
}
