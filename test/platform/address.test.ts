import { isIP } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cidrContains, clientPrefix, formatAddress, parseAddress, parseCidr } from '../../platform/address.ts'

const canonical = (text: string) => {
  const address = parseAddress(text)
  return address && formatAddress(address)
}

describe('addresses', () => {
  it.each([
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['203.0.113.7', '203.0.113.7'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8::', '2001:db8::'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:0db8:0000:0000:0000:ff00:0042:8329', '2001:db8::ff00:42:8329'],
    ['1:0:3:4:5:6:7:8', '1:0:3:4:5:6:7:8'],
    ['1::3:4:5:6:7:8', '1:0:3:4:5:6:7:8'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('reads %s as %s', (text, expected) => {
    expect(canonical(text)).toBe(expected)
  })

  it.each(['::ffff:203.0.113.7', '::ffff:cb00:7107', '0:0:0:0:0:ffff:cb00:7107', '0:0:0:0:0:FFFF:203.0.113.7'])(
    'takes the v4-mapped %s as the IPv4 address',
    text => {
      expect(parseAddress(text)).toEqual({ family: 4, value: 0xcb007107 })
    },
  )

  it.each([
    '',
    '-',
    'X.X.X.X',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    '256.1.1.1',
    '01.2.3.4',
    '1.2.3.00',
    '0x1.2.3.4',
    '1.2.3.4 ',
    '1.2.3.4:80',
    '1.2.3.4/32',
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '::1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    '::g',
    '1:',
    ':1',
    '[::1]',
    'fe80::1%eth0',
    '::1.2.3.256',
    '1.2.3.4::',
    '::ffff:1.2.3.4:5',
    '2001:db8:0:0:0:0:0:0000000000000000000000000000000001',
  ])('refuses %j', text => {
    expect(parseAddress(text)).toBeUndefined()
  })

  it('agrees with Node about what an address is, for any mixture of its characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'0123456789abcF:.'.split('')), maxLength: 24 }), text => {
        expect(parseAddress(text) !== undefined, text).toBe(isIP(text) !== 0)
      }),
      { numRuns: 3000 },
    )
  })

  it('reads back what it writes, and writes what Node writes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), text => {
        const address = parseAddress(text)
        expect(address?.family, text).toBe(isIP(text))
        expect(parseAddress(formatAddress(address!))).toEqual(address)
        if (address!.family === 6) {
          const url = new URL(`http://[${text}]/`).hostname
          expect(`[${formatAddress(address!)}]`).toBe(url)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), text => {
        parseAddress(text)
        parseCidr(text)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('client prefixes', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8::/64'],
    ['::1', '::/64'],
  ])('%s is the client %s', (text, expected) => {
    expect(clientPrefix(parseAddress(text)!)).toBe(expected)
  })
})

describe('networks', () => {
  it.each([
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['0.0.0.0/0', '255.1.2.3', true],
    ['0.0.0.0/0', '::1', false],
    ['::/0', '1.2.3.4', false],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1/32', '192.0.2.2', false],
    ['128.0.0.0/1', '129.0.0.1', true],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['2001:db8::/64', '2001:db8:0:0:ffff::', true],
    ['2001:db8::1/128', '2001:db8::2', false],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
  ])('%s and %s: %s', (network, address, expected) => {
    expect(cidrContains(parseCidr(network)!, parseAddress(address)!)).toBe(expected)
  })

  it.each([
    '',
    '/8',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.1/8',
    '::1/64',
    '::/129',
    '10.0.0.0/8/8',
    '10/8',
    '::ffff:1.2.3.0/24',
  ])('refuses %j', text => {
    expect(parseCidr(text)).toBeUndefined()
  })

  it('contains an address exactly when the first bits are the same', () => {
    const bits = (text: string) => {
      const address = parseAddress(text)!
      const words = address.family === 4 ? [address.value] : [...address.words]
      return words.map(word => word.toString(2).padStart(32, '0')).join('')
    }
    const ip6 = fc.tuple(...[0, 1, 2, 3].map(() => fc.integer({ min: 0, max: 0xffffffff })))
    fc.assert(
      fc.property(
        ip6,
        ip6,
        fc.integer({ min: 0, max: 128 }),
        fc.integer({ min: 0, max: 128 }),
        (base, other, length, shared) => {
          const masked = (words: readonly number[], upTo: number, rest: readonly number[]) =>
            words.map((word, index) => {
              const keep = Math.min(32, Math.max(0, upTo - index * 32))
              const mask = keep === 0 ? 0 : (0xffffffff << (32 - keep)) >>> 0
              return ((word & mask) | (rest[index]! & ~mask)) >>> 0
            })
          const network = formatAddress({ family: 6, words: masked(base, length, [0, 0, 0, 0]) as never })
          const address = formatAddress({ family: 6, words: masked(base, shared, other) as never })
          const cidr = parseCidr(`${network}/${length}`)
          fc.pre(cidr?.address.family === 6 && parseAddress(address)?.family === 6)
          expect(cidrContains(cidr, parseAddress(address)!)).toBe(
            bits(network).slice(0, length) === bits(address).slice(0, length),
          )
        },
      ),
      { numRuns: 1000 },
    )
  })
})
