import { constants, gunzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { crc32c } from '@node-rs/crc32'
import type { FetchedRecord, TopicRecord } from '../contract.ts'
import { Cursor, varintBytes } from './cursor.ts'

/**
 * Record batches, format 2 (https://kafka.apache.org/documentation/#recordbatch), as they are stored and sent.
 * Ours say in a header which version of the record they hold, so that a later one is recognised and not misread.
 */
const HEAD_BYTES = 61
const CRC_AT = 17
const ATTRIBUTES_AT = 21
const MAGIC = 2
const ZSTD = 4
const DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024
/** The most that a record takes besides key and value. */
const RECORD_OVERHEAD_BYTES = 64

const FORMAT = '1'
const FORMAT_HEADER = header('haetae', FORMAT)
const REPLAYED_HEADER = header('haetae-replayed', '1')
const FORMAT_KEY = Buffer.from('haetae')
const REPLAYED_KEY = Buffer.from('haetae-replayed')

/** Costs a third less than in the thread pool, and a batch takes 2 ms. */
const FAST = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

export function recordBytes({ key, value }: TopicRecord): number {
  return (key === undefined ? 0 : Buffer.byteLength(key)) + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES
}

/** At least one record. Compressed with zstd, which Kafka 2.1 and later read. */
export function encodeBatch(records: readonly TopicRecord[]): Buffer {
  const base = records[0]!.timeMs
  const plain = new Cursor(Buffer.allocUnsafe(records.reduce((sum, record) => sum + recordBytes(record), 0)))
  let newest = base
  for (const [index, record] of records.entries()) {
    writeRecord(plain, record, index, record.timeMs - base)
    if (record.timeMs > newest) newest = record.timeMs
  }
  const packed = zstdCompressSync(plain.buffer.subarray(0, plain.at), FAST)
  const batch = Buffer.allocUnsafe(HEAD_BYTES + packed.length)
  batch.writeBigInt64BE(0n, 0)
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt32BE(-1, 12) // leader epoch: the broker's
  batch.writeInt8(MAGIC, 16)
  batch.writeInt16BE(ZSTD, ATTRIBUTES_AT)
  batch.writeInt32BE(records.length - 1, 23)
  batch.writeBigInt64BE(BigInt(base), 27)
  batch.writeBigInt64BE(BigInt(newest), 35)
  batch.writeBigInt64BE(-1n, 43) // no producer id: see docs/decisions/009-kafka-clients.md
  batch.writeInt16BE(-1, 51)
  batch.writeInt32BE(-1, 53)
  batch.writeInt32BE(records.length, 57)
  packed.copy(batch, HEAD_BYTES)
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)) >>> 0, CRC_AT)
  return batch
}

function writeRecord(to: Cursor, { key, value, replayed }: TopicRecord, index: number, timeDelta: number): void {
  const keyBytes = key === undefined ? -1 : Buffer.byteLength(key)
  const valueBytes = value === null ? -1 : value.length
  const headers = FORMAT_HEADER.length + (replayed ? REPLAYED_HEADER.length : 0)
  const body =
    2 + // attributes, count of headers
    varintBytes(timeDelta) +
    varintBytes(index) +
    varintBytes(keyBytes) +
    Math.max(keyBytes, 0) +
    varintBytes(valueBytes) +
    Math.max(valueBytes, 0) +
    headers
  to.varint(body)
  to.byte(0)
  to.varint(timeDelta)
  to.varint(index)
  to.varint(keyBytes)
  if (key !== undefined) to.at += to.buffer.write(key, to.at)
  to.varint(valueBytes)
  if (value !== null) to.copy(value)
  to.varint(replayed ? 2 : 1)
  to.copy(FORMAT_HEADER)
  if (replayed) to.copy(REPLAYED_HEADER)
}

/** One batch of a fetched partition, not decoded yet. */
export interface RawBatch {
  readonly firstOffset: bigint
  readonly lastOffset: bigint
  readonly bytes: Buffer
}

