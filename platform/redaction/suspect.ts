import type { JsonDocument } from '../json/document.ts'
import { ESCAPED, START_MASK } from '../json/scan.ts'
import type { SecretNames } from './names.ts'

const EQUALS = 1
const PERCENT = 2
const WEB_TOKEN = 3
const KEY_ID = 4
const SCHEME = 5
/** What a byte may be part of; 0 = of no secret that we know. */
const interest = new Uint8Array(256)
interest[0x3d] = EQUALS
interest[0x25] = PERCENT
interest[0x4a] = WEB_TOKEN
interest[0x49] = KEY_ID
interest[0x42] = SCHEME
interest[0x62] = SCHEME

/** Bytes of a parameter's name, as in string.ts. */
const nameBytes = new Uint8Array(256).fill(1, 0x30, 0x3a).fill(1, 0x41, 0x5b).fill(1, 0x61, 0x7b)
for (const char of '_.%[]-') nameBytes[char.charCodeAt(0)] = 1

/**
 * Whether the content of a JSON string may hold something that redactString replaces. May say yes for nothing, never no for
 * something: most strings are told apart here, without being decoded.
 */
export function isSuspect(document: JsonDocument, entry: number, names: SecretNames): boolean {
  const { bytes, view, tape } = document
  const from = (tape[entry]! & START_MASK) + 1
  const to = tape[entry + 1]! - 1
  let at = from
  if ((tape[entry]! & ESCAPED) === 0) {
    // Four bytes at a time; a high bit is set for `=`, `%`, `b`, `B` and H to K (and over 0x7f), the lowest one rightly (scan.ts).
    while (at + 4 <= to) {
      const word = view.getInt32(at, true)
      const equals = (word ^ 0x3d3d3d3d) - 0x01010101
      const percents = (word ^ 0x25252525) - 0x01010101
      const letters = ((word | 0x20202020) ^ 0x62626262) - 0x01010101
      const capitals = ((word & 0xfcfcfcfc) ^ 0x48484848) - 0x01010101
      const special = (equals | percents | letters | capitals) & 0x80808080
      if (special === 0) {
        at += 4
        continue
      }
      at += (31 - Math.clz32(special & -special)) >> 3
      if (isSuspectAt(bytes, from, at, names)) return true
      at++
    }
  }
  for (; at < to; at++) {
    // \uXXXX can stand for anything; after the other escapes the next byte is not what it seems.
    if (bytes[at] === 0x5c) {
      if (bytes[++at] === 0x75) return true
    } else if (isSuspectAt(bytes, from, at, names)) return true
  }
  return false
}

/** Whether a secret's sign is at this byte of a string that begins at `from`. */
function isSuspectAt(bytes: Uint8Array, from: number, at: number, names: SecretNames): boolean {
  switch (interest[bytes[at]!]!) {
    case EQUALS:
      return mayNameSecret(bytes, from, at, names)
    case PERCENT:
      return isEncodedEquals(bytes, at)
    case WEB_TOKEN:
      return bytes[at - 1] === 0x79 && bytes[at - 2] === 0x65
    case KEY_ID:
      return bytes[at + 1] === 0x41 && bytes[at - 2] === 0x41
    case SCHEME:
      return isWord(bytes, at, 'bearer') || isWord(bytes, at, 'basic')
    default:
      return false
  }
}

/** Whether a word begins here; its first letter is known. */
function isWord(bytes: Uint8Array, from: number, word: string): boolean {
  for (let at = 1; at < word.length; at++) if ((bytes[from + at]! | 0x20) !== word.charCodeAt(at)) return false
  return true
}

/** `%3d`, or the beginning of `%253d`. */
function isEncodedEquals(bytes: Uint8Array, at: number): boolean {
  const second = bytes[at + 2]
  return bytes[at + 1] === 0x33 ? (second! | 0x20) === 0x64 : bytes[at + 1] === 0x32 && second === 0x35
}

function mayNameSecret(bytes: Uint8Array, from: number, at: number, names: SecretNames): boolean {
  let end = at
  while (end > from && bytes[end - 1] === 0x5d) end--
  let start = end
  while (start > from && nameBytes[bytes[start - 1]!] === 1) {
    const byte = bytes[start - 1]
    if (byte === 0x25) return true
    if (byte === 0x2e || byte === 0x5b || byte === 0x5d) break
    start--
  }
  // Behind a backslash the first byte belongs to the escape.
  if (start > from && bytes[start - 1] === 0x5c) return true
  // A percent sign further back may decode to anything, but then ends before the last part of the name.
  return start < end && names.isParameterInBytes(bytes, start, end)
}
