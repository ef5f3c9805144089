import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Cidr, cidrsOverlap, formatAddress, formatCidr, parseCidr } from '../../../platform/address.ts'
import { Guard } from '../../../response/holds/guard.ts'
import { NeverBlock, readNeverBlock, shippedNeverBlock } from '../../../response/holds/never-block.ts'

const of = (text: string): Cidr => parseCidr(text)!

test.each([
  ['10.0.0.0/24', 'reserved'],
  ['100.64.1.1', 'reserved'],
  ['127.0.0.1', 'reserved'],
  ['169.254.169.254', 'reserved'],
  ['172.31.255.255', 'reserved'],
  ['192.168.1.1', 'reserved'],
  ['224.0.0.1', 'reserved'],
  ['255.255.255.255', 'reserved'],
  ['::1', 'reserved'],
  ['fd00::/64', 'reserved'],
  ['fe80::1', 'reserved'],
  ['64:ff9b::1', 'reserved'],
  ['20.0.0.0/23', 'too_wide'],
  ['0.0.0.0/0', 'too_wide'],
  ['2a00::/47', 'too_wide'],
  ['::/0', 'too_wide'],
])('%s is never blocked: %s', (text, reason) => {
  expect(new Guard([]).objection(of(text))?.reason).toBe(reason)
})

test.each(['20.0.0.1', '20.0.0.0/24', '203.0.113.7', '172.32.0.1', '2a00::/48', '2001:db8::1'])(
  '%s may be blocked',
  text => {
    expect(new Guard([]).objection(of(text))).toBeUndefined()
  },
)

const network = fc
  .record({ value: fc.integer({ min: 0x14000000, max: 0x140003ff }), length: fc.integer({ min: 4, max: 32 }) })
  .map(({ value, length }) => {
    const mask = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0
    return of(`${formatAddress({ family: 4, value: (value & mask) >>> 0 })}/${length}`)
  })

test('whatever overlaps an entry is refused, whichever of the two is wider, and nothing else is', () => {
  fc.assert(
    fc.property(fc.array(network, { maxLength: 20 }), network, (entries, asked) => {
      const guard = new Guard([{ name: 'partner', cidrs: entries }])
      const expected =
        asked.prefixLength < 24
          ? 'too_wide'
          : entries.some(each => cidrsOverlap(each, asked))
            ? 'never_block'
            : undefined
      expect(guard.objection(asked)?.reason).toBe(expected)
    }),
    { numRuns: 500 },
  )
})

function file(content: string, lists: Readonly<Record<string, unknown>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-guard-'))
  for (const [name, list] of Object.entries(lists)) writeFileSync(join(folder, name), JSON.stringify(list))
  const path = join(folder, 'never-block.yaml')
  writeFileSync(path, content)
  return path
}

describe('the file', () => {
  test('that comes with Haetae can be read', async () => {
    expect(await readNeverBlock(shippedNeverBlock)).not.toEqual([])
  })

  test('names networks, and lists as Google and AWS publish them', async () => {
    const path = file(
      `networks: [{ name: office, cidrs: [20.0.0.1, 2a00::/32] }]
lists:
  - { name: Googlebot, file: googlebot.json }
  - { name: health, file: aws.json, services: [ROUTE53_HEALTHCHECKS] }
`,
      {
        'googlebot.json': {
          creationTime: 'x',
          prefixes: [{ ipv6Prefix: '2001:4860:4801:10::/64' }, { ipv4Prefix: '66.249.64.0/27' }],
        },
        'aws.json': {
          prefixes: [
            { ip_prefix: '15.177.0.0/18', region: 'GLOBAL', service: 'ROUTE53_HEALTHCHECKS' },
            { ip_prefix: '3.5.140.0/22', service: 'S3' },
          ],
          ipv6_prefixes: [{ ipv6_prefix: '2600:1f1c:fff::/48', service: 'ROUTE53_HEALTHCHECKS' }],
        },
      },
    )
    const named = await readNeverBlock(path)
    expect(named.map(({ name, cidrs }) => [name, cidrs.map(formatCidr)])).toEqual([
      ['office', ['20.0.0.1/32', '2a00::/32']],
      ['Googlebot', ['2001:4860:4801:10::/64', '66.249.64.0/27']],
      ['health', ['15.177.0.0/18', '2600:1f1c:fff::/48']],
    ])
  })

  test.each([
    ['networks: [{ name: office, cidrs: [20.0.0.1/24] }]', 'bits behind the prefix'],
    ['networks: [{ name: office, cidrs: [office] }]', 'no address and no network'],
    ['colour: red', 'Unrecognized key'],
    ['lists: [{ name: a, file: missing.json }]', 'missing.json'],
  ])('%s is refused with the reason', async (content, reason) => {
    await expect(readNeverBlock(file(content))).rejects.toThrow(reason)
  })

  test('a broken download is not taken: the list before stays in force, and the problem is said', async () => {
    const list = (count: number) => ({
      prefixes: Array.from({ length: count }, (_, n) => ({ ipv4Prefix: `20.0.${n}.0/24` })),
    })
    const path = file('lists: [{ name: crawler, file: list.json }]', { 'list.json': list(10) })
    const neverBlock = new NeverBlock(path)
    await neverBlock.load()
    writeFileSync(join(path, '..', 'list.json'), JSON.stringify(list(4)))
    expect(await neverBlock.reload()).toBe(false)
    expect(neverBlock.problem).toContain('4 networks where there were 10')
    expect(neverBlock.guard.objection(of('20.0.9.1'))).toMatchObject({ reason: 'never_block', detail: 'crawler' })
    writeFileSync(join(path, '..', 'list.json'), JSON.stringify(list(6)))
    expect(await neverBlock.reload()).toBe(true)
    expect(neverBlock.problem).toBeUndefined()
    expect(neverBlock.guard.objection(of('20.0.9.1'))).toBeUndefined()
  })
})
