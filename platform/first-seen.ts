/**
 * Remembers at which position each of the last `idsMax` different ids was first seen. Exact: all 128 bits of an id are compared.
 * 24 bytes an id and 4 to 8 bytes of table, allocated as it fills: 3.4 MB for 100,000 ids, where a Map of strings takes 14 MB.
 */
export class FirstSeen {
  readonly #idsMax: number
  #capacity: number
  /** Ring of entries in order of arrival: 4 words of id and a position each. */
  #ids: Uint32Array
  #positions: BigInt64Array
  #count = 0
  /** Entry that is overwritten next once the ring is full. */
  #next = 0
  /** Open addressing with linear probing: entry + 1, or 0. Twice the capacity, rounded up to a power of two. */
  #table: Int32Array
  /** Unknown to whoever writes the records, so that he cannot choose ids that share a slot. */
  readonly #seed: Seed
  readonly #words: Seed = new Uint32Array(4)

  constructor(idsMax: number, seed: Seed = crypto.getRandomValues(new Uint32Array(4))) {
    this.#idsMax = idsMax
    this.#seed = seed
    this.#capacity = Math.min(idsMax, CAPACITY_FIRST)
    this.#ids = new Uint32Array(this.#capacity * 4)
    this.#positions = new BigInt64Array(this.#capacity)
    this.#table = new Int32Array(tableSize(this.#capacity))
  }

  get size(): number {
    return this.#count
  }

  /** The position at which `id` (32 lower-case hex digits) was first seen: `position` itself when it is new, and it is remembered then. */
  firstPosition(id: string, position: bigint): bigint {
    const words = this.#words
    for (let word = 0; word < 4; word++) words[word] = hexWord(id, word * 8)
    let slot = this.#slotOf(words, 0)
    for (let entry = this.#table[slot]!; entry !== 0; entry = this.#table[slot]!) {
      if (this.#holds(entry - 1, words)) return this.#positions[entry - 1]!
      slot = (slot + 1) & (this.#table.length - 1)
    }
    this.#add(words, position)
    return position
  }

  #add(words: Seed, position: bigint): void {
    if (this.#count === this.#capacity && this.#capacity < this.#idsMax) this.#grow()
    const entry = this.#next
    if (this.#count === this.#capacity) this.#forget(entry)
    else this.#count++
    this.#ids.set(words, entry * 4)
    this.#positions[entry] = position
    this.#next = (entry + 1) % this.#capacity
    this.#link(entry)
  }

  #link(entry: number): void {
    const mask = this.#table.length - 1
    let slot = this.#slotOf(this.#ids, entry * 4)
    while (this.#table[slot] !== 0) slot = (slot + 1) & mask
    this.#table[slot] = entry + 1
  }

  /** Takes the entry out of the table and closes the gap, so that no search ends early. */
  #forget(entry: number): void {
    const mask = this.#table.length - 1
    let gap = this.#slotOf(this.#ids, entry * 4)
    while (this.#table[gap] !== entry + 1) gap = (gap + 1) & mask
    let slot = gap
    for (;;) {
      slot = (slot + 1) & mask
      const moving = this.#table[slot]!
      if (moving === 0) break
      const home = this.#slotOf(this.#ids, (moving - 1) * 4)
      // It may move back to the gap unless its home lies between the gap and itself.
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue
      this.#table[gap] = moving
      gap = slot
    }
    this.#table[gap] = 0
  }

  /** Only while nothing was overwritten yet: the ring is in order from 0. */
  #grow(): void {
    this.#next = this.#count
    this.#capacity = Math.min(this.#idsMax, this.#capacity * 2)
    const ids = new Uint32Array(this.#capacity * 4)
    ids.set(this.#ids)
    const positions = new BigInt64Array(this.#capacity)
    positions.set(this.#positions)
    this.#ids = ids
    this.#positions = positions
    this.#table = new Int32Array(tableSize(this.#capacity))
    for (let entry = 0; entry < this.#count; entry++) this.#link(entry)
  }

  #holds(entry: number, words: Seed): boolean {
    const at = entry * 4
    for (let word = 0; word < 4; word++) if (this.#ids[at + word] !== words[word]) return false
    return true
  }

  #slotOf(words: Uint32Array, at: number): number {
    let mixed = 0
    for (let word = 0; word < 4; word++) {
      mixed = Math.imul(mixed ^ words[at + word]! ^ this.#seed[word]!, 0x9e3779b1)
      mixed ^= mixed >>> 15
    }
    return mixed & (this.#table.length - 1)
  }
}

type Seed = Uint32Array<ArrayBuffer>
const CAPACITY_FIRST = 1024

function tableSize(capacity: number): number {
  return 2 ** Math.ceil(Math.log2(capacity * 2))
}

function hexWord(id: string, from: number): number {
  let word = 0
  for (let at = from; at < from + 8; at++) {
    const code = id.charCodeAt(at)
    word = (word << 4) | (code < 0x3a ? code - 0x30 : code - 0x57)
  }
  return word >>> 0
}
