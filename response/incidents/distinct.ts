import { hash } from 'node:crypto'

const BITS = 8192

/**
 * How many different texts were added: linear counting over a bitmap of 1 KiB (Whang et al., 1990). Within 2 % up to 20,000, and
 * it survives a restart as 1.4 KB of base64, where a set of 20,000 addresses would not.
 */
export class Distinct {
  readonly #bits: Buffer
  #set = 0

  constructor(base64 = '') {
    this.#bits = Buffer.alloc(BITS / 8)
    Buffer.from(base64, 'base64').copy(this.#bits)
    for (const byte of this.#bits) for (let rest = byte; rest > 0; rest &= rest - 1) this.#set++
  }

  add(text: string): void {
    const bit = hash('sha256', text, 'buffer').readUInt16BE(0) % BITS
    const mask = 1 << (bit & 7)
    const byte = this.#bits[bit >> 3]!
    if ((byte & mask) !== 0) return
    this.#bits[bit >> 3] = byte | mask
    this.#set++
  }

  get estimate(): number {
    const free = Math.max(1, BITS - this.#set)
    return Math.round(BITS * Math.log(BITS / free))
  }

  toString(): string {
    return this.#bits.toString('base64')
  }
}
