import { FirstSeen } from '../../platform/first-seen.ts'

export const CHUNK_IDS = 2_000
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
  #ids: Buffer[] = []
  #full: Chunk[] = []

  /** `chunks` in any order; the newest is gone on with. */
  constructor(chunks: readonly Chunk[]) {
    const sorted = [...new Map(chunks.map(each => [each.number, each])).values()].sort((a, b) => a.number - b.number)
    for (const { number, ids } of sorted) {
      this.#number = number
      this.#ids = []
      const bytes = Buffer.from(ids, 'base64')
      for (let at = 0; at + ID_BYTES <= bytes.length; at += ID_BYTES) this.add(bytes.toString('hex', at, at + ID_BYTES))
    }
    this.#full = []
  }

  /** True for an id (32 hex digits) that is new; it is known from then on. */
  add(id: string): boolean {
    const position = this.#count++
    if (this.#first.firstPosition(id, position) !== position) return false
    if (this.#ids.length === CHUNK_IDS) {
      this.#full.push({ number: this.#number, ids: Buffer.concat(this.#ids).toString('base64') })
      this.#number++
      this.#ids = []
    }
    this.#ids.push(Buffer.from(id, 'hex'))
    return true
  }

  /** Chunks that became full since the last call. */
  takeFull(): Chunk[] {
    return this.#full.splice(0)
  }

  get current(): Chunk {
    return { number: this.#number, ids: Buffer.concat(this.#ids).toString('base64') }
  }
}
