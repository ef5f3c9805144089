import type { Words } from '../address.ts'
import { type Bytes, section } from './file-bytes.ts'
import { decodeValue, type MmdbMap, type MmdbValue } from './mmdb-decoder.ts'

/**
 * Reader of MaxMind DB files (file format specification 2.0). Our own walk over the search tree, because the place of a data
 * record is what answers are cached by: many addresses share one record, and it is decoded once.
 */
export interface Mmdb {
  readonly databaseType: string
  readonly ipVersion: 4 | 6
  readonly builtMs: number
  /** Place of the data record of an address, for `decode`; 0 when the database knows nothing. */
  find4(value: number): number
  find6(words: Words): number
  /** Throws on damage. */
  decode(place: number): MmdbValue
  /** Places of up to `count` records, spread over the file. Throws when the tree is damaged where it looks. */
  sample(count: number): number[]
}

const MARKER = Buffer.from('abcdef4d61784d696e642e636f6d', 'hex') // "\xab\xcd\xefMaxMind.com"
const METADATA_BYTES_MAX = 128 * 1024
const SEPARATOR_BYTES = 16
/** Bits of an IPv4 address that are answered by a table: the nodes of these levels lie all over the file. */
const JUMP_BITS = 16

interface Metadata {
  readonly nodes: number
  readonly recordBits: 24 | 28 | 32
  readonly ipVersion: 4 | 6
  readonly databaseType: string
  readonly builtMs: number
}

/** Throws with the reason when it is not such a file. */
export function readMmdb(bytes: Bytes): Mmdb {
  const marker = markerOf(bytes)
  const metadata = readMetadata(section(bytes, marker + MARKER.length, bytes.length))
  const nodeBytes = metadata.recordBits / 4
  const treeBytes = metadata.nodes * nodeBytes
  const dataStart = treeBytes + SEPARATOR_BYTES
  if (dataStart >= marker) throw new Error('its search tree is longer than the file')
  const data = section(bytes, dataStart, marker)
  const child = childReaders[metadata.recordBits]
  const { nodes } = metadata

  /** Follows the last `bits` bits of `word`, the highest of them first; stops early at a leaf. */
  const walk = (from: number, word: number, bits: number): number => {
    let node = from
    for (let bit = bits - 1; bit >= 0 && node < nodes; bit--) {
      node = child(bytes.memory, bytes.place(node * nodeBytes), (word >>> bit) & 1)
    }
    return node
  }
  // In an IPv6 tree IPv4 addresses are ::a.b.c.d.
  const start4 = metadata.ipVersion === 4 ? 0 : walk(walk(walk(0, 0, 32), 0, 32), 0, 32)
  const jump = nodes > 2 ** JUMP_BITS ? jumpTable(prefix => walk(start4, prefix, JUMP_BITS)) : undefined
  /** A record equal to the node count says "nothing known"; beyond it, the data record. */
  const place = (record: number): number => {
    if (record < nodes) throw new Error('its search tree has no end below an address')
    if (record === nodes) return 0
    if (record < nodes + SEPARATOR_BYTES || record - nodes - SEPARATOR_BYTES >= data.length) {
      throw new Error('its search tree points outside the data')
    }
    return record
  }

  return {
    databaseType: metadata.databaseType,
    ipVersion: metadata.ipVersion,
    builtMs: metadata.builtMs,
    find4: value => {
      if (!jump) return place(walk(start4, value, 32))
      return place(walk(jump[value >>> (32 - JUMP_BITS)]!, value, 32 - JUMP_BITS))
    },
    find6: words => {
      if (metadata.ipVersion === 4) return 0
      let node = 0
      for (const word of words) node = walk(node, word, 32)
      return place(node)
    },
    decode: at => decodeValue(data, at - nodes - SEPARATOR_BYTES),
    sample: count => {
      const places = new Set<number>()
      const step = Math.max(1, Math.floor(nodes / (count * 4)))
      for (let node = 0; node < nodes; node += step) {
        for (const side of [0, 1]) {
          const record = child(bytes.memory, bytes.place(node * nodeBytes), side)
          if (record >= nodes && place(record) && places.size < count) places.add(record)
        }
      }
      return [...places]
    },
  }
}

function markerOf(bytes: Bytes): number {
  const from = Math.max(0, bytes.length - METADATA_BYTES_MAX)
  const at = bytes.read(from, bytes.length - from).lastIndexOf(MARKER)
  if (at < 0) {
    throw new Error('it has no MaxMind DB metadata: it is cut short, compressed, or not a MaxMind DB file')
  }
  return from + at
}

function jumpTable(nodeOf: (prefix: number) => number): Uint32Array {
  const table = new Uint32Array(2 ** JUMP_BITS)
  for (let prefix = 0; prefix < table.length; prefix++) table[prefix] = nodeOf(prefix)
  return table
}

/** Reads the left (0) or right (1) record of the node at `offset`. */
const childReaders: Record<24 | 28 | 32, (memory: Buffer, offset: number, side: number) => number> = {
  24: (memory, offset, side) => {
    const at = offset + side * 3
    return (memory[at]! << 16) | (memory[at + 1]! << 8) | memory[at + 2]!
  },
  28: (memory, offset, side) => {
    const middle = memory[offset + 3]!
    const high = side === 0 ? middle >>> 4 : middle & 0x0f
    const at = offset + side * 4
    return (high << 24) | (memory[at]! << 16) | (memory[at + 1]! << 8) | memory[at + 2]!
  },
  32: (memory, offset, side) => memory.readUInt32BE(offset + side * 4),
}

function readMetadata(bytes: Bytes): Metadata {
  const value = decodeValue(bytes, 0)
  if (typeof value !== 'object' || Array.isArray(value) || Buffer.isBuffer(value)) {
    throw new Error('its metadata is not a map')
  }
  const nodes = integer(value, 'node_count')
  const recordBits = integer(value, 'record_size')
  const ipVersion = integer(value, 'ip_version')
  const databaseType = value['database_type']
  if (integer(value, 'binary_format_major_version') !== 2) throw new Error('its format is not version 2')
  if (recordBits !== 24 && recordBits !== 28 && recordBits !== 32) throw new Error(`record_size is ${recordBits}`)
  if (ipVersion !== 4 && ipVersion !== 6) throw new Error(`ip_version is ${ipVersion}`)
  if (typeof databaseType !== 'string') throw new Error('its metadata has no database_type')
  if (nodes < 1) throw new Error('its search tree is empty')
  return { nodes, recordBits, ipVersion, databaseType, builtMs: integer(value, 'build_epoch') * 1000 }
}

function integer(map: MmdbMap, key: string): number {
  const value = map[key]
  const number = typeof value === 'bigint' ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0) {
    throw new Error(`its metadata has no valid ${key}`)
  }
  return number
}
