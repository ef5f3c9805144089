import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { type CityResponse, Reader } from 'maxmind'
import { describe, expect, it } from 'vitest'
import { formatAddress, parseAddress, type Words } from '../../../platform/address.ts'
import { FileBytes, inMemory } from '../../../platform/geoip/file-bytes.ts'
import { type Mmdb, readMmdb as readBytes } from '../../../platform/geoip/mmdb.ts'
import { decodeValue as decodeBytes } from '../../../platform/geoip/mmdb-decoder.ts'
import { embeddedDatabases } from '../../../platform/geoip/shared.ts'
import { control, encode, mmdbFile, pointer } from '../../support/mmdb.ts'

const find = (mmdb: Mmdb, text: string) => {
  const address = parseAddress(text)!
  const place = address.family === 4 ? mmdb.find4(address.value) : mmdb.find6(address.words)
  return place === 0 ? undefined : mmdb.decode(place)
}
const readMmdb = (bytes: Buffer) => readBytes(inMemory(bytes))
const decodeValue = (bytes: Buffer, offset: number) => decodeBytes(inMemory(bytes), offset)
const plain = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown

describe('a MaxMind DB file', () => {
  const kr = { country: { iso_code: 'KR' } }
  const us = { country: { iso_code: 'US' } }
  const networks = { '1.0.0.0/8': us, '1.1.1.0/24': kr, '2.2.2.2/32': kr, '2001:db8::/32': us, '2001:db8:1::/48': kr }

  it.each([24, 28, 32] as const)('with %i-bit records answers both families, the longest prefix first', recordBits => {
    const mmdb = readMmdb(mmdbFile(networks, { recordBits }))
    expect(plain(find(mmdb, '1.2.3.4'))).toEqual(us)
    expect(plain(find(mmdb, '1.1.1.1'))).toEqual(kr)
    expect(plain(find(mmdb, '2.2.2.2'))).toEqual(kr)
    expect(find(mmdb, '2.2.2.3')).toBeUndefined()
    expect(plain(find(mmdb, '2001:db8::1'))).toEqual(us)
    expect(plain(find(mmdb, '2001:db8:1::1'))).toEqual(kr)
    expect(find(mmdb, '2001:db9::1')).toBeUndefined()
    expect(find(mmdb, '200.1.1.1')).toBeUndefined()
  })

  it('with more nodes than a table is worth answers each network, and nothing around it', () => {
    // Networks of 32 bits that share little: well over 65,536 nodes.
    const many = Object.fromEntries(
      Array.from({ length: 6000 }, (_, n) => [
        `${1 + (n % 200)}.${(n * 37) & 255}.${(n * 101) & 255}.${n & 254}/32`,
        kr,
      ]),
    )
    const mmdb = readMmdb(mmdbFile({ '220.0.0.0/8': us, ...many }))
    for (const network of Object.keys(many)) {
      const text = network.slice(0, -3)
      expect(plain(find(mmdb, text))).toEqual(kr)
      expect(
        find(
          mmdb,
          text.replace(/\d+$/, last => String(Number(last) + 1)),
        ),
      ).toBeUndefined()
    }
    expect(plain(find(mmdb, '220.1.2.3'))).toEqual(us)
    expect(find(mmdb, '221.1.2.3')).toBeUndefined()
    expect(find(mmdb, '2001:db8::1')).toBeUndefined()
  })

  it('of IPv4 only knows no IPv6 address', () => {
    const mmdb = readMmdb(mmdbFile({ '1.0.0.0/8': kr }, { ipVersion: 4 }))
    expect(plain(find(mmdb, '1.2.3.4'))).toEqual(kr)
    expect(find(mmdb, '2001:db8::1')).toBeUndefined()
    expect(find(mmdb, '100::1')).toBeUndefined()
  })

  it('of IPv6 only knows no IPv4 address', () => {
    const mmdb = readMmdb(mmdbFile({ '2001:db8::/32': kr }))
    expect(find(mmdb, '1.2.3.4')).toBeUndefined()
  })

  it('gives addresses of one data record one place, and says when it was built and as what', () => {
    const mmdb = readMmdb(mmdbFile(networks, { databaseType: 'X-City', builtMs: Date.UTC(2026, 1, 3) }))
    expect(mmdb.find4(0x01010101)).toBe(mmdb.find4(0x02020202))
    expect(mmdb).toMatchObject({ databaseType: 'X-City', ipVersion: 6, builtMs: Date.UTC(2026, 1, 3) })
    expect(mmdb.sample(10)).toHaveLength(2)
  })

  it('keeps every kind of value', () => {
    const record = {
      text: 'é서울',
      big: 4_294_967_295,
      zero: 0,
      yes: true,
      no: false,
      half: -0.5,
      list: [1, 'x', []],
      float: { float: 1.5 },
    }
    const mmdb = readMmdb(mmdbFile({ '1.0.0.0/8': record }))
    expect(plain(find(mmdb, '1.1.1.1'))).toEqual({ ...record, float: 1.5 })
    expect(decodeValue(Buffer.from([0x02, 0x02, 0x01, 0x00]), 0)).toBe(256n)
    expect(decodeValue(Buffer.from([0x04, 0x01, 0xff, 0xff, 0xff, 0xfe]), 0)).toBe(-2)
    expect(decodeValue(Buffer.from([0x82, 0x61, 0x62]), 0)).toEqual(Buffer.from('ab'))
    for (const length of [28, 29, 284, 285, 5000]) {
      expect(decodeValue(encode('x'.repeat(length)), 0)).toBe('x'.repeat(length))
    }
  })

  it('cannot reach a prototype through its keys', () => {
    const record = decodeValue(
      Buffer.concat([control(7, 1), encode('__proto__'), control(7, 1), encode('on'), encode(true)]),
      0,
    )
    expect(Object.getPrototypeOf(record)).toBeNull()
    expect(Object.keys(record as object)).toEqual(['__proto__'])
    expect(({} as { on?: boolean }).on).toBeUndefined()
  })
})

