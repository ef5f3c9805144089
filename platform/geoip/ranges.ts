import { type Address, parseAddress, type Words } from '../address.ts'
import type { AutonomousSystem } from '../ocsf/event.ts'
import type { Bytes } from './file-bytes.ts'
import { AddressColumn, compareWords } from './range-columns.ts'
import { Systems } from './systems.ts'

/**
 * ASN database as sorted ranges: CSV lines `first,last,number,"name"` with addresses as text, ascending by `first`
 * (ip-location-db `asn-ipv4.csv`, `asn-ipv6.csv`). Kept in typed arrays: 12 bytes an IPv4 range, 36 bytes an IPv6 range.
 * Ranges should not overlap, but published files have such lines; there the range that begins last answers alone.
 */
export interface Ranges {
  readonly rows: number
  /** Lines that overlap the line before them. */
  readonly overlaps: number
  /** Place of the system of an address, for `system`; 0 when the database knows nothing. */
  find4(value: number): number
  find6(words: Words): number
  system(place: number): AutonomousSystem
}

const LINE_LENGTH_MAX = 4096
const CHUNK_BYTES = 64 * 1024
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/** Throws with the line and the reason when `bytes` is anything else. Needs `bytes` no longer afterwards. */
export function readRanges(bytes: Bytes): Ranges {
  const reading = new Reading()
  for (let start = 0; start < bytes.length; ) {
    const limit = Math.min(bytes.length, start + CHUNK_BYTES)
    const chunk = bytes.read(start, limit - start)
    const feed = limit === bytes.length ? chunk.length - 1 : chunk.lastIndexOf(LINE_FEED)
    // Without a line feed the chunk is one line, far too long.
    const end = feed < 0 ? chunk.length : feed + 1
    reading.lines(chunk.toString('latin1', 0, end))
    start += end
  }
  return reading.ranges()
}

/**
 * Takes the file as strings of one character a byte, large enough to be few and small enough to live on V8's heap, and reads
 * the fields in place: a string for each field of half a million lines would cost a second.
 */
class Reading {
  #text = ''
  #line = 0
  #overlaps = 0
  readonly #column4 = new AddressColumn(1)
  readonly #column6 = new AddressColumn(4)
  readonly #systems = new Systems()

  /** Whole lines. */
  lines(text: string): void {
    this.#text = text
    for (let start = 0; start < text.length; ) {
      const feed = text.indexOf('\n', start)
      const end = feed < 0 ? text.length : feed
      this.#line++
      if (end > start) this.#read(start, text.charCodeAt(end - 1) === CARRIAGE_RETURN ? end - 1 : end)
      start = end + 1
    }
  }

  ranges(): Ranges {
    const column4 = this.#column4.trim()
    const column6 = this.#column6.trim()
    const systems = this.#systems.trim()
    const rows = column4.rows + column6.rows
    if (rows === 0) throw new Error('it has no ranges')
    return {
      rows,
      overlaps: this.#overlaps,
      find4: value => column4.find([value, 0, 0, 0]),
      find6: words => column6.find(words),
      system: place => systems.system(place),
    }
  }

  #read(start: number, end: number): void {
    if (end - start > LINE_LENGTH_MAX) throw this.#broken(`is longer than ${LINE_LENGTH_MAX} bytes`)
    const comma1 = this.#text.indexOf(',', start)
    const comma2 = comma1 < 0 ? -1 : this.#text.indexOf(',', comma1 + 1)
    if (comma2 < 0 || comma2 >= end) throw this.#broken('is not first,last,number,name')
    const first = parseAddress(this.#text, start, comma1)
    const last = parseAddress(this.#text, comma1 + 1, comma2)
    if (!first || first.family !== last?.family) {
      throw this.#broken('does not begin with two addresses of one family (files with numeric addresses are not read)')
    }
    const column = first.family === 4 ? this.#column4 : this.#column6
    const from = wordsOf(first)
    const to = wordsOf(last)
    if (compareWords(to, from) < 0) throw this.#broken('ends before it begins')
    const place = this.#systems.place(this.#text, comma2 + 1, end)
    if (place < 0) throw this.#broken('has no AS number')
    const order = column.append(from, to, place)
    if (order === 'unsorted') throw this.#broken('begins before the line above it: the file must be sorted')
    if (order === 'overlap') this.#overlaps++
  }

  #broken(what: string): Error {
    return new Error(`line ${this.#line} ${what}`)
  }
}

function wordsOf(address: Address): Words {
  return address.family === 4 ? [address.value, 0, 0, 0] : address.words
}
