/**
 * Seeded randomness for generated data. Integer arithmetic only, so that a seed gives the same bytes on every machine.
 * Not for secrets.
 */
const HEX4 = Array.from({ length: 65_536 }, (_, value) => value.toString(16).padStart(4, '0'))
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const BASE64_2 = Array.from({ length: 4096 }, (_, value) => ALPHABET[value >> 6]! + ALPHABET[value & 63]!)

/** sfc32 (Chris Doty-Humphrey's small fast counting generator, 128 bits of state). */
export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** Different `stream`s of one seed are unrelated: a client's looks do not depend on when it is first seen. */
  constructor(seed: number, stream = 0) {
    this.#a = seed | 0
    this.#b = stream | 0
    this.#c = 0x9e3779b9 ^ Math.imul(seed ^ 0x85ebca6b, 0xc2b2ae35)
    for (let round = 0; round < 12; round++) this.next()
  }

  /** 32 bits, unsigned. */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    this.#c |= 0
    return sum >>> 0
  }

  /** 0 to 1, without 1. */
  fraction(): number {
    return this.next() / 4_294_967_296
  }

  /** 0 to n-1. */
  below(n: number): number {
    return Math.floor(this.fraction() * n)
  }

  between(min: number, max: number): number {
    return min + this.below(max - min + 1)
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  /** `quads` times four hex digits. */
  hex(quads: number): string {
    let text = ''
    for (let i = 0; i < quads; i += 2) {
      const bits = this.next()
      text += i + 1 < quads ? HEX4[bits & 0xffff]! + HEX4[bits >>> 16]! : HEX4[bits & 0xffff]!
    }
    return text
  }

  /** `pairs` times two characters of the URL-safe base64 alphabet. */
  base64(pairs: number): string {
    let text = ''
    for (let i = 0; i < pairs; i += 2) {
      const bits = this.next()
      text += i + 1 < pairs ? BASE64_2[bits & 4095]! + BASE64_2[(bits >>> 12) & 4095]! : BASE64_2[bits & 4095]!
    }
    return text
  }

  uuid(): string {
    return `${this.hex(2)}-${this.hex(1)}-4${this.hex(1).slice(1)}-a${this.hex(1).slice(1)}-${this.hex(3)}`
  }
}

/** Draws items in proportion to their weights. */
export class Weighted<T> {
  readonly #items: readonly T[]
  readonly #upTo: Float64Array

  constructor(items: readonly T[], weightOf: (item: T, index: number) => number) {
    this.#items = items
    this.#upTo = new Float64Array(items.length)
    let sum = 0
    items.forEach((item, index) => {
      sum += weightOf(item, index)
      this.#upTo[index] = sum
    })
  }

  pick(random: Random): T {
    return this.#items[this.index(random)]!
  }

  index(random: Random): number {
    const target = random.fraction() * this.#upTo[this.#upTo.length - 1]!
    let low = 0
    let high = this.#upTo.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#upTo[middle]! <= target) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Ranks 0 to n-1 after Zipf and Mandelbrot: rank r is drawn in proportion to 1 / (r + shift). */
export function zipf(n: number, shift: number): Weighted<number> {
  return new Weighted(
    Array.from({ length: n }, (_, rank) => rank),
    rank => 1 / (rank + shift),
  )
}
