import { FirstSeen } from '../../platform/first-seen.ts'

const CHUNK_IDS = 2_000
export const CHUNKS = 64
const ID_BYTES = 16

/** Ids in the order of their coming, CHUNK_IDS at a time: what is kept of them on the topic. */
export interface Chunk {
  readonly number: number
  /** 16 bytes each, base64. */
  readonly ids: string
}

/** Which of the last 128,000 alerts and audit records were taken in; memory 4.4 MB. */
export class Seen {
  readonly #first = new FirstSeen(CHUNK_IDS * CHUNKS)
  #count = 0n
  #number = 0
  readonly #ids = Buffer.alloc(CHUNK_IDS * ID_BYTES)
  /** Bytes of #ids that are filled. */
  #filled = 0
  #full: Chunk[] = []

  /** `chunks` in any order; the newest is gone on with. */
  constructor(chunks: readonly Chunk[]) {
    const sorted = [...new Map(chunks.map(each => [each.number, each])).values()].sort((a, b) => a.number - b.number)
    for (const { number, ids } of sorted) {
      this.#number = number
      this.#filled = 0
      const bytes = Buffer.from(ids, 'base64')
      for (let at = 0; at + ID_BYTES <= bytes.length; at += ID_BYTES) this.add(bytes.toString('hex', at, at + ID_BYTES))
    }
    this.#full = []
  }

  /** True for an id (32 hex digits) that is new; it is known from then on. */
  add(id: string): boolean {
    const position = this.#count++
    if (this.#first.firstPosition(id, position) !== position) return false
    if (this.#filled === this.#ids.length) {
      this.#full.push(this.current)
      this.#number++
      this.#filled = 0
    }
    this.#filled += this.#ids.write(id, this.#filled, 'hex')
    return true
  }

  /** Chunks that became full since the last call. */
  takeFull(): Chunk[] {
    return this.#full.splice(0)
  }

  get current(): Chunk {
    return { number: this.#number, ids: this.#ids.toString('base64', 0, this.#filled) }
  }
}
