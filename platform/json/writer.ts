import { renderFragment } from '../ocsf/fragment.ts'
import type { JsonDocument } from './document.ts'
import { type Literal, literal } from './literal.ts'
import { START_MASK } from './scan.ts'

const OPEN = literal('{')
const CLOSE = literal('}')

const SLAB_BYTES = 256 * 1024
/** Lengths from which a native call is faster than a loop: of bytes four at a time, and of a string's characters. */
const NATIVE_COPY_BYTES = 64
const NATIVE_WRITE_CHARS = 12

/** Not the same in JSON, or not one byte in UTF-8. */
const needsEncoding = /[^ !#-[\]-~]/

/** Names of members met before, behind their comma and with their colon. */
const keys = new Map<string, Literal>()
const KEYS_MAX = 1_000
const KEY_CHARS_MAX = 64

/**
 * Writes JSON text as UTF-8. Texts share slabs of memory; each is handed out as a view and never written again.
 * Four bytes at a time may be written, so up to three behind the end are scratch.
 */
export class JsonWriter {
  #bytes = Buffer.allocUnsafeSlow(SLAB_BYTES)
  #view = viewOf(this.#bytes)
  #start = 0
  #at = 0

  /** Starts a text; what was written since the last `finish` is forgotten. */
  begin(): void {
    this.#at = this.#start
  }

  get length(): number {
    return this.#at - this.#start
  }

  finish(): Buffer {
    const text = this.#bytes.subarray(this.#start, this.#at)
    this.#start = this.#at
    return text
  }

  /** What was written since `begin`, decoded. */
  text(): string {
    return this.#bytes.toString('utf8', this.#start, this.#at)
  }

  /** Makes one object of the members written since the text was `from` bytes long, each of them behind a comma. */
  asObject(from: number): void {
    if (this.length === from) this.literal(OPEN)
    else this.#bytes[this.#start + from] = 0x7b
    this.literal(CLOSE)
  }

  /** Text of ours, ASCII and already JSON; or the byte string of something already encoded. */
  ascii(text: string): void {
    const { length } = text
    this.#room(length)
    if (length > NATIVE_WRITE_CHARS) this.#bytes.write(text, this.#at, 'latin1')
    else for (let at = 0; at < length; at++) this.#bytes[this.#at + at] = text.charCodeAt(at)
    this.#at += length
  }

  literal({ words, length }: Literal): void {
    this.#room(length)
    const view = this.#view
    let at = this.#at
    for (let word = 0; word < words.length; word++, at += 4) view.setInt32(at, words[word]!, true)
    this.#at += length
  }

  /** `before`, and a key, string or number of a document as it is written there. */
  entry(before: Literal, document: JsonDocument, entry: number): void {
    const { tape } = document
    const from = tape[entry]! & START_MASK
    const to = tape[entry + 1]!
    this.literal(before)
    if (to <= document.replacedFrom || from >= document.replacedTo) this.#copy(document, from, to)
    else this.#mended(document, from, to)
  }

  /** A part of a document, with what was replaced in it. */
  part(document: JsonDocument, from: number, to: number): void {
    if (to <= document.replacedFrom || from >= document.replacedTo) this.#copy(document, from, to)
    else this.#mended(document, from, to)
  }

  #mended(document: JsonDocument, from: number, to: number): void {
    const { replacements } = document
    let at = from
    for (let index = document.replacementFrom(from); index < replacements.length; index++) {
      const { start, end, json } = replacements[index]!
      if (start >= to) break
      if (start < from) {
        // The part lies inside a string that reads as something else: so does the part.
        this.ascii(json.slice(1, -1))
        return
      }
      this.#copy(document, at, start)
      this.ascii(json)
      at = end
    }
    this.#copy(document, at, to)
  }

  #copy({ bytes, view }: JsonDocument, from: number, to: number): void {
    const length = to - from
    this.#room(length)
    const out = this.#view
    const shift = this.#at - from
    let at = from
    if (length > NATIVE_COPY_BYTES) {
      bytes.copy(this.#bytes, this.#at, from, to)
    } else {
      for (const wordsEnd = Math.min(to, bytes.length - 3); at < wordsEnd; at += 4) {
        out.setInt32(at + shift, view.getInt32(at, true), true)
      }
      for (; at < to; at++) this.#bytes[at + shift] = bytes[at]!
    }
    this.#at += length
  }

  /** Any value that JSON has, as JSON.stringify would write it; undefined members are left out. */
  value(value: unknown): void {
    if (typeof value === 'string') this.string(value)
    else if (typeof value !== 'object' || value === null) this.ascii(JSON.stringify(value) ?? 'null')
    else if (Array.isArray(value)) this.#list(value)
    else this.#object(value as Readonly<Record<string, unknown>>)
  }

  #list(list: readonly unknown[]): void {
    this.ascii('[')
    for (let at = 0; at < list.length; at++) {
      if (at > 0) this.ascii(',')
      this.value(list[at])
    }
    this.ascii(']')
  }

  #object(object: Readonly<Record<string, unknown>>): void {
    const fragment = renderFragment(object)
    if (fragment !== undefined) {
      this.ascii(fragment)
      return
    }
    const from = this.length
    for (const key of Object.keys(object)) this.member(key, object[key])
    this.asObject(from)
  }

  /** A member behind a comma, unless its value is undefined. */
  member(key: string, value: unknown): void {
    if (value === undefined) return
    const known = keys.get(key)
    if (known) this.literal(known)
    else this.#key(key)
    this.value(value)
  }

  #key(key: string): void {
    const json = `,${JSON.stringify(key)}:`
    if (keys.size < KEYS_MAX && json.length < KEY_CHARS_MAX && !needsEncoding.test(key)) keys.set(key, literal(json))
    this.ascii(Buffer.from(json).toString('latin1'))
  }

  string(text: string): void {
    if (needsEncoding.test(text)) {
      this.#encoded(text)
      return
    }
    const { length } = text
    this.#room(length + 2)
    this.#bytes[this.#at++] = 0x22
    this.ascii(text)
    this.#bytes[this.#at++] = 0x22
  }

  #encoded(text: string): void {
    // Well-formed: a lone surrogate becomes an escape, so the bytes are always UTF-8.
    const json = JSON.stringify(text)
    this.#room(json.length * 3)
    this.#at += this.#bytes.write(json, this.#at)
  }

  /** Room for `length` more bytes and a word. */
  #room(length: number): void {
    const needed = this.#at + length + 4
    if (needed <= this.#bytes.length) return
    const written = this.#bytes.subarray(this.#start, this.#at)
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, 2 * (needed - this.#start)))
    this.#view = viewOf(this.#bytes)
    written.copy(this.#bytes)
    this.#at = written.length
    this.#start = 0
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}
