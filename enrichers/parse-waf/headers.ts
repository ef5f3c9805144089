import type { JsonDocument } from '../../platform/json/document.ts'
import { ENTRY, OBJECT, STRING } from '../../platform/json/scan.ts'
import { isHeader } from './shapes.ts'

/** Headers that have a place of their own in OCSF: entry of the first value of each, 0 = none. */
export interface Headers {
  /** Every item is `{name, value}` with two strings: the list can be copied as it is. */
  exact: boolean
  host: number
  userAgent: number
  referer: number
  forwardedFor: number
  forwardedProto: number
}

export const noHeaders: Readonly<Headers> = {
  exact: true,
  host: 0,
  userAgent: 0,
  referer: 0,
  forwardedFor: 0,
  forwardedProto: 0,
}

export function readHeaders(document: JsonDocument, list: number): Headers {
  const headers = { ...noHeaders }
  const end = document.after(list) - ENTRY
  for (let item = list + ENTRY; item < end; item = document.after(item)) {
    if (isHeader(document, item)) {
      note(headers, document, item + 2 * ENTRY, item + 4 * ENTRY)
      continue
    }
    const pair = readPair(document, item)
    if (!pair) {
      headers.exact = false
      continue
    }
    if (!pair.exact) headers.exact = false
    note(headers, document, pair.name, pair.value)
  }
  return headers
}

export interface Pair {
  name: number
  value: number
  /** Nothing else is in the object. */
  exact: boolean
}
/** One for all: read it before the next call. */
const found: Pair = { name: 0, value: 0, exact: true }

/** The strings `name` and `value` of an object; undefined when it has not both. */
export function readPair(document: JsonDocument, item: number): Pair | undefined {
  if (document.kind(item) !== OBJECT) return undefined
  found.name = 0
  found.value = 0
  let members = 0
  for (let key = item + ENTRY; !document.isClose(key); key = document.after(key + ENTRY)) {
    members++
    const value = key + ENTRY
    if (document.is(key, '"name"')) found.name = document.kind(value) === STRING ? value : 0
    else if (document.is(key, '"value"')) found.value = document.kind(value) === STRING ? value : 0
  }
  found.exact = members === 2
  return found.name !== 0 && found.value !== 0 ? found : undefined
}

/** Names are compared in ASCII lower case (RFC 9110 §5.1); the record has them as the client wrote them. */
function note(headers: Headers, document: JsonDocument, name: number, value: number): void {
  const { bytes } = document
  const from = document.from(name)
  switch (document.to(name) - from) {
    case 6:
      if (headers.host === 0 && isName(bytes, from, '"host"')) headers.host = value
      break
    case 9:
      if (headers.referer === 0 && isName(bytes, from, '"referer"')) headers.referer = value
      break
    case 12:
      if (headers.userAgent === 0 && isName(bytes, from, '"user-agent"')) headers.userAgent = value
      break
    case 17:
      if (headers.forwardedFor === 0 && isName(bytes, from, '"x-forwarded-for"')) headers.forwardedFor = value
      break
    case 19:
      if (headers.forwardedProto === 0 && isName(bytes, from, '"x-forwarded-proto"')) headers.forwardedProto = value
      break
  }
}

function isName(bytes: Uint8Array, from: number, quoted: string): boolean {
  for (let at = 1; at < quoted.length - 1; at++) {
    const byte = bytes[from + at]!
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
    if (lower !== quoted.charCodeAt(at)) return false
  }
  return true
}

/** Each item of the list that is a header. */
export function visitHeaders(document: JsonDocument, list: number, each: (name: number, value: number) => void): void {
  for (let item = list + ENTRY; !document.isClose(item); item = document.after(item)) {
    if (isHeader(document, item)) {
      each(item + 2 * ENTRY, item + 4 * ENTRY)
      continue
    }
    const pair = readPair(document, item)
    if (pair) each(pair.name, pair.value)
  }
}