describe('our reader against mmdb-lib, on the databases from npm', () => {
  it.each([
    [0, 'in memory', 0],
    [1, 'in memory', 0],
    [0, 'read in blocks', 4 * 1024 * 1024],
    [1, 'read in blocks', 4 * 1024 * 1024],
    [0, 'read in three blocks', 14_000],
    [1, 'read in three blocks', 14_000],
  ])('answers the same for random addresses (file %i, %s)', (index, _, cacheBytes) => {
    const path = embeddedDatabases('city')[index]!
    const bytes = readFileSync(path)
    const blocks = cacheBytes > 0 ? new FileBytes(path, cacheBytes) : undefined
    const ours = readBytes(blocks ?? inMemory(bytes))
    const theirs = new Reader<CityResponse>(bytes)
    expect(ours.databaseType).toBe(theirs.metadata.databaseType)
    expect(ours.builtMs).toBe(theirs.metadata.buildEpoch.getTime())
    const word = fc.integer({ min: 0, max: 0xffffffff })
    const address4 = word.map(value => formatAddress({ family: 4, value }))
    // Most of the assigned space is 2000::/6 to 2c00::/6.
    const address6 = fc.tuple(fc.integer({ min: 0x20000000, max: 0x2fffffff }), word, word, word).map(words => {
      return formatAddress({ family: 6, words: words as Words })
    })
    fc.assert(
      fc.property(index === 0 ? address4 : address6, text => {
        expect(plain(find(ours, text) ?? null), text).toEqual(plain(theirs.get(text)))
      }),
      { numRuns: 3000 },
    )
    blocks?.close()
  })
})

