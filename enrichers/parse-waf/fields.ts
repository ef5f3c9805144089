import type { JsonDocument } from '../../platform/json/document.ts'
import { isAt, type Quoted, quotedOf } from './quoted.ts'

/**
 * Fields of an AWS WAF log record that the mapping reads, and where they stand in `WafRecord.at`. AWS WAF developer guide,
 * "Log fields for web ACL traffic". The page lists the members of httpRequest flat; in the records they are inside it.
 */
const recordFields = [
  'timestamp',
  'formatVersion',
  'webaclId',
  'terminatingRuleId',
  'terminatingRuleType',
  'action',
  'terminatingRuleMatchDetails',
  'httpSourceName',
  'httpSourceId',
  'ruleGroupList',
  'rateBasedRuleList',
  'nonTerminatingMatchingRules',
  'responseCodeSent',
  'httpRequest',
  'labels',
  'ja3Fingerprint',
  'ja4Fingerprint',
  'requestBodySize',
] as const
const requestFields = [
  'clientIp',
  'country',
  'headers',
  'uri',
  'args',
  'httpVersion',
  'httpMethod',
  'requestId',
  'scheme',
  'host',
] as const

export type Field = (typeof recordFields)[number] | (typeof requestFields)[number]
const names: readonly Field[] = [...recordFields, ...requestFields]
export const FIELDS = names.length
/** Position of each field. */
export const F = Object.fromEntries(names.map((name, at) => [name, at])) as Readonly<Record<Field, number>>
export const NO_FIELD = -1

interface Name {
  readonly field: number
  readonly quoted: Quoted
}

/**
 * Finds a field by its quoted name. A candidate is found by length and two characters, which no two fields of one level
 * share (making the table proves it); then every byte is compared.
 */
export class FieldNames {
  readonly #slots: (Name | undefined)[] = new Array<Name | undefined>(1 << 10).fill(undefined)

  constructor(fields: readonly Field[]) {
    for (const field of fields) {
      const bytes = Buffer.from(`"${field}"`)
      const slot = slotOf(bytes, 0, bytes.length)
      if (this.#slots[slot]) throw new Error(`two field names share a slot: ${field}`)
      this.#slots[slot] = { field: F[field], quoted: quotedOf(bytes) }
    }
  }

  find(document: JsonDocument, from: number, to: number): number {
    const name = this.#slots[slotOf(document.bytes, from, to)]
    return name !== undefined && isAt(name.quoted, document, from, to) ? name.field : NO_FIELD
  }
}

/** Of a quoted name: its length, third character and last but one. Of very short names the surrounding characters are read. */
function slotOf(bytes: Uint8Array, from: number, to: number): number {
  return ((to - from) * 101 + bytes[from + 3]! * 31 + bytes[to - 3]! * 7) & 0x3ff
}

export const recordNames = new FieldNames(recordFields)
export const requestNames = new FieldNames(requestFields)
