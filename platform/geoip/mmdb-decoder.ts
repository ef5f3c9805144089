import { type Bytes, WINDOW_BYTES } from './file-bytes.ts'

/**
 * Values of a MaxMind DB data section (MaxMind DB file format specification 2.0, "Output Data Section").
 * A damaged file is data like any other: depth, number of values and bytes of one record are bounded, a pointer cannot leave
 * the section, and every violation is an Error.
 */
export type MmdbValue = string | number | bigint | boolean | Buffer | MmdbValue[] | MmdbMap
/** No prototype: keys come from the file. */
export interface MmdbMap {
  [key: string]: MmdbValue
}

const DEPTH_MAX = 16
const VALUES_MAX = 4096
const RECORD_BYTES_MAX = 256 * 1024

const type = {
  extended: 0,
  pointer: 1,
  string: 2,
  double: 3,
  bytes: 4,
  uint16: 5,
  uint32: 6,
  map: 7,
  int32: 8,
  uint64: 9,
  uint128: 10,
  array: 11,
  boolean: 14,
  float: 15,
} as const

/** Where a pointer's value starts to count, by the pointer's size. */
const pointerBias = [0, 2048, 526336, 0] as const

/** Decodes the value at `offset` of `section`; pointers count from the start of `section`. */
export function decodeValue(section: Bytes, offset: number): MmdbValue {
  return new Decoding(section, offset).value(0)
}

class Decoding {
  readonly #section: Bytes
  #at: number
  #values = 0
  #bytes = 0

  constructor(section: Bytes, offset: number) {
    this.#section = section
    this.#at = offset
  }

  value(depth: number): MmdbValue {
    if (depth > DEPTH_MAX) throw new Error(`values are nested deeper than ${DEPTH_MAX}`)
    if (++this.#values > VALUES_MAX) throw new Error(`a record has more than ${VALUES_MAX} values`)
    const control = this.#uint(1)
    let kind = control >>> 5
    if (kind === type.pointer) return this.#pointed(control, depth)
    if (kind === type.extended) kind = this.#uint(1) + 7
    const size = this.#size(control & 0x1f)
    switch (kind) {
      case type.map:
        return this.#map(size, depth)
      case type.array:
        return this.#array(size, depth)
      case type.string:
        return this.#text(size)
      case type.bytes:
        return Buffer.from(this.#section.read(this.#take(size), size))
      case type.double:
        return this.#section.memory.readDoubleBE(this.#section.place(this.#take(exactly(size, 8))))
      case type.float:
        return this.#section.memory.readFloatBE(this.#section.place(this.#take(exactly(size, 4))))
      case type.boolean:
        return size !== 0
      case type.uint16:
      case type.uint32:
        return this.#uint(atMost(size, 4))
      case type.int32:
        return size === 4 ? this.#uint(4) | 0 : this.#uint(atMost(size, 4))
      case type.uint64:
      case type.uint128:
        return BigInt(`0x0${this.#section.read(this.#take(atMost(size, 16)), size).toString('hex')}`)
      default:
        throw new Error(`a value has the unknown type ${kind}`)
    }
  }

  #text(size: number): string {
    const start = this.#take(size)
    if (size === 0) return ''
    if (size > WINDOW_BYTES) return this.#section.read(start, size).toString('utf8')
    const at = this.#section.place(start)
    return this.#section.memory.toString('utf8', at, at + size)
  }

  #pointed(control: number, depth: number): MmdbValue {
    const length = (control >>> 3) & 3
    const high = length === 3 ? 0 : (control & 7) * 2 ** (8 * (length + 1))
    const target = high + this.#uint(length + 1) + pointerBias[length as 0 | 1 | 2 | 3]
    const back = this.#at
    this.#at = target
    const value = this.value(depth + 1)
    this.#at = back
    return value
  }

  #map(size: number, depth: number): MmdbMap {
    const map: MmdbMap = Object.create(null) as MmdbMap
    for (let index = 0; index < size; index++) {
      const key = this.value(depth + 1)
      if (typeof key !== 'string') throw new Error('a map key is not a string')
      map[key] = this.value(depth + 1)
    }
    return map
  }

  #array(size: number, depth: number): MmdbValue[] {
    const list: MmdbValue[] = []
    for (let index = 0; index < size; index++) list.push(this.value(depth + 1))
    return list
  }

  #size(bits: number): number {
    if (bits < 29) return bits
    if (bits === 29) return 29 + this.#uint(1)
    return bits === 30 ? 285 + this.#uint(2) : 65821 + this.#uint(3)
  }

  #uint(length: number): number {
    const { memory } = this.#section
    const offset = this.#take(length)
    if (length === 0) return 0
    const start = this.#section.place(offset)
    let value = 0
    for (let at = start; at < start + length; at++) value = value * 256 + memory[at]!
    return value
  }

  /** Moves on by `length` bytes; their start. */
  #take(length: number): number {
    const start = this.#at
    this.#at = start + length
    this.#bytes += length
    if (this.#at > this.#section.length) throw new Error('a value reaches past the end of the data')
    if (this.#bytes > RECORD_BYTES_MAX) throw new Error(`a record has more than ${RECORD_BYTES_MAX} bytes`)
    return start
  }
}

function exactly(size: number, expected: number): number {
  return size === expected ? size : wrongSize(size)
}

function atMost(size: number, bound: number): number {
  return size <= bound ? size : wrongSize(size)
}

function wrongSize(size: number): never {
  throw new Error(`a value has the impossible size ${size}`)
}
