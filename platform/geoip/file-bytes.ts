import { closeSync, fstatSync, openSync, readSync, type Stats } from 'node:fs'

/** The bytes of a file, in memory or read when they are needed. */
export interface Bytes {
  readonly length: number
  /** Where `place` points into. */
  readonly memory: Buffer
  /** Where in `memory` the byte at `offset` is, with the WINDOW_BYTES - 1 after it as far as the end. Valid until the next call. */
  place(offset: number): number
  /** Any number of them; valid until the next call. */
  read(offset: number, length: number): Buffer
}

export const WINDOW_BYTES = 256
const BLOCK_BITS = 12
const BLOCK_BYTES = 1 << BLOCK_BITS
/** Each block is kept with the beginning of the next, so that a short value is never in two pieces. */
const SLOT_BYTES = BLOCK_BYTES + WINDOW_BYTES
const NO_SLOT = -1

export function inMemory(memory: Buffer): Bytes {
  return {
    length: memory.length,
    memory,
    place: offset => offset,
    read: (offset, length) => memory.subarray(offset, offset + length),
  }
}

/** The bytes from `start` up to `end`, counted from `start`. */
export function section(bytes: Bytes, start: number, end: number): Bytes {
  return {
    length: end - start,
    memory: bytes.memory,
    place: offset => bytes.place(start + offset),
    read: (offset, length) => bytes.read(start + offset, length),
  }
}

export class FileChanged extends Error {
  constructor(path: string) {
    super(`${path} was written to while it was read`)
    this.name = 'FileChanged'
  }
}

/** Identifies the content of a file: changes when it is replaced or written. */
export function stampOf(stats: Stats): string {
  return `${stats.ino}:${stats.size}:${stats.mtimeMs}`
}

/**
 * An open file of which `cacheBytes` are kept in memory: of blocks not used lately one gives its place to the block that is needed
 * (CLOCK). A GeoIP database is larger than all else in a process, and of its blocks few are asked for; the others the kernel may
 * keep or not. A file that is replaced by renaming stays as it was for who has it open. Of one that is written in place nothing more is
 * taken: each read looks whether the file is still the one that was opened, and throws FileChanged.
 */
export class FileBytes implements Bytes {
  readonly length: number
  readonly memory: Buffer
  readonly stamp: string
  readonly #path: string
  #file: number
  readonly #slotOf: Int32Array
  readonly #blockOf: Int32Array
  readonly #usedLately: Uint8Array
  #hand = 0

  constructor(path: string, cacheBytes: number) {
    this.#path = path
    this.#file = openSync(path, 'r')
    const stats = fstatSync(this.#file)
    this.length = stats.size
    this.stamp = stampOf(stats)
    const blocks = Math.ceil(this.length / BLOCK_BYTES)
    const slots = Math.max(1, Math.min(blocks, Math.floor(cacheBytes / SLOT_BYTES)))
    this.memory = Buffer.alloc(slots * SLOT_BYTES)
    this.#slotOf = new Int32Array(blocks).fill(NO_SLOT)
    this.#blockOf = new Int32Array(slots).fill(NO_SLOT)
    this.#usedLately = new Uint8Array(slots)
  }

  place(offset: number): number {
    const block = offset >>> BLOCK_BITS
    let slot = this.#slotOf[block] ?? NO_SLOT
    if (slot === NO_SLOT) slot = this.#load(block)
    this.#usedLately[slot] = 1
    return slot * SLOT_BYTES + (offset & (BLOCK_BYTES - 1))
  }

  read(offset: number, length: number): Buffer {
    if (length <= WINDOW_BYTES) {
      const at = this.place(offset)
      return this.memory.subarray(at, at + length)
    }
    const pieces = Buffer.allocUnsafe(length)
    for (let done = 0; done < length; ) {
      const at = this.place(offset + done)
      const count = Math.min(length - done, SLOT_BYTES - (at % SLOT_BYTES))
      this.memory.copy(pieces, done, at, at + count)
      done += count
    }
    return pieces
  }

  /** A lookup after this throws. */
  close(): void {
    if (this.#file < 0) return
    closeSync(this.#file)
    this.#file = -1
    this.#slotOf.fill(NO_SLOT)
  }

  #load(block: number): number {
    const start = block * BLOCK_BYTES
    if (this.#file < 0) throw new Error(`${this.#path} is closed`)
    if (start >= this.length) throw new Error(`${this.#path} has no byte ${start}`)
    const slot = this.#freeSlot()
    const length = Math.min(SLOT_BYTES, this.length - start)
    const count = readSync(this.#file, this.memory, slot * SLOT_BYTES, length, start)
    // Afterwards: who writes to a file has changed its time before the first byte of it can be read.
    if (count !== length || stampOf(fstatSync(this.#file)) !== this.stamp) throw new FileChanged(this.#path)
    this.#blockOf[slot] = block
    this.#slotOf[block] = slot
    return slot
  }

  #freeSlot(): number {
    for (;;) {
      const slot = this.#hand
      this.#hand = slot + 1 === this.#blockOf.length ? 0 : slot + 1
      if (this.#usedLately[slot] === 1) {
        this.#usedLately[slot] = 0
        continue
      }
      const block = this.#blockOf[slot]!
      if (block !== NO_SLOT) this.#slotOf[block] = NO_SLOT
      this.#blockOf[slot] = NO_SLOT
      return slot
    }
  }
}
