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

/**
 * Finds a field by its quoted name in the bytes. Candidates are found by length and two characters, which no two fields of one
 * level share (a test holds it); then every byte is compared.
 */
export class FieldNames {
  readonly #slots = new Int8Array(1 << 12).fill(NO_FIELD)
  readonly #quoted: readonly Buffer[] = names.map(name => Buffer.from(`"${name}"`))

  constructor(fields: readonly Field[]) {
    for (const name of fields) {
      const quoted = this.#quoted[F[name]]!
      const slot = slotOf(quoted, 0, quoted.length)
      if (this.#slots[slot] !== NO_FIELD) throw new Error(`two field names share a slot: ${name}`)
      this.#slots[slot] = F[name]
    }
  }

  find(bytes: Uint8Array, from: number, to: number): number {
    const field = this.#slots[slotOf(bytes, from, to)]!
    if (field === NO_FIELD) return NO_FIELD
    const quoted = this.#quoted[field]!
    if (quoted.length !== to - from) return NO_FIELD
    for (let at = 1; at < quoted.length; at++) if (bytes[from + at] !== quoted[at]) return NO_FIELD
    return field
  }
}

/** Of a quoted name: its length, third character and last but one. Of very short names the surrounding characters are read. */
function slotOf(bytes: Uint8Array, from: number, to: number): number {
  return (((to - from) * 37) ^ (bytes[from + 3]! * 11) ^ (bytes[to - 3]! << 5)) & 0xfff
}

export const recordNames = new FieldNames(recordFields)
export const requestNames = new FieldNames(requestFields)
