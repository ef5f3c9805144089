import { isUtf8 } from 'node:buffer'
import { ARRAY, CLOSE, ENTRY, ESCAPED, kindOf, OBJECT, START_MASK, scanJson, scanned } from './scan.ts'

/** Digits of which every whole number is a double. */
const WHOLE_DIGITS_MAX = 15

/** A string, key or number that reads as something else now. */
export interface Replacement {
  readonly start: number
  readonly end: number
  /** JSON, one character for each byte of the UTF-8. */
  readonly json: string
}

/**
 * One JSON value as bytes with their tape (scan.ts), without white space between its parts. Nothing is decoded until
 * somebody asks; replacements show in everything that is read from then on.
 */
export class JsonDocument {
  readonly bytes: Buffer
  readonly view: DataView
  readonly tape: Int32Array
  /** Entry of the value; entries go up to `end`. */
  readonly root: number
  readonly end: number
  #replacements: readonly Replacement[] = []
  /** Everything that is replaced lies between these two bytes. */
  replacedFrom = 0
  replacedTo = 0

  constructor(bytes: Buffer, view: DataView, tape: Int32Array, root: number, end: number) {
    this.bytes = bytes
    this.view = view
    this.tape = tape
    this.root = root
    this.end = end
  }

  kind(entry: number): number {
    return kindOf(this.tape[entry]!)
  }

  /** First byte. */
  from(entry: number): number {
    return this.tape[entry]! & START_MASK
  }

  /** Byte after the last one. */
  to(entry: number): number {
    const value = this.tape[entry + 1]!
    const kind = this.kind(entry)
    return kind === OBJECT || kind === ARRAY ? (this.tape[value - ENTRY]! & START_MASK) + 1 : value
  }

  /** The entry behind this value and everything in it. */
  after(entry: number): number {
    const kind = this.kind(entry)
    return kind === OBJECT || kind === ARRAY ? this.tape[entry + 1]! : entry + ENTRY
  }

  isClose(entry: number): boolean {
    return this.kind(entry) === CLOSE
  }

  /** An object or array with nothing in it. */
  isEmpty(entry: number): boolean {
    return this.isClose(entry + ENTRY)
  }

  /** Whether a key or string is written exactly so, in ASCII and with its quotes. */
  is(entry: number, quoted: string): boolean {
    const from = this.from(entry)
    if (this.tape[entry + 1]! - from !== quoted.length) return false
    for (let at = 1; at < quoted.length; at++) if (this.bytes[from + at] !== quoted.charCodeAt(at)) return false
    return true
  }

  /** Entry of an object's member, the last if there are several; 0 = none. */
  member(object: number, quoted: string): number {
    let found = 0
    for (let key = object + ENTRY; !this.isClose(key); key = this.after(key + ENTRY)) {
      if (this.is(key, quoted)) found = key + ENTRY
    }
    return found
  }

  /** In the order of the text, none inside another. */
  get replacements(): readonly Replacement[] {
    return this.#replacements
  }

  replace(replacements: readonly Replacement[]): void {
    this.#replacements = replacements
    this.replacedFrom = replacements[0]?.start ?? 0
    this.replacedTo = replacements.at(-1)?.end ?? 0
  }

  /** Position of the first replacement that does not end before this byte. */
  replacementFrom(byte: number): number {
    let low = 0
    let high = this.#replacements.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#replacements[middle]!.end <= byte) low = middle + 1
      else high = middle
    }
    return low
  }

  isReplaced(entry: number): boolean {
    const from = this.from(entry)
    if (from < this.replacedFrom || from >= this.replacedTo) return false
    return this.#replacements[this.replacementFrom(from)]?.start === from
  }

  /** What a string or key says. */
  text(entry: number): string {
    if ((this.tape[entry]! & ESCAPED) !== 0 || this.isReplaced(entry)) return this.value(entry) as string
    return this.bytes.toString('utf8', this.from(entry) + 1, this.to(entry) - 1)
  }

  /** A whole number written as nothing but digits, few enough for a double. */
  isWhole(entry: number): boolean {
    const from = this.from(entry)
    const to = this.tape[entry + 1]!
    if (to - from > WHOLE_DIGITS_MAX) return false
    for (let at = from; at < to; at++) if (this.bytes[at]! < 0x30 || this.bytes[at]! > 0x39) return false
    return true
  }

  /** What a number says. */
  number(entry: number): number {
    const from = this.from(entry)
    const to = this.tape[entry + 1]!
    if (!this.isWhole(entry)) return Number(this.bytes.toString('latin1', from, to))
    let number = 0
    for (let at = from; at < to; at++) number = number * 10 + this.bytes[at]! - 0x30
    return number
  }

  /** Any value, as JSON.parse gives it. */
  value(entry: number): unknown {
    const from = this.from(entry)
    const to = this.to(entry)
    if (to <= this.replacedFrom || from >= this.replacedTo) return JSON.parse(this.bytes.toString('utf8', from, to))
    return JSON.parse(Buffer.from(this.json(from, to), 'latin1').toString())
  }

  /** The text between two positions, one character for each byte. */
  json(from: number, to: number): string {
    let json = ''
    let at = from
    for (let index = this.replacementFrom(from); index < this.#replacements.length; index++) {
      const { start, end, json: other } = this.#replacements[index]!
      if (start >= to) break
      json += this.bytes.toString('latin1', at, start) + other
      at = end
    }
    return json + this.bytes.toString('latin1', at, to)
  }
}

const SLAB_NUMBERS = 64 * 1024

/** Makes documents. Their tapes share slabs of memory, because a small array for each would cost more than its scan. */
export class DocumentReader {
  #slab = new Int32Array(0)
  #used = 0

  /**
   * The document, or the reason why the bytes are refused: `not_json`, `invalid_utf8`, `too_deep`, `too_many_keys`,
   * `oversize`, followed by a detail.
   */
  read(raw: Buffer): JsonDocument | string {
    const document = this.#scan(raw)
    if (typeof document === 'string') return isUtf8(raw) ? document : 'invalid_utf8'
    if (scanned.wide && !isUtf8(raw)) return 'invalid_utf8'
    return scanned.spaced ? this.#scan(withoutSpace(document)) : document
  }

  #scan(raw: Buffer): JsonDocument | string {
    // No text has more entries than bytes. Pages of the slab that stay unused are never made.
    const room = ENTRY * (raw.length + 1)
    if (this.#slab.length - this.#used < room) {
      this.#slab = new Int32Array(Math.max(room, SLAB_NUMBERS))
      this.#used = 0
    }
    const view = new DataView(raw.buffer, raw.byteOffset, raw.length)
    const fault = scanJson(raw, view, this.#slab, this.#used)
    if (fault !== undefined) return fault
    const root = this.#used
    this.#used = scanned.end
    return new JsonDocument(raw, view, this.#slab, root, scanned.end)
  }
}

function withoutSpace({ bytes }: JsonDocument): Buffer {
  const compact = Buffer.allocUnsafe(bytes.length)
  let length = 0
  let inString = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (inString || byte > 0x20) compact[length++] = byte
    if (byte === 0x22) inString = !inString
    else if (byte === 0x5c) compact[length++] = bytes[++at]!
  }
  return compact.subarray(0, length)
}
