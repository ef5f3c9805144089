import { KERNEL_BYTES_MAX, NOT_SCANNED, scanFast } from './scan-kernel.ts'

/**
 * Checks that bytes are one JSON value (RFC 8259, as strict as JSON.parse) and writes down where its parts are. The
 * result, the tape, is a list of entries of two numbers, in the order of the text:
 *
 *   key, string, number, literal   [kind, flags and start], [end]
 *   object, array                  [kind and start], [entry after the closing one]
 *   close                          [kind and position of the bracket], [entry of the opening one]
 *
 * Positions are bytes; a string's start and end include its quotes. Nothing is decoded or copied, which is what makes
 * it several times cheaper than JSON.parse.
 */
export const KEY = 0
export const STRING = 1
export const NUMBER = 2
const LITERAL = 3
export const OBJECT = 4
export const ARRAY = 5
export const CLOSE = 6

/** Numbers an entry takes. */
export const ENTRY = 2
/** On keys and strings: holds a backslash. */
export const ESCAPED = 1 << 24

const KIND_SHIFT = 21
export const START_MASK = (1 << KIND_SHIFT) - 1
const JSON_BYTES_MAX = START_MASK
const DEPTH_MAX = 64
const KEYS_MAX = 2_000

export function kindOf(entry: number): number {
  return (entry >>> KIND_SHIFT) & 7
}

/** What the last successful scan found; one for all, as scanning is synchronous. */
export const scanned = {
  /** Place in the tape after the last entry. */
  end: 0,
  /** White space stands between the parts. */
  spaced: false,
  /** Some string may hold a byte over 0x7f; whether it is UTF-8 was not looked at. */
  wide: false,
}

/** Entry of each open bracket, by depth. */
const openings = new Int32Array(DEPTH_MAX + 1)
/** Where the text stops being JSON; set before -1 is returned. */
let faultAt = 0
/** Set by endOfString. */
let escaped = 0
let wide = false
let spaced = false

/**
 * Writes the tape of `bytes` to `tape` from `base` on, which must have room for 2 * bytes.length numbers. Gives undefined, with
 * the findings in `scanned`, or the reason why the bytes are refused: `not_json`, `too_deep`, `too_many_keys`, `oversize`.
 */
export function scanJson(bytes: Uint8Array, view: DataView, tape: Int32Array, base: number): string | undefined {
  if (bytes.length > JSON_BYTES_MAX) return `oversize: ${bytes.length} bytes`
  // Nearly every record is scanned sixteen bytes at a time.
  const fast = bytes.length > KERNEL_BYTES_MAX ? NOT_SCANNED : scanFast(bytes, tape, base, DEPTH_MAX, KEYS_MAX)
  if (fast === NOT_SCANNED) return scanAny(bytes, view, tape, base)
  scanned.end = base + (fast >> 1)
  scanned.spaced = false
  scanned.wide = (fast & 1) === 1
  return undefined
}

/** The same for any text, and the only judge of those that are refused. */
export function scanAny(bytes: Uint8Array, view: DataView, tape: Int32Array, base: number): string | undefined {
  wide = false
  spaced = false
  let at = 0
  let next = base
  let depth = 0
  let keys = 0
  let inObject = false
  let expectsKey = false
  for (;;) {
    if (bytes[at]! <= 0x20) at = afterSpace(bytes, at)
    const byte = bytes[at]
    if (byte === 0x22) {
      const end = endOfString(bytes, view, at)
      if (end < 0) return notJson(bytes)
      tape[next] = at | escaped | (expectsKey ? 0 : STRING << KIND_SHIFT)
      tape[next + 1] = end
      next += ENTRY
      at = end
      if (expectsKey) {
        if (++keys > KEYS_MAX) return `too_many_keys: more than ${KEYS_MAX}`
        if (bytes[at]! <= 0x20) at = afterSpace(bytes, at)
        if (bytes[at] !== 0x3a) return notJson(bytes, at)
        at++
        expectsKey = false
        continue
      }
    } else if (expectsKey) {
      return notJson(bytes, at)
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > DEPTH_MAX) return `too_deep: more than ${DEPTH_MAX} levels`
      inObject = byte === 0x7b
      openings[depth] = next
      tape[next] = at | ((inObject ? OBJECT : ARRAY) << KIND_SHIFT)
      next += ENTRY
      at++
      if (bytes[at]! <= 0x20) at = afterSpace(bytes, at)
      if (bytes[at] !== (inObject ? 0x7d : 0x5d)) {
        expectsKey = inObject
        continue
      }
    } else {
      const end = endOfScalar(bytes, at)
      if (end < 0) return notJson(bytes)
      tape[next] = at | ((byte! <= 0x39 ? NUMBER : LITERAL) << KIND_SHIFT)
      tape[next + 1] = end
      next += ENTRY
      at = end
    }
    // Behind a value, or behind a bracket that its closing one follows: what closes here, and does more come?
    for (;;) {
      if (depth === 0) return finish(bytes, at, next)
      if (bytes[at]! <= 0x20) at = afterSpace(bytes, at)
      if (bytes[at] === 0x2c) break
      if (bytes[at] !== (inObject ? 0x7d : 0x5d)) return notJson(bytes, at)
      const opening = openings[depth]!
      tape[next] = at | (CLOSE << KIND_SHIFT)
      tape[next + 1] = opening
      next += ENTRY
      tape[opening + 1] = next
      at++
      depth--
      inObject = depth > 0 && kindOf(tape[openings[depth]!]!) === OBJECT
    }
    at++
    expectsKey = inObject
  }
}

