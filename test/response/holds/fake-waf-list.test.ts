/** The ways in which others lost, kept or released blocks wrongly, each tried against a WAFv2 that is as strict as AWS's. */

import { describe, expect, test } from 'vitest'
import { parseCidr } from '../../../platform/address.ts'
import { Guard } from '../../../response/holds/guard.ts'
import { address, benchesOfTests, blockOf, crowd, person } from '../../support/owner.ts'

const MINUTE_MS = 60_000
const V4 = 'haetae-block-v4'
const V6 = 'haetae-block-v6'

const bench = benchesOfTests()

describe('limits', () => {
  test('the 10,001st offender goes into the next set, and nobody is left out', async () => {
    const world = bench({ sets: ['haetae-block-v4-a', 'haetae-block-v4-b'] })
    await world.owner.apply(crowd(world, 10_001, person))
    await world.settle()
    expect(world.waf.addresses('haetae-block-v4-a')).toHaveLength(10_000)
    expect(world.waf.addresses('haetae-block-v4-b')).toHaveLength(1)
  })

  test('when every set is full the rest waits, says so, and follows as soon as there is room', async () => {
    const world = bench({ sets: [V4] })
    await world.owner.apply(crowd(world, 10_001, person))
    await world.settle()
    expect(world.waf.addresses(V4)).toHaveLength(10_000)
    expect(world.pausedBy).toContain('1 networks find no room')
    await world.owner.apply([blockOf(address(0), world.clock.now(), { type: 'release', ...person })])
    await world.settle()
    expect(world.waf.addresses(V4)).toContain(`${address(10_000)}/32`)
    expect(world.pausedBy).toBeUndefined()
  })

  test('IPv4 and IPv6 fill sets of their own', async () => {
    const world = bench()
    const six = Array.from({ length: 10 }, (_, n) => blockOf(`2a00:${n}::1`, world.clock.now()))
    await world.owner.apply([...crowd(world, 10_000, person), ...six])
    await world.settle()
    expect(world.waf.addresses(V4)).toHaveLength(10_000)
    expect(world.waf.addresses(V6)).toHaveLength(10)
    expect(world.waf.addresses(V6)[1]).toBe('2a00:0001:0000:0000:0000:0000:0000:0000/64')
  })

  test('500 changes, one after another, are written at most once a second, coalesced, and never throttled', async () => {
    const world = bench()
    let throttled = 0
    world.waf.fate = () => 'answered'
    const call = world.waf.updateIPSet
    world.waf.updateIPSet = (...given) =>
      call(...given).catch(error => {
        throttled++
        throw error
      })
    await world.settle(1_000)
    const startMs = world.clock.now()
    for (const decision of crowd(world, 500)) {
      await world.owner.apply([decision])
      await world.clock.advance(10)
    }
    await world.settle(3_000)
    expect(world.waf.addresses(V4)).toHaveLength(500)
    expect(throttled).toBe(0)
    expect(world.waf.calls.update).toBeLessThanOrEqual((world.clock.now() - startMs) / 1_000 + 1)
  })

  test('IP sets are found behind the first page of the list', async () => {
    const others = Array.from({ length: 250 }, (_, n) => `aaa-${n}`)
    const world = bench({ sets: [...others, V4] })
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now())])
    await world.settle(10_000)
    expect(world.waf.addresses(V4)).toEqual(['20.0.0.1/32'])
    expect(world.waf.addresses('aaa-7')).toEqual([])
  })
})