describe('a damaged MaxMind DB file', () => {
  const good = mmdbFile({ '1.0.0.0/8': { city: { names: { en: 'Seoul' } } }, '2001:db8::/32': { a: [1, 2, 'x'] } })
  const replaced = (from: string | Buffer, to: Buffer) => {
    const at = good.indexOf(from)
    expect(at).toBeGreaterThan(0)
    return Buffer.concat([good.subarray(0, at), to, good.subarray(at + from.length)])
  }
  const metadataValue = (name: string, value: Buffer) => {
    const at = good.indexOf(name) + name.length
    return Buffer.concat([good.subarray(0, at), value, good.subarray(at + value.length)])
  }

  it.each<[string, Buffer, RegExp]>([
    ['is empty', Buffer.alloc(0), /no MaxMind DB metadata/],
    ['is text', Buffer.from('hello'), /no MaxMind DB metadata/],
    ['is cut short', good.subarray(0, good.length / 2), /no MaxMind DB metadata/],
    ['is cut within its metadata', good.subarray(0, good.length - 20), /past the end/],
    ['has metadata too far from its end', Buffer.concat([good, Buffer.alloc(200_000)]), /no MaxMind DB metadata/],
    [
      'claims more nodes than it has',
      metadataValue('node_count', Buffer.from([0xc4, 0x00, 0xff, 0xff, 0xff])),
      /longer than the file/,
    ],
    ['has no nodes', metadataValue('node_count', Buffer.from([0xc4, 0, 0, 0, 0])), /tree is empty/],
    ['has an unknown record size', metadataValue('record_size', Buffer.from([0xc4, 0, 0, 0, 25])), /record_size is 25/],
    ['has an unknown IP version', metadataValue('ip_version', Buffer.from([0xc4, 0, 0, 0, 5])), /ip_version is 5/],
    [
      'has another format version',
      metadataValue('binary_format_major_version', Buffer.from([0xc4, 0, 0, 0, 3])),
      /not version 2/,
    ],
    ['has no type', replaced('database_type', Buffer.from('database_typo')), /no database_type/],
    [
      'has a list as metadata',
      Buffer.concat([Buffer.from('abcdef4d61784d696e642e636f6d', 'hex'), encode([1])]),
      /not a map/,
    ],
  ])('that %s is refused when opened', (_, bytes, message) => {
    expect(() => readMmdb(bytes)).toThrow(message)
  })

  it.each<[string, Buffer, RegExp]>([
    ['a pointer to itself', pointer(0), /nested deeper/],
    ['pointers in a circle', Buffer.concat([pointer(2), pointer(0)]), /nested deeper/],
    ['values nested without end', Buffer.concat(Array.from({ length: 100 }, () => control(11, 1))), /nested deeper/],
    [
      'a list of lists that multiplies',
      Buffer.concat([
        ...[7, 14, 21, 28, 35].map(to => Buffer.concat([control(11, 2), pointer(to), pointer(to), Buffer.of(0xa0)])),
        control(11, 100),
        ...Array.from({ length: 100 }, () => control(11, 100)),
      ]),
      /more than 4096 values|nested|past the end/,
    ],
    ['a list longer than the file', Buffer.from([0x1f, 0x04, 0xff, 0xff, 0xff]), /past the end/],
    ['a pointer past the end', pointer(100_000), /past the end/],
    ['a string past the end', control(2, 5000), /past the end/],
    ['an integer of 5 bytes', Buffer.from([0xc5, 1, 2, 3, 4, 5]), /impossible size 5/],
    ['a double of 7 bytes', Buffer.concat([control(3, 7), Buffer.alloc(8)]), /impossible size 7/],
    ['a float of 3 bytes', Buffer.concat([control(15, 3), Buffer.alloc(8)]), /impossible size 3/],
    ['a number as a key', Buffer.concat([control(7, 1), encode(7), encode('x')]), /key is not a string/],
    ['an unknown type', Buffer.from([0x00, 0x09]), /unknown type 16/],
    ['an end marker', Buffer.from([0x00, 0x06]), /unknown type 13/],
    ['nothing', Buffer.alloc(0), /past the end/],
  ])('with %s in its data is an error, not a crash', (_, section, message) => {
    expect(() => decodeValue(section, 0)).toThrow(message)
  })

  it('bounds what one record may expand to', () => {
    const long = encode('x'.repeat(60_000))
    const section = Buffer.concat([long, control(11, 20), ...Array.from({ length: 20 }, () => pointer(0))])
    expect(() => decodeValue(section, long.length)).toThrow(/more than 262144 bytes/)
  })

  it('with a tree that leads nowhere or outside is an error', () => {
    const circle = Buffer.from(good)
    circle.fill(0, 0, 6) // both records of node 0 are node 0
    expect(() => readMmdb(circle).find4(1)).toThrow(/no end below/)
    const outside = Buffer.from(good)
    outside.fill(0xff, 0, 6)
    expect(() => readMmdb(outside).find4(1)).toThrow(/points outside/)
    expect(() => readMmdb(outside).sample(10)).toThrow(/points outside/)
  })

  it('gives an answer or an Error for any damage, and never runs without end', () => {
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(damage, changes => {
        const bytes = Buffer.from(good)
        for (const [at, value] of changes) bytes[at] = value
        try {
          const mmdb = readMmdb(bytes)
          for (const place of mmdb.sample(50)) mmdb.decode(place)
          for (const text of ['1.2.3.4', '9.9.9.9', '2001:db8::1']) find(mmdb, text)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
          expect(error).not.toBeInstanceOf(RangeError)
        }
      }),
      { numRuns: 5000 },
    )
  })
})