function finish(bytes: Uint8Array, at: number, next: number): string | undefined {
  const end = afterSpace(bytes, at)
  if (end < bytes.length) return notJson(bytes, end)
  scanned.end = next
  scanned.spaced = spaced
  scanned.wide = wide
  return undefined
}

function notJson(bytes: Uint8Array, at = faultAt): string {
  return at >= bytes.length ? `not_json: ends early, at byte ${bytes.length}` : `not_json: unexpected byte at ${at}`
}

function fault(at: number): -1 {
  faultAt = at
  return -1
}

function afterSpace(bytes: Uint8Array, from: number): number {
  let at = from
  for (;;) {
    const byte = bytes[at]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
    at++
  }
  if (at > from) spaced = true
  return at
}

/**
 * Looks at four bytes at once. Each of four terms has the high bit of a byte set if that is over 0x7f, under 0x20, a quote or a
 * backslash; a borrow may also set it for a byte behind such a one, so the lowest bit that is set is right.
 */
function endOfString(bytes: Uint8Array, view: DataView, start: number): number {
  const wordsEnd = bytes.length - 3
  let at = start + 1
  escaped = 0
  for (;;) {
    if (at < wordsEnd) {
      const word = view.getInt32(at, true)
      const quotes = (word ^ 0x22222222) - 0x01010101
      const escapes = (word ^ 0x5c5c5c5c) - 0x01010101
      const special = (word | (word - 0x20202020) | quotes | escapes) & 0x80808080
      if (special === 0) {
        at += 4
        continue
      }
      at += (31 - Math.clz32(special & -special)) >> 3
    }
    const byte = bytes[at]!
    if (byte === 0x22) return at + 1
    if (byte === 0x5c) {
      escaped = ESCAPED
      at = endOfEscape(bytes, at)
      if (at < 0) return -1
    } else if (byte > 0x7f) wide = true
    else if (!(byte >= 0x20)) return fault(at)
    at++
  }
}

/** The last byte of the escape that begins at `at`. */
function endOfEscape(bytes: Uint8Array, at: number): number {
  const code = bytes[at + 1]
  if (code !== 0x75)
    return code !== undefined && '"\\/bfnrt'.includes(String.fromCharCode(code)) ? at + 1 : fault(at + 1)
  for (let digit = at + 2; digit < at + 6; digit++) {
    const byte = bytes[digit] ?? 0
    const isHex = (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66)
    if (!isHex) return fault(digit)
  }
  return at + 5
}

/** End of the number or literal at `at`. */
function endOfScalar(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]
  if (byte === 0x6e) return endOfWord(bytes, at, 'null')
  if (byte === 0x74) return endOfWord(bytes, at, 'true')
  if (byte === 0x66) return endOfWord(bytes, at, 'false')
  return endOfNumber(bytes, at)
}

function endOfWord(bytes: Uint8Array, at: number, word: string): number {
  for (let step = 1; step < word.length; step++) if (bytes[at + step] !== word.charCodeAt(step)) return fault(at + step)
  return at + word.length
}

function endOfNumber(bytes: Uint8Array, from: number): number {
  let at = bytes[from] === 0x2d ? from + 1 : from
  at = bytes[at] === 0x30 ? at + 1 : endOfDigits(bytes, at)
  if (at > 0 && bytes[at] === 0x2e) at = endOfDigits(bytes, at + 1)
  if (at > 0 && (bytes[at]! | 0x20) === 0x65) {
    const sign = bytes[at + 1]
    at = endOfDigits(bytes, sign === 0x2b || sign === 0x2d ? at + 2 : at + 1)
  }
  return at
}

/** One digit at least. */
function endOfDigits(bytes: Uint8Array, from: number): number {
  let at = from
  while (bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at++
  return at > from ? at : fault(at)
}