describe('others write, too', () => {
  test('after three lost locks the addresses are merged, not overwritten', async () => {
    const world = bench()
    await world.settle(2_000)
    let edits = 0
    world.waf.fate = operation => {
      if (operation === 'update' && edits < 3) world.waf.edit(V4, all => [...all, `192.0.2.${++edits}/32`])
      return 'answered'
    }
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now())])
    await world.settle(10_000)
    expect([...world.waf.addresses(V4)].sort()).toEqual(['192.0.2.1/32', '192.0.2.2/32', '192.0.2.3/32', '20.0.0.1/32'])
    expect(world.waf.descriptionOf(V4)).toBe('made by an operator')
  })

  test('what an operator put there stays, even when we held the same address and let it go', async () => {
    const world = bench()
    world.waf.edit(V4, () => ['20.0.0.1/32', '192.0.2.0/24'])
    await world.settle(1_000)
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now(), { ttlMs: MINUTE_MS })])
    await world.settle(2 * MINUTE_MS)
    expect(world.holds[0]).toMatchObject({ state: 'expired' })
    expect(world.waf.addresses(V4)).toEqual(['20.0.0.1/32', '192.0.2.0/24'])
  })

  test('what an operator removed stays out: its hold is suspended, detections do not bring it back, a person does', async () => {
    const world = bench()
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now()), blockOf('20.0.0.2', world.clock.now())])
    await world.settle()
    world.waf.edit(V4, all => all.filter(each => each !== '20.0.0.1/32'))
    await world.settle(MINUTE_MS)
    expect(world.waf.addresses(V4)).toEqual(['20.0.0.2/32'])
    expect(world.told('hold_suspended')).toMatchObject([{ target: '20.0.0.1', who: 'operator' }])
    expect(await world.owner.apply([blockOf('20.0.0.1', world.clock.now())])).toEqual(['suspended'])
    expect(await world.owner.apply([blockOf('20.0.0.1', world.clock.now(), { rule: 'scan' })])).toEqual(['suspended'])
    await world.restart()
    await world.settle(MINUTE_MS)
    expect(world.waf.addresses(V4)).toEqual(['20.0.0.2/32'])
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now(), { ...person, ttlMs: MINUTE_MS })])
    await world.settle()
    expect(world.waf.addresses(V4)).toContain('20.0.0.1/32')
  })

  test('a set that was made anew is filled again: its old entries were nobody’s removal', async () => {
    const world = bench()
    await world.owner.apply(crowd(world, 3))
    await world.settle()
    world.waf.delete(V4)
    world.waf.create(V4, 'IPV4')
    await world.settle(MINUTE_MS)
    expect(world.waf.addresses(V4)).toHaveLength(3)
    expect(world.told('hold_suspended')).toEqual([])
  })

  test('an old answer, from before our own write, is no removal', async () => {
    const world = bench()
    const old = world.waf.getIPSet
    await world.settle(1_000)
    const stale = await old({ Name: V4, Scope: 'REGIONAL', Id: 'token-0' }, new AbortController().signal)
    await world.owner.apply(crowd(world, 2))
    await world.settle()
    world.waf.getIPSet = (input, signal) => (input.Name === V4 ? Promise.resolve(stale) : old(input, signal))
    await world.settle(MINUTE_MS)
    world.waf.getIPSet = old
    await world.settle(MINUTE_MS)
    expect(world.told('hold_suspended')).toEqual([])
    expect(world.waf.addresses(V4)).toHaveLength(2)
  })
})

describe('several holds', () => {
  test('an address is released only when the last of its holds ends', async () => {
    const world = bench()
    const nowMs = world.clock.now()
    await world.owner.apply([
      blockOf('20.0.0.1', nowMs, { ttlMs: MINUTE_MS }),
      blockOf('20.0.0.1', nowMs, { rule: 'scan', ttlMs: 3 * MINUTE_MS }),
      blockOf('20.0.0.1', nowMs, { ...person, ttlMs: 2 * MINUTE_MS }),
    ])
    await world.settle(2.5 * MINUTE_MS)
    expect(world.waf.addresses(V4)).toEqual(['20.0.0.1/32'])
    await world.settle(MINUTE_MS)
    expect(world.waf.addresses(V4)).toEqual([])
  })

  test('a network and an address in it come and go each for itself', async () => {
    const world = bench()
    const nowMs = world.clock.now()
    await world.owner.apply([
      blockOf('20.0.0.0/24', nowMs, { ttlMs: MINUTE_MS }),
      blockOf('20.0.0.7', nowMs, { ttlMs: 3 * MINUTE_MS }),
    ])
    await world.settle()
    expect([...world.waf.addresses(V4)].sort()).toEqual(['20.0.0.0/24', '20.0.0.7/32'])
    await world.settle(2 * MINUTE_MS)
    expect(world.waf.addresses(V4)).toEqual(['20.0.0.7/32'])
  })
})

