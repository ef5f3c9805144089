import { crc32 } from 'node:zlib'
import type { FetchedRecord, TopicRecord } from './contract.ts'

/**
 * A block: consecutive records of one partition, one LMDB value. Integers are little endian.
 *
 *     0  u8   version, 1          16       index: one entry of 20 bytes a record
 *     1  u8   zero                           u32 offset minus the block's first offset (gaps: compaction)
 *     2  u16  zero                           f64 time, milliseconds since the epoch
 *     4  u32  CRC-32 of byte 8 on            u32 bytes of the key, 0xffffffff: no key
 *     8  u32  records                        u32 bytes of the value, 0xffffffff: null
 *    12  u32  zero                16 + 20n   key and value of the first record, of the second, …
 *
 * The first offset is in the LMDB key (store.ts), so a block can be built before its place is known.
 */
const VERSION = 1
const HEAD_BYTES = 16
const ENTRY_BYTES = 20
const NONE = 0xffffffff

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

/** `bytes` is the sum of recordBytes; `deltas` the offsets relative to the first, 0, 1, 2, … when left out. */
export function encodeBlock(records: readonly TopicRecord[], bytes: number, deltas?: readonly number[]): Buffer {
  const block = Buffer.allocUnsafeSlow(HEAD_BYTES + bytes)
  const view = new DataView(block.buffer, block.byteOffset, block.length)
  let entry = HEAD_BYTES
  let at = HEAD_BYTES + records.length * ENTRY_BYTES
  for (let index = 0; index < records.length; index++) {
    const { key, value, timeMs } = records[index]!
    const written = key === undefined ? 0 : writeKey(block, key, at)
    at += written
    view.setUint32(entry, deltas ? deltas[index]! : index, true)
    view.setFloat64(entry + 4, timeMs, true)
    view.setUint32(entry + 12, key === undefined ? NONE : written, true)
    view.setUint32(entry + 16, value === null ? NONE : value.length, true)
    if (value !== null) at += value.copy(block, at)
    entry += ENTRY_BYTES
  }
  view.setUint32(0, VERSION, true)
  view.setUint32(8, records.length, true)
  view.setUint32(12, 0, true)
  view.setUint32(4, crc32(block.subarray(8)), true)
  return block
}

function writeKey(block: Buffer, key: string, at: number): number {
  return key.length === 0 ? 0 : block.write(key, at, 'utf8')
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
      this.#at += this.#length(12) + this.#length(16)
      this.#index++
    }
  }

  get nextOffset(): number {
    return this.#base + this.#view.getUint32(this.#entry, true)
  }

  /** Bytes of the next record as recordBytes counts them. */
  get nextBytes(): number {
    return ENTRY_BYTES + this.#length(12) + this.#length(16)
  }

  next(): FetchedRecord {
    const entry = this.#entry
    const keyLength = this.#view.getUint32(entry + 12, true)
    const valueLength = this.#view.getUint32(entry + 16, true)
    const valueAt = this.#at + (keyLength === NONE ? 0 : keyLength)
    const record: FetchedRecord = {
      offset: BigInt(this.nextOffset),
      timeMs: this.#view.getFloat64(entry + 4, true),
      key: keyLength === NONE ? undefined : this.#block.toString('utf8', this.#at, valueAt),
      value: valueLength === NONE ? null : this.#block.subarray(valueAt, valueAt + valueLength),
    }
    this.#at = valueAt + (valueLength === NONE ? 0 : valueLength)
    this.#index++
    return record
  }

  get #entry(): number {
    return HEAD_BYTES + this.#index * ENTRY_BYTES
  }

  #length(field: 12 | 16): number {
    const length = this.#view.getUint32(this.#entry + field, true)
    return length === NONE ? 0 : length
  }
}
