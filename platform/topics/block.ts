import { crc32 } from '@node-rs/crc32'
import type { FetchedRecord, TopicRecord } from './contract.ts'

/**
 * A block: consecutive records of one partition, one LMDB value. Integers are little endian.
 *
 *     0  u8   version, 1          16       index: one entry of 21 bytes a record
 *     1  u8   zero                           u8  flags: 1 no key, 2 null value, 4 replayed
 *     2  u16  zero                           u32 offset minus the block's first offset (gaps: compaction)
 *     4  u32  CRC-32 of byte 8 on            f64 time, milliseconds since the epoch
 *     8  u32  records                        u32 bytes of the key
 *    12  u32  zero                           u32 bytes of the value
 *                                16 + 21n  key and value of the first record, of the second, …
 *
 * The first offset is in the LMDB key (store.ts), so a block can be built before its place is known.
 */
const VERSION = 1
const HEAD_BYTES = 16
const ENTRY_BYTES = 21
const [NO_KEY, NULL_VALUE, REPLAYED] = [1, 2, 4]
/** Where the fields of an entry are. */
const AT = { flags: 0, delta: 1, time: 5, key: 13, value: 17 } as const

/** A block ends here, unless a single record is larger. */
export const BLOCK_BYTES_MAX = 1024 * 1024
export const BLOCK_RECORDS_MAX = 2_000

/** Bytes that `record` takes in a block. */
export function recordBytes(record: TopicRecord): number {
  return ENTRY_BYTES + (record.key === undefined ? 0 : keyBytes(record.key)) + (record.value?.length ?? 0)
}

/** UTF-8 length; most keys are addresses, and for ASCII this is cheaper than Buffer.byteLength. */
function keyBytes(key: string): number {
  for (let at = 0; at < key.length; at++) if (key.charCodeAt(at) > 0x7f) return Buffer.byteLength(key)
  return key.length
}

/** `bytes` is the sum of recordBytes. */
export function blockBytes(bytes: number): number {
  return HEAD_BYTES + bytes
}

/** Fills `block`, blockBytes long, and returns it. `deltas`: offsets relative to the first, 0, 1, 2, … when left out. */
export function encodeBlock(records: readonly TopicRecord[], block: Buffer, deltas?: readonly number[]): Buffer {
  const view = new DataView(block.buffer, block.byteOffset, block.length)
  let entry = HEAD_BYTES
  let at = HEAD_BYTES + records.length * ENTRY_BYTES
  for (let index = 0; index < records.length; index++) {
    const { key, value, timeMs, replayed } = records[index]!
    const flags = (key === undefined ? NO_KEY : 0) | (value === null ? NULL_VALUE : 0) | (replayed ? REPLAYED : 0)
    const written = key ? block.write(key, at, 'utf8') : 0
    at += written
    view.setUint8(entry + AT.flags, flags)
    view.setUint32(entry + AT.delta, deltas ? deltas[index]! : index, true)
    view.setFloat64(entry + AT.time, timeMs, true)
    view.setUint32(entry + AT.key, written, true)
    view.setUint32(entry + AT.value, value === null ? 0 : value.length, true)
    if (value !== null) at += value.copy(block, at)
    entry += ENTRY_BYTES
  }
  view.setUint32(0, VERSION, true)
  view.setUint32(8, records.length, true)
  view.setUint32(12, 0, true)
  view.setUint32(4, crc32(block.subarray(8)), true)
  return block
}

/** Reads records in order, each decoded when it is taken. Values are views of the block. */
export class BlockReader {
  readonly count: number
  readonly #base: number
  readonly #block: Buffer
  readonly #view: DataView
  #index = 0
  #at: number

  /** `base` is the block's first offset. Throws a RangeError that says what is wrong with the bytes; checks the CRC once. */
  constructor(block: Buffer, base: number) {
    if (block.length < HEAD_BYTES) throw new RangeError(`${block.length} bytes are no block`)
    this.#base = base
    this.#block = block
    this.#view = new DataView(block.buffer, block.byteOffset, block.length)
    const version = this.#view.getUint8(0)
    if (version !== VERSION) throw new RangeError(`block version ${version}; this version reads ${VERSION}`)
    const wanted = this.#view.getUint32(4, true)
    const found = crc32(block.subarray(8))
    if (found !== wanted) throw new RangeError(`CRC-32 is ${found.toString(16)}, stored is ${wanted.toString(16)}`)
    this.count = this.#view.getUint32(8, true)
    this.#at = HEAD_BYTES + this.count * ENTRY_BYTES
  }

  get done(): boolean {
    return this.#index >= this.count
  }

  /** Passes over the records before `offset`. */
  skipTo(offset: number): void {
    while (!this.done && this.nextOffset < offset) {
      this.#at += this.#uint(AT.key) + this.#uint(AT.value)
      this.#index++
    }
  }

  get nextOffset(): number {
    return this.#base + this.#uint(AT.delta)
  }

  /** Bytes of the next record as recordBytes counts them. */
  get nextBytes(): number {
    return ENTRY_BYTES + this.#uint(AT.key) + this.#uint(AT.value)
  }

  next(): FetchedRecord {
    const entry = HEAD_BYTES + this.#index * ENTRY_BYTES
    const flags = this.#view.getUint8(entry + AT.flags)
    const valueAt = this.#at + this.#uint(AT.key)
    const end = valueAt + this.#uint(AT.value)
    const record = {
      offset: BigInt(this.nextOffset),
      timeMs: this.#view.getFloat64(entry + AT.time, true),
      key: flags & NO_KEY ? undefined : this.#block.toString('utf8', this.#at, valueAt),
      value: flags & NULL_VALUE ? null : this.#block.subarray(valueAt, end),
    }
    this.#at = end
    this.#index++
    return flags & REPLAYED ? { ...record, replayed: true } : record
  }

  #uint(field: number): number {
    return this.#view.getUint32(HEAD_BYTES + this.#index * ENTRY_BYTES + field, true)
  }
}