/** The whole batches in what a fetch gave; a batch that is cut off at the end is left out. */
export function splitBatches(batches: Buffer): RawBatch[] {
  const found: RawBatch[] = []
  for (let at = 0; at + HEAD_BYTES <= batches.length; ) {
    const end = at + 12 + batches.readInt32BE(at + 8)
    if (end <= at + 12 || end > batches.length) break
    const firstOffset = batches.readBigInt64BE(at)
    const lastOffset = firstOffset + BigInt(batches.readInt32BE(at + 23))
    found.push({ firstOffset, lastOffset, bytes: batches.subarray(at, end) })
    at = end
  }
  return found
}

/**
 * The records of a batch from `from` on; keys and values are views. A batch that cannot be read becomes one record that
 * is `refused`, with the stored bytes as its value: it is evidence, not a reason to stop.
 */
export function decodeBatch(batch: RawBatch, from: bigint): FetchedRecord[] {
  try {
    return decode(batch, from)
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    const refused = `unreadable_batch: offsets ${batch.firstOffset} to ${batch.lastOffset}: ${why}`
    const timeMs = Number(batch.bytes.readBigInt64BE(35))
    return [{ key: undefined, value: batch.bytes, timeMs, offset: batch.lastOffset, refused }]
  }
}

function decode({ bytes, firstOffset }: RawBatch, from: bigint): FetchedRecord[] {
  if (bytes[16] !== MAGIC) throw new Error(`message format ${bytes[16]}`)
  if (crc32c(bytes.subarray(ATTRIBUTES_AT)) >>> 0 !== bytes.readUInt32BE(CRC_AT)) throw new Error('wrong CRC')
  const attributes = bytes.readInt16BE(ATTRIBUTES_AT)
  if ((attributes & 0x20) !== 0) return [] // of the broker, for transactions
  const base = Number(bytes.readBigInt64BE(27))
  const appendTime = (attributes & 0x08) === 0 ? undefined : Number(bytes.readBigInt64BE(35))
  const count = bytes.readInt32BE(57)
  const cursor = new Cursor(unpack(bytes.subarray(HEAD_BYTES), attributes & 0x07))
  const records: FetchedRecord[] = []
  for (let index = 0; index < count; index++) {
    const length = cursor.readVarint()
    const end = cursor.at + length
    cursor.at++ // attributes
    const timeMs = base + cursor.readVarint()
    const offset = firstOffset + BigInt(cursor.readVarint())
    const key = cursor.readBytes()?.toString()
    const value = cursor.readBytes() ?? null
    const said = readHeaders(cursor)
    if (cursor.at !== end) throw new Error(`record ${index} does not end where it says`)
    if (offset >= from) records.push({ key, value, timeMs: appendTime ?? timeMs, offset, ...said })
  }
  return records
}

const NOTHING_SAID = {}
const REPLAYED = { replayed: true }

function readHeaders(cursor: Cursor): Pick<FetchedRecord, 'replayed' | 'refused'> {
  let said: Pick<FetchedRecord, 'replayed' | 'refused'> = NOTHING_SAID
  for (let count = cursor.readVarint(); count > 0; count--) {
    const key = cursor.readBytes()
    const value = cursor.readBytes()
    if (key === undefined) throw new Error('a header without a name')
    if (key.equals(FORMAT_KEY)) {
      const format = value?.toString() ?? ''
      if (format !== FORMAT) said = { refused: `newer_version: the record has format ${format.slice(0, 20)}` }
    } else if (key.equals(REPLAYED_KEY) && said === NOTHING_SAID) said = REPLAYED
  }
  return said
}

function unpack(packed: Buffer, codec: number): Buffer {
  const bound = { maxOutputLength: DECOMPRESSED_BYTES_MAX }
  if (codec === 0) return packed
  if (codec === 1) return gunzipSync(packed, bound)
  if (codec === ZSTD) return zstdDecompressSync(packed, bound)
  throw new Error(`compression ${['', '', 'snappy', 'lz4'][codec] ?? codec}: the topic needs compression.type=zstd`)
}

function header(key: string, value: string): Buffer {
  const cursor = new Cursor(Buffer.alloc(64))
  for (const part of [key, value]) {
    cursor.varint(part.length)
    cursor.at += cursor.buffer.write(part, cursor.at)
  }
  return cursor.buffer.subarray(0, cursor.at)
}
