import { parseAddress } from '../../platform/address.ts'
import type { JsonDocument } from '../../platform/json/document.ts'
import { ENTRY } from '../../platform/json/scan.ts'
import { methodOf } from './codes.ts'
import { F, FIELDS, NO_FIELD } from './fields.ts'
import { readHeaders } from './headers.ts'
import type { WafRecord } from './record.ts'
import { isLabel } from './shapes.ts'

/** OCSF ip_t. */
const ADDRESS_CHARS_MAX = 40

/** Fields that are kept whole in `unmapped`, whatever is also mapped from them. */
const kept = new Uint8Array(FIELDS)
for (const field of [F.terminatingRuleMatchDetails, F.ruleGroupList, F.rateBasedRuleList]) kept[field] = 1
kept[F.nonTerminatingMatchingRules] = 1

/** Kept for this record only: a host with a port, a list with an item that does not fit. */
let keptHere = 0

/** Decides which fields can be mapped; the others become absent there and unmapped here. */
export function settle(record: WafRecord, members: readonly number[], requestMembers: readonly number[]): WafRecord {
  keptHere = 0
  settleNumbers(record)
  settleRule(record)
  settleClient(record)
  settleRequest(record)
  settleFingerprints(record)
  if (record.has(F.labels) && !labelsAreExact(record.document, record.at[F.labels]!)) keptHere |= 1 << F.labels
  record.unmapped = collectUnmapped(record, members)
  record.unmappedRequest = collectUnmapped(record, requestMembers)
  return record
}

function settleNumbers({ at, document }: WafRecord): void {
  for (const field of [F.formatVersion, F.responseCodeSent, F.requestBodySize]) {
    if (at[field] !== 0 && !document.isWhole(at[field]!)) at[field] = 0
  }
}

function settleRule({ at, document }: WafRecord): void {
  const rule = at[F.terminatingRuleId]!
  if (rule === 0 || isEmptyText(document, rule) || document.is(rule, '"Default_Action"')) {
    at[F.terminatingRuleId] = 0
    at[F.terminatingRuleType] = 0
  }
  for (const field of [F.httpSourceName, F.httpSourceId, F.webaclId]) {
    const entry = at[field]!
    if (entry !== 0 && (isEmptyText(document, entry) || document.is(entry, '"-"'))) at[field] = 0
  }
}

function isEmptyText(document: JsonDocument, entry: number): boolean {
  return document.to(entry) - document.from(entry) === 2
}

/** `X.X.X.X`, `-` and whatever else is no address stays unmapped, and the country with it: OCSF wants an endpoint to have a name. */
function settleClient(record: WafRecord): void {
  const { at, document } = record
  if (at[F.clientIp] !== 0) {
    const ip = record.text(F.clientIp)
    if (isAddress(ip)) record.ip = ip
    else at[F.clientIp] = 0
  }
  const country = at[F.country]!
  if (country !== 0 && !(record.ip !== undefined && isCountry(document, country))) at[F.country] = 0
}

export function isAddress(text: string): boolean {
  return text.length <= ADDRESS_CHARS_MAX && parseAddress(text) !== undefined
}

function isCountry(document: JsonDocument, entry: number): boolean {
  const from = document.from(entry)
  return document.to(entry) - from === 4 && isCapital(document.bytes[from + 1]!) && isCapital(document.bytes[from + 2]!)
}

function isCapital(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a
}

function settleRequest(record: WafRecord): void {
  const { at, document } = record
  if (at[F.headers] !== 0) {
    record.headers = readHeaders(document, at[F.headers]!)
    if (!record.headers.exact) keptHere |= 1 << F.headers
  }
  if (at[F.httpMethod] !== 0) {
    record.method = methodOf(document, at[F.httpMethod]!)
    if (!record.method.isKnown) at[F.httpMethod] = 0
  }
  // OCSF wants a url to have a path.
  if (at[F.scheme] !== 0 && (at[F.uri] === 0 || isEmptyText(document, at[F.scheme]!))) at[F.scheme] = 0
  if (at[F.host] !== 0) {
    if (!setHost(record, at[F.host]!)) at[F.host] = 0
    else if (record.hostTo !== document.to(at[F.host]!) - 1) keptHere |= 1 << F.host
  }
  if (record.hostTo === 0 && record.headers.host !== 0) setHost(record, record.headers.host)
}

const HOST_CHARS_MAX = 253
/** Bytes of a host name; an underscore is no more than unusual. */
const hostBytes = new Uint8Array(256).fill(1, 0x30, 0x3a).fill(1, 0x41, 0x5b).fill(1, 0x61, 0x7b)
for (const char of '-._') hostBytes[char.charCodeAt(0)] = 1

/** Takes `name` of `name` or `name:port`. The client writes it, so anything else is no host. */
function setHost(record: WafRecord, entry: number): boolean {
  const { bytes } = record.document
  const from = record.document.from(entry) + 1
  const end = record.document.to(entry) - 1
  let to = from
  while (to < end && hostBytes[bytes[to]!] === 1) to++
  if (to === from || to - from > HOST_CHARS_MAX) return false
  if (to < end) {
    if (bytes[to] !== 0x3a || end - to < 2 || end - to > 6) return false
    for (let at = to + 1; at < end; at++) if (bytes[at]! < 0x30 || bytes[at]! > 0x39) return false
  }
  record.hostFrom = from
  record.hostTo = to
  return true
}

/** OCSF has a JA3 hash only inside `tls`, which wants a version; the second and third character of a JA4 fingerprint tell it. */
const tlsVersions = ['1.0', '1.1', '1.2', '1.3']

function settleFingerprints(record: WafRecord): void {
  const { at, document } = record
  const ja4 = at[F.ja4Fingerprint]!
  if (ja4 !== 0 && isEmptyText(document, ja4)) at[F.ja4Fingerprint] = 0
  else if (ja4 !== 0) {
    const from = document.from(ja4)
    if (document.bytes[from + 2] === 0x31) record.tlsVersion = tlsVersions[document.bytes[from + 3]! - 0x30]
  }
  const ja3 = at[F.ja3Fingerprint]!
  if (ja3 !== 0 && (record.tlsVersion === undefined || isEmptyText(document, ja3))) at[F.ja3Fingerprint] = 0
}

/** Every item is `{name}` with a string. */
function labelsAreExact(document: JsonDocument, list: number): boolean {
  const end = document.after(list) - ENTRY
  for (let item = list + ENTRY; item < end; item = document.after(item)) if (!isLabel(document, item)) return false
  return true
}

/** Members that follow each other become one range, so that what stays unmapped is copied in few pieces. */
function collectUnmapped({ at, document }: WafRecord, members: readonly number[]): readonly number[] {
  let count = 0
  let end = -1
  for (let member = 0; member < members.length; member += 2) {
    const field = members[member + 1]!
    if (field !== NO_FIELD && at[field] !== 0 && kept[field] === 0 && (keptHere & (1 << field)) === 0) continue
    const key = members[member]!
    const from = document.from(key)
    const to = document.to(key + ENTRY)
    if (from !== end + 1) ranges[count++] = from
    else count--
    ranges[count++] = to
    end = to
  }
  return count === 0 ? NO_RANGES : ranges.slice(0, count)
}

/** Being collected: one for all, as most of its room is never needed. */
const ranges: number[] = []
const NO_RANGES: readonly number[] = []
