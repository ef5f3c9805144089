import { parseCidr } from '../../platform/address.ts'

/** Builds small MaxMind DB files for tests. Numbers become uint32 when they are whole, else doubles; `float` gives the 4-byte form. */
export type Value = string | number | boolean | Value[] | { [key: string]: Value } | Float
interface Float {
  readonly float: number
}
export interface MmdbOptions {
  readonly databaseType?: string
  readonly ipVersion?: 4 | 6
  readonly recordBits?: 24 | 28 | 32
  readonly builtMs?: number
}

/** `networks`: CIDR → record. IPv4 networks in an IPv6 file are stored at ::a.b.c.d, as MaxMind does. Equal records share one place. */
export function mmdbFile(networks: Record<string, Value>, options: MmdbOptions = {}): Buffer {
  const { databaseType = 'GeoLite2-City', ipVersion = 6, recordBits = 24, builtMs = Date.UTC(2026, 10, 1) } = options
  const data = new DataSection()
  const places = new Map<Value, number>()
  const tree: [Child, Child][] = [[undefined, undefined]]
  for (const [network, record] of Object.entries(networks)) {
    const place = places.get(record) ?? data.add(record)
    places.set(record, place)
    insert(tree, bitsOf(network, ipVersion), place)
  }
  const nodes = Buffer.concat(tree.map(node => encodeNode(node, tree.length, recordBits)))
  return Buffer.concat([
    nodes,
    Buffer.alloc(16),
    data.bytes(),
    Buffer.from('abcdef4d61784d696e642e636f6d', 'hex'),
    encode({
      node_count: tree.length,
      record_size: recordBits,
      ip_version: ipVersion,
      database_type: databaseType,
      languages: ['en'],
      binary_format_major_version: 2,
      binary_format_minor_version: 0,
      build_epoch: Math.floor(builtMs / 1000),
      description: {},
    }),
  ])
}

/** Child of a node: nothing, another node, or the place of a record in the data section. */
type Child = undefined | { node: number } | { place: number }

function insert(tree: [Child, Child][], bits: readonly (0 | 1)[], place: number): void {
  let node = 0
  for (const [depth, bit] of bits.entries()) {
    if (depth === bits.length - 1) {
      tree[node]![bit] = { place }
      return
    }
    const child = tree[node]![bit]
    if (child && 'node' in child) {
      node = child.node
      continue
    }
    tree.push([child, child])
    tree[node]![bit] = { node: tree.length - 1 }
    node = tree.length - 1
  }
}

function bitsOf(network: string, ipVersion: 4 | 6): (0 | 1)[] {
  const cidr = parseCidr(network)
  if (!cidr) throw new Error(`not a network: ${network}`)
  const { address } = cidr
  const words = address.family === 4 ? [address.value] : [...address.words]
  if (address.family === 4 && ipVersion === 6) words.unshift(0, 0, 0)
  const length = cidr.prefixLength + (words.length * 32 - (address.family === 4 ? 32 : 128))
  return Array.from({ length }, (_, bit) => ((words[bit >> 5]! >>> (31 - (bit & 31))) & 1) as 0 | 1)
}

function encodeNode(node: readonly [Child, Child], nodes: number, recordBits: number): Buffer {
  const [left, right] = node.map(child => {
    if (!child) return nodes
    return 'node' in child ? child.node : nodes + 16 + child.place
  }) as [number, number]
  const bytes = Buffer.alloc(recordBits / 4)
  if (recordBits === 28) {
    bytes.writeUIntBE(left & 0xffffff, 0, 3)
    bytes[3] = ((left >>> 24) << 4) | (right >>> 24)
    bytes.writeUIntBE(right & 0xffffff, 4, 3)
  } else {
    bytes.writeUIntBE(left, 0, recordBits / 8)
    bytes.writeUIntBE(right, recordBits / 8, recordBits / 8)
  }
  return bytes
}

/** Strings are stored once and pointed to, as the real writers do. */
class DataSection {
  #parts: Buffer[] = []
  #length = 0
  #strings = new Map<string, number>()

  add(value: Value): number {
    const body = encode(value, text => this.#intern(text))
    const place = this.#length
    this.#append(body)
    return place
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }

  #intern(text: string): Buffer {
    const known = this.#strings.get(text)
    if (known !== undefined) return pointer(known)
    this.#strings.set(text, this.#length)
    const place = this.#length
    this.#append(encode(text))
    return pointer(place)
  }

  #append(bytes: Buffer): void {
    this.#parts.push(bytes)
    this.#length += bytes.length
  }
}

export function pointer(to: number): Buffer {
  if (to < 2048) return Buffer.from([0x20 | (to >>> 8), to & 255])
  const biased = to - 2048
  if (to < 526336) return Buffer.from([0x28 | (biased >>> 16), (biased >>> 8) & 255, biased & 255])
  const bytes = Buffer.alloc(5)
  bytes[0] = 0x38
  bytes.writeUInt32BE(to, 1)
  return bytes
}

type Strings = (text: string) => Buffer
export function encode(value: Value, strings: Strings = text => head(2, text)): Buffer {
  if (typeof value === 'string') return strings(value)
  if (typeof value === 'boolean') return control(14, value ? 1 : 0)
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 ? uint(value) : double(value)
  if (Array.isArray(value))
    return Buffer.concat([control(11, value.length), ...value.map(item => encode(item, strings))])
  if ('float' in value && typeof value.float === 'number' && Object.keys(value).length === 1) {
    const bytes = Buffer.alloc(4)
    bytes.writeFloatBE(value.float)
    return Buffer.concat([control(15, 4), bytes])
  }
  const entries = Object.entries(value as Record<string, Value>)
  return Buffer.concat([
    control(7, entries.length),
    ...entries.flatMap(([k, v]) => [encode(k, strings), encode(v, strings)]),
  ])
}

function head(type: number, text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([control(type, bytes.length), bytes])
}

function uint(value: number): Buffer {
  const bytes = Buffer.from(value.toString(16).padStart(8, '0'), 'hex')
  return Buffer.concat([control(6, bytes.length), bytes])
}

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return Buffer.concat([control(3, 8), bytes])
}

export function control(type: number, size: number): Buffer {
  const [small, more] =
    size < 29 ? [size, []] : size < 285 ? [29, [size - 29]] : [30, [(size - 285) >>> 8, (size - 285) & 255]]
  return Buffer.from(type > 7 ? [small, type - 7, ...more] : [(type << 5) | small, ...more])
}
