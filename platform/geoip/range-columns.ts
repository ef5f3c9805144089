import type { Words } from '../address.ts'

const ROWS_FIRST = 4096

/** Address ranges sorted by their first address, `width` 32-bit words an address, and what each belongs to. */
export class AddressColumn {
  readonly #width: 1 | 4
  #starts: Uint32Array
  #ends: Uint32Array
  #places: Uint32Array
  #rows = 0

  constructor(width: 1 | 4) {
    this.#width = width
    this.#starts = new Uint32Array(ROWS_FIRST * width)
    this.#ends = new Uint32Array(ROWS_FIRST * width)
    this.#places = new Uint32Array(ROWS_FIRST)
  }

  get rows(): number {
    return this.#rows
  }

  /** 'unsorted': nothing was added. */
  append(from: Words, to: Words, place: number): 'after' | 'overlap' | 'unsorted' {
    const row = this.#rows
    if (row > 0 && this.#compare(from, this.#starts, row - 1) <= 0) return 'unsorted'
    const overlap = row > 0 && this.#compare(from, this.#ends, row - 1) <= 0
    if (row === this.#places.length) this.#resize(row * 2)
    for (let word = 0; word < this.#width; word++) {
      this.#starts[row * this.#width + word] = from[word]!
      this.#ends[row * this.#width + word] = to[word]!
    }
    this.#places[row] = place
    this.#rows++
    return overlap ? 'overlap' : 'after'
  }

  /** Gives back the memory beyond the last row. */
  trim(): this {
    this.#resize(this.#rows)
    return this
  }

  /** The place of the last range that begins at or before the address, if the address is in it; else 0. */
  find(address: Words): number {
    let low = 0
    let high = this.#rows
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(address, this.#starts, middle) >= 0) low = middle + 1
      else high = middle
    }
    const row = low - 1
    return row >= 0 && this.#compare(address, this.#ends, row) <= 0 ? this.#places[row]! : 0
  }

  #compare(address: Words, column: Uint32Array, row: number): number {
    for (let word = 0; word < this.#width; word++) {
      const difference = address[word]! - column[row * this.#width + word]!
      if (difference !== 0) return difference
    }
    return 0
  }

  #resize(rows: number): void {
    this.#starts = resized(this.#starts, rows * this.#width)
    this.#ends = resized(this.#ends, rows * this.#width)
    this.#places = resized(this.#places, rows)
  }
}

/** Negative, 0 or positive, as `left` is before, at or after `right`. */
export function compareWords(left: Words, right: Words): number {
  for (let word = 0; word < 4; word++) {
    const difference = left[word]! - right[word]!
    if (difference !== 0) return difference
  }
  return 0
}

function resized(array: Uint32Array, length: number): Uint32Array {
  const copy = new Uint32Array(length)
  copy.set(array.subarray(0, length))
  return copy
}