describe('the guard', () => {
  test('own NAT, an office, or whatever else is listed, is refused and told', async () => {
    const world = bench({ guarded: ['52.78.0.0/24'] })
    expect(await world.owner.apply([blockOf('52.78.0.9', world.clock.now())])).toEqual(['never_block'])
    expect(await world.owner.apply([blockOf('52.78.0.9', world.clock.now(), person)])).toEqual(['never_block'])
    expect(await world.owner.apply([blockOf('10.1.2.3', world.clock.now(), person)])).toEqual(['reserved'])
    expect(await world.owner.apply([blockOf('20.0.0.0/16', world.clock.now(), person)])).toEqual(['too_wide'])
    await world.settle()
    expect(world.waf.addresses(V4)).toEqual([])
    expect(world.told('hold_refused')).toMatchObject([
      { target: '52.78.0.9', skip_reason: 'never_block', reason: 'office' },
      { who: 'kim', skip_reason: 'never_block' },
      { skip_reason: 'reserved' },
      { skip_reason: 'too_wide' },
    ])
  })

  test('a network that a person allows while a member of it is blocked is released at once', async () => {
    const world = bench()
    await world.owner.apply([blockOf('20.0.0.7', world.clock.now())])
    await world.settle()
    await world.owner.apply([
      blockOf('20.0.0.0/24', world.clock.now(), { type: 'allow', ...person, ttlMs: 60 * MINUTE_MS }),
    ])
    await world.settle(2_000)
    expect(world.waf.addresses(V4)).toEqual([])
    expect(world.told('hold_released')).toMatchObject([{ target: '20.0.0.7', who: 'kim' }])
    expect(await world.owner.apply([blockOf('20.0.0.7', world.clock.now())])).toEqual(['allowed_by_person'])
    await world.settle(61 * MINUTE_MS)
    expect(await world.owner.apply([blockOf('20.0.0.7', world.clock.now())])).toEqual(['created'])
  })
})

test('a hold on what was added to the never-block list is released at once', async () => {
  const world = bench()
  await world.owner.apply([blockOf('20.0.0.7', world.clock.now())])
  await world.settle()
  world.neverBlock.guard = new Guard([{ name: 'new office', cidrs: [parseCidr('20.0.0.0/24')!] }])
  await world.settle(2_000)
  expect(world.waf.addresses(V4)).toEqual([])
  expect(world.told('hold_released')).toMatchObject([{ reason: 'never block: new office' }])
})

describe('time', () => {
  test('a clock that goes back an hour releases nobody early and blocks nobody for ever', async () => {
    const world = bench()
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now(), { ttlMs: 10 * MINUTE_MS })])
    await world.settle()
    const now = world.clock.now.bind(world.clock)
    world.clock.now = () => now() - 60 * MINUTE_MS
    await world.settle(MINUTE_MS)
    expect(world.waf.addresses(V4)).toEqual(['20.0.0.1/32'])
    await world.owner.apply([blockOf('20.0.0.2', world.clock.now(), { ttlMs: MINUTE_MS })])
    await world.settle(2 * MINUTE_MS)
    expect(world.waf.addresses(V4)).toEqual(['20.0.0.1/32'])
    world.clock.now = now
    await world.settle(8 * MINUTE_MS)
    expect(world.waf.addresses(V4)).toEqual([])
  })

  test('100,000 proposals within a minute trip the budget: as many blocks as it allows, one alarm, and a person goes on', async () => {
    const world = bench({ limits: { minuteMax: 60 } })
    for (let slice = 0; slice < 200; slice++) {
      const nowMs = world.clock.now()
      await world.owner.apply(Array.from({ length: 500 }, (_, n) => blockOf(address(slice * 500 + n), nowMs)))
    }
    await world.settle()
    expect(world.waf.addresses(V4)).toHaveLength(60)
    expect(world.told('budget_tripped')).toHaveLength(1)
    // Whoever attacks can bring this about: it is asked, and makes nothing unready.
    expect(world.asked).toContain('haetae decisions resume')
    expect(world.pausedBy).toBeUndefined()
    await world.restart()
    await world.settle(MINUTE_MS)
    const later = (): readonly [ReturnType<typeof blockOf>] => [blockOf('30.0.0.1', world.clock.now())]
    expect(await world.owner.apply(later())).toEqual(['budget'])
    expect(await world.owner.apply([blockOf('30.0.0.9', world.clock.now(), { ...person, ttlMs: MINUTE_MS })])).toEqual([
      'created',
    ])
    const resume = { type: 'resume', target: { type: 'budget', value: 'blocks' }, ...person } as const
    expect(await world.owner.apply([blockOf('30.0.0.1', world.clock.now(), resume)])).toEqual(['resumed'])
    expect(await world.owner.apply(later())).toEqual(['created'])
    expect(world.told('budget_resumed')).toMatchObject([{ who: 'kim' }])
    await world.settle(MINUTE_MS)
    expect(world.asked).toBeUndefined()
  })
})
