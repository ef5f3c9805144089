import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatAddress, parseAddress, type Words } from '../../../platform/address.ts'
import { inMemory } from '../../../platform/geoip/file-bytes.ts'
import { type Ranges, readRanges as readBytes } from '../../../platform/geoip/ranges.ts'

const readRanges = (bytes: Buffer) => readBytes(inMemory(bytes))
const read = (...lines: string[]) => readRanges(Buffer.from(lines.join('\n')))
const find = (ranges: Ranges, text: string) => {
  const address = parseAddress(text)!
  const place = address.family === 4 ? ranges.find4(address.value) : ranges.find6(address.words)
  return place === 0 ? undefined : ranges.system(place)
}

describe('CSV ranges', () => {
  const ranges = read(
    '1.0.0.0,1.0.0.255,13335,"Cloudflare, Inc."',
    '1.0.4.0,1.0.7.255,38803,Gtelecom Pty Ltd',
    '2.0.0.0,2.0.0.0,209',
    '3.0.0.0,3.0.0.9,1,"He said ""no"""\r',
    '200.0.0.0,255.255.255.255,4294967295,끝',
    '',
    '2001:db8::,2001:db8:0:ffff:ffff:ffff:ffff:ffff,13335,"Cloudflare, Inc."',
    'ff00::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,6939,Hurricane Electric LLC',
  )

  it.each([
    ['0.255.255.255', undefined],
    ['1.0.0.0', { number: 13335, name: 'Cloudflare, Inc.' }],
    ['1.0.0.255', { number: 13335, name: 'Cloudflare, Inc.' }],
    ['1.0.1.0', undefined],
    ['1.0.5.1', { number: 38803, name: 'Gtelecom Pty Ltd' }],
    ['2.0.0.0', { number: 209 }],
    ['2.0.0.1', undefined],
    ['3.0.0.5', { number: 1, name: 'He said "no"' }],
    ['255.255.255.255', { number: 4294967295, name: '끝' }],
    ['2001:db7:ffff::', undefined],
    ['2001:db8::', { number: 13335, name: 'Cloudflare, Inc.' }],
    ['2001:db8:1::', undefined],
    ['ffff::1', { number: 6939, name: 'Hurricane Electric LLC' }],
  ])('answer %s with %j', (text, expected) => {
    expect(find(ranges, text)).toEqual(expected)
  })

  it('keep one place for a system, and several when the file gives it several names', () => {
    const named = read(
      '1.0.0.0,1.0.0.1,7,A',
      '2.0.0.0,2.0.0.1,7,B',
      '3.0.0.0,3.0.0.1,7,A',
      '4.0.0.0,4.0.0.1,7,B',
      '5.0.0.0,5.0.0.1,77,A',
    )
    const place = (n: number) => named.find4(n * 2 ** 24)
    expect([place(3), place(4)]).toEqual([place(1), place(2)])
    expect([1, 2, 3, 4, 5].map(n => named.system(place(n)).name)).toEqual(['A', 'B', 'A', 'B', 'A'])
    expect(named.system(place(5)).number).toBe(77)
  })

  it('where lines overlap, answer with the one that begins last, and say how many do', () => {
    const overlapping = read('1.0.0.0,1.0.0.99,1,A', '1.0.0.50,1.0.0.60,2,B', '9.0.0.0,9.0.0.1,3,C')
    expect(overlapping.overlaps).toBe(1)
    expect(find(overlapping, '1.0.0.49')?.number).toBe(1)
    expect(find(overlapping, '1.0.0.55')?.number).toBe(2)
    expect(find(overlapping, '1.0.0.70')).toBeUndefined()
  })

  it.each([
    ['', /no ranges/],
    ['\n\n', /no ranges/],
    ['hello', /line 1 is not first,last,number,name/],
    ['1.0.0.0,1.0.0.1', /line 1 is not/],
    ['1.0.0.0,1.0.0.1,1,A\n2.0.0.0,2.0.0.1', /line 2 is not/],
    ['1.0.0.0,::1,1,A', /two addresses of one family/],
    ['16777216,16777471,13335,A', /two addresses of one family/],
    ['1.0.0.9,1.0.0.1,1,A', /line 1 ends before it begins/],
    ['2001:db8::9,2001:db8::1,1,A', /line 1 ends before it begins/],
    ['2.0.0.0,2.0.0.1,1,A\n1.0.0.0,1.0.0.1,1,A', /line 2 begins before the line above it/],
    ['2001:db8::,2001:db8::1,1,A\n2001:db7::,2001:db7::1,1,A', /line 2 begins before/],
    ['1.0.0.0,1.0.0.1,,A', /no AS number/],
    ['1.0.0.0,1.0.0.1,-1,A', /no AS number/],
    ['1.0.0.0,1.0.0.1,12x,A', /no AS number/],
    ['1.0.0.0,1.0.0.1,4294967296,A', /no AS number/],
    [`1.0.0.0,1.0.0.1,1,${'x'.repeat(5000)}`, /longer than 4096/],
    ['x'.repeat(600_000), /longer than 4096/],
  ])('refuse %.60j', (text, message) => {
    expect(() => readRanges(Buffer.from(text))).toThrow(message)
  })

  it('survive the seams of the chunks the file is read in', () => {
    const lines = Array.from({ length: 40_000 }, (_, n) => {
      const first = n * 512
      return `${formatAddress({ family: 4, value: first })},${formatAddress({ family: 4, value: first + 255 })},${n + 1},${'n'.repeat(n % 40)}`
    })
    const large = read(...lines)
    expect(large.rows).toBe(40_000)
    for (let n = 0; n < 40_000; n++) {
      const name = 'n'.repeat(n % 40)
      expect(large.system(large.find4(n * 512 + 255))).toEqual(name ? { number: n + 1, name } : { number: n + 1 })
      expect(large.find4(n * 512 + 256)).toBe(0)
    }
  })

  const sorted = <T>(list: T[], compare: (a: T, b: T) => number) => [...list].sort(compare)

  it('find for IPv4 what a look at every range finds', () => {
    const bounds = fc.uniqueArray(fc.integer({ min: 0, max: 0xffffffff }), { minLength: 2, maxLength: 60 })
    fc.assert(
      fc.property(bounds, fc.array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 20 }), (list, asked) => {
        const edges = sorted(list, (a, b) => a - b)
        const pairs = edges.flatMap((edge, at) => (at % 2 === 1 ? [[edges[at - 1]!, edge] as const] : []))
        const text = (value: number) => formatAddress({ family: 4, value })
        const ranges = read(...pairs.map(([first, last], at) => `${text(first)},${text(last)},${at + 1},N${at}`))
        for (const value of [...asked, ...edges, ...edges.map(edge => Math.min(edge + 1, 0xffffffff))]) {
          const expected = pairs.findIndex(([first, last]) => first <= value && value <= last)
          const place = ranges.find4(value)
          expect(place === 0 ? -1 : ranges.system(place).number - 1).toBe(expected)
        }
      }),
    )
  })

  it('find for IPv6 what a look at every range finds', () => {
    const big = fc.bigInt({ min: 2n ** 125n, max: 2n ** 126n })
    const words = (value: bigint): Words =>
      [96n, 64n, 32n, 0n].map(shift => Number((value >> shift) & 0xffffffffn)) as never
    fc.assert(
      fc.property(
        fc.uniqueArray(big, { minLength: 2, maxLength: 40 }),
        fc.array(big, { maxLength: 20 }),
        (list, asked) => {
          const edges = sorted(list, (a, b) => (a < b ? -1 : 1))
          const pairs = edges.flatMap((edge, at) => (at % 2 === 1 ? [[edges[at - 1]!, edge] as const] : []))
          const text = (value: bigint) => formatAddress({ family: 6, words: words(value) })
          const ranges = read(...pairs.map(([first, last], at) => `${text(first)},${text(last)},${at + 1},N${at}`))
          for (const value of [...asked, ...edges, ...edges.map(edge => edge + 1n), ...edges.map(edge => edge - 1n)]) {
            const expected = pairs.findIndex(([first, last]) => first <= value && value <= last)
            const place = ranges.find6(words(value))
            expect(place === 0 ? -1 : ranges.system(place).number - 1).toBe(expected)
          }
        },
      ),
    )
  })
})
