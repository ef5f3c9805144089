import type { Words } from '../address.ts'
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

interface Metadata {
  readonly nodes: number
  readonly recordBits: 24 | 28 | 32
  readonly ipVersion: 4 | 6
  readonly databaseType: string
  readonly builtMs: number
}

/** `bytes` must not change afterwards. Throws with the reason when it is not such a file. */
export function readMmdb(bytes: Buffer): Mmdb {
  const marker = bytes.lastIndexOf(MARKER)
  if (marker < 0 || bytes.length - marker > METADATA_BYTES_MAX) {
    throw new Error('it has no MaxMind DB metadata: it is cut short, compressed, or not a MaxMind DB file')
  }
  const metadata = readMetadata(bytes.subarray(marker + MARKER.length))
  const nodeBytes = metadata.recordBits / 4
  const treeBytes = metadata.nodes * nodeBytes
  const dataStart = treeBytes + SEPARATOR_BYTES
  if (dataStart >= marker) throw new Error('its search tree is longer than the file')
  const tree = bytes.subarray(0, treeBytes)
  const data = bytes.subarray(dataStart, marker)
  const child = childReaders[metadata.recordBits]
  const { nodes } = metadata

  /** Follows the last `bits` bits of `word`, the highest of them first; stops early at a leaf. */
  const walk = (from: number, word: number, bits: number): number => {
    let node = from
    for (let bit = bits - 1; bit >= 0 && node < nodes; bit--) node = child(tree, node * nodeBytes, (word >>> bit) & 1)
    return node
  }
  // In an IPv6 tree IPv4 addresses are ::a.b.c.d.
  const start4 = metadata.ipVersion === 4 ? 0 : walk(walk(walk(0, 0, 32), 0, 32), 0, 32)
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
    find4: value => place(walk(start4, value, 32)),
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
          const record = child(tree, node * nodeBytes, side)
          if (record >= nodes && place(record) && places.size < count) places.add(record)
        }
      }
      return [...places]
    },
  }
}

/** Reads the left (0) or right (1) record of the node at `offset`. */
const childReaders: Record<24 | 28 | 32, (tree: Buffer, offset: number, side: number) => number> = {
  24: (tree, offset, side) => {
    const at = offset + side * 3
    return (tree[at]! << 16) | (tree[at + 1]! << 8) | tree[at + 2]!
  },
  28: (tree, offset, side) => {
    const middle = tree[offset + 3]!
    const high = side === 0 ? middle >>> 4 : middle & 0x0f
    const at = offset + side * 4
    return (high << 24) | (tree[at]! << 16) | (tree[at + 1]! << 8) | tree[at + 2]!
  },
  32: (tree, offset, side) => tree.readUInt32BE(offset + side * 4),
}

function readMetadata(section: Buffer): Metadata {
  const value = decodeValue(section, 0)
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
