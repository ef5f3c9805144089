import { expect, test } from 'vitest'
import { FakeWaf } from '../../../response/waf/fake.ts'
import { FakeClock } from '../../support/clock.ts'

const signal = new AbortController().signal

async function fake() {
  const clock = new FakeClock()
  const waf = new FakeWaf(clock)
  const Id = waf.create('v4', 'IPV4')
  const six = waf.create('v6', 'IPV6')
  const write = async (Name: 'v4' | 'v6', Addresses: readonly string[]) => {
    await clock.advance(1_000)
    const set = { Name, Scope: 'REGIONAL', Id: Name === 'v4' ? Id : six } as const
    const { LockToken } = await waf.getIPSet(set, signal)
    return waf.updateIPSet({ ...set, Addresses, LockToken }, signal)
  }
  return { clock, waf, write, Id }
}

test.each([
  ['v4', ['0.0.0.0/0'], 'WAFInvalidParameterException'],
  ['v4', ['20.0.0.1'], 'WAFInvalidParameterException'],
  ['v4', ['2a00::/64'], 'WAFInvalidParameterException'],
  ['v6', ['20.0.0.0/24'], 'WAFInvalidParameterException'],
  ['v4', ['20.0.0.1/32', '20.0.0.1/32'], 'WAFInvalidParameterException'],
  ['v4', [''], 'WAFInvalidParameterException'],
  ['v4', Array.from({ length: 10_001 }, (_, n) => `20.0.${n >> 8}.${n & 255}/32`), 'WAFLimitsExceededException'],
] as const)('as AWS, %s refuses %o: %s', async (name, addresses, error) => {
  const { write } = await fake()
  await expect(write(name, addresses)).rejects.toMatchObject({ name: error })
})

test('as AWS, it clears bits behind the prefix, writes IPv6 out, and takes an empty list', async () => {
  const { write, waf } = await fake()
  await write('v4', ['20.0.0.77/24'])
  expect(waf.addresses('v4')).toEqual(['20.0.0.0/24'])
  await write('v6', ['2a00:1:2:3:4::5/64'])
  expect(waf.addresses('v6')).toEqual(['2a00:0001:0002:0003:0000:0000:0000:0000/64'])
  await write('v4', [])
  expect(waf.addresses('v4')).toEqual([])
})

test('as AWS, it takes one write and five reads a second', async () => {
  const { waf, clock, Id } = await fake()
  await clock.advance(1_000)
  const set = { Name: 'v4', Scope: 'REGIONAL', Id } as const
  const { LockToken } = await waf.getIPSet(set, signal)
  const { NextLockToken } = await waf.updateIPSet({ ...set, Addresses: [], LockToken }, signal)
  const again = { ...set, Addresses: [], LockToken: NextLockToken }
  await expect(waf.updateIPSet(again, signal)).rejects.toMatchObject({ name: 'ThrottlingException' })
  for (let reads = 1; reads < 5; reads++) await waf.getIPSet(set, signal)
  await expect(waf.getIPSet(set, signal)).rejects.toMatchObject({ name: 'ThrottlingException' })
  await clock.advance(1_000)
  await expect(waf.updateIPSet(again, signal)).resolves.toBeDefined()
})
