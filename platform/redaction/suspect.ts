import type { JsonDocument } from '../json/document.ts'
import { START_MASK } from '../json/scan.ts'
import type { SecretNames } from './names.ts'

/** What a byte may be part of, as bits. */
const EQUALS = 1
const PERCENT = 2
const WEB_TOKEN = 4
const KEY_ID = 8
const SCHEME = 16
const ESCAPE = 32

/** By byte: the kinds of secrets it is a sign of. */
const signs = bytesOf([
  ['=', EQUALS],
  ['%', PERCENT],
  ['J', WEB_TOKEN],
  ['I', KEY_ID],
  ['Bb', SCHEME],
  ['\\', ESCAPE],
])
/** By byte: the kinds that it can go on, behind their sign. No value goes on with the end of its string. */
const followers = bytesOf([
  ['32', PERCENT],
  ['A', KEY_ID],
  ['aAeE', SCHEME],
  ['u', ESCAPE],
]).map((kinds, byte) => kinds | WEB_TOKEN | (byte === 0x22 ? 0 : EQUALS))

function bytesOf(chars: readonly (readonly [chars: string, kind: number])[]): Uint8Array {
  const table = new Uint8Array(256)
  for (const [some, kind] of chars) for (const char of some) table[char.charCodeAt(0)]! |= kind
  return table
}

/** By two bytes, the first in the low half: 1 if a sign with its follower is there, or may begin with the second byte. */
const pairs = new Uint8Array(1 << 16)
for (let pair = 0; pair < pairs.length; pair++) {
  const first = pair & 0xff
  const second = pair >>> 8
  if ((signs[first]! & followers[second]!) !== 0 || signs[second] !== 0) pairs[pair] = 1
}

/** Bytes of a parameter's name, as in string.ts. */
const nameBytes = new Uint8Array(256).fill(1, 0x30, 0x3a).fill(1, 0x41, 0x5b).fill(1, 0x61, 0x7b)
for (const char of '_.%[]-') nameBytes[char.charCodeAt(0)] = 1

/** Where words with a sign are in the string that is looked at; room for the longest (scan.ts). */
const marked = new Int32Array((START_MASK + 1) / 4)

/**
 * Whether the content of a JSON string may hold something that redactString replaces. May say yes for nothing, never no for
 * something: most strings are told apart here, without being decoded.
 */
export function isSuspect(document: JsonDocument, entry: number, names: SecretNames): boolean {
  const { bytes, tape, view } = document
  const from = (tape[entry]! & START_MASK) + 1
  const to = tape[entry + 1]! - 1
  // Four bytes at a time, and without a branch: where signs are cannot be predicted, and a wrong guess costs more than several words.
  const wordsEnd = Math.min(to, bytes.length - 3)
  let count = 0
  let at = from
  for (; at < wordsEnd; at += 4) {
    const word = view.getInt32(at, true)
    marked[count] = at
    count += pairs[word & 0xffff]! | pairs[word >>> 16]!
  }
  if (at < to) marked[count++] = at
  for (let mark = 0; mark < count; mark++) if (isSuspectWord(bytes, from, marked[mark]!, to, names)) return true
  return false
}

function isSuspectWord(bytes: Uint8Array, from: number, first: number, to: number, names: SecretNames): boolean {
  const end = Math.min(first + 4, to)
  for (let at = first; at < end; at++) {
    if ((signs[bytes[at]!]! & followers[bytes[at + 1]!]!) !== 0 && isSuspectAt(bytes, from, at, names)) return true
  }
  return false
}

/** Whether a secret's sign is at this byte of a string that begins at `from`. After an escape it may only seem to be. */
function isSuspectAt(bytes: Uint8Array, from: number, at: number, names: SecretNames): boolean {
  switch (signs[bytes[at]!]!) {
    case EQUALS:
      return mayNameSecret(bytes, from, at, names)
    case PERCENT:
      return isEncodedEquals(bytes, at)
    case WEB_TOKEN:
      return bytes[at - 1] === 0x79 && bytes[at - 2] === 0x65
    case KEY_ID:
      return bytes[at + 1] === 0x41 && bytes[at - 2] === 0x41
    // \uXXXX can stand for anything.
    case ESCAPE:
      return true
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
