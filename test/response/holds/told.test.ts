import { describe, expect, test } from 'vitest'
import { address, benchesOfTests, blockOf } from '../../support/owner.ts'

const MINUTE_MS = 60_000
const bench = benchesOfTests()

describe('people are told through the audit', () => {
  test('that the WAF does not answer, once that has lasted a minute, and that it does again', async () => {
    const world = bench()
    world.waf.fate = () => 'request lost'
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now())])
    await world.settle(MINUTE_MS / 2)
    expect(world.told('waf_failed')).toEqual([])
    await world.settle(10 * MINUTE_MS)
    expect(world.told('waf_failed')).toMatchObject([{ skip_reason: 'unknown', place: 'regional/ap-northeast-2' }])
    world.waf.fate = () => 'answered'
    await world.settle(MINUTE_MS)
    expect(world.told('waf_recovered')).toMatchObject([{ place: 'regional/ap-northeast-2' }])
    await world.settle(10 * MINUTE_MS)
    expect(world.told('waf_recovered')).toHaveLength(1)
  })

  test('once, though IP sets can be read while no write is let through', async () => {
    const world = bench()
    world.waf.fate = operation => (operation === 'update' ? 'throttled' : 'answered')
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now())])
    await world.settle(30 * MINUTE_MS)
    expect(world.told('waf_failed')).toHaveLength(1)
    expect(world.told('waf_recovered')).toEqual([])
    world.waf.fate = () => 'answered'
    await world.settle(MINUTE_MS)
    expect(world.told('waf_recovered')).toHaveLength(1)
  })

  test('nothing of what mends itself within a minute', async () => {
    const world = bench()
    world.waf.fate = () => 'throttled'
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now())])
    await world.settle(20_000)
    world.waf.fate = () => 'answered'
    await world.settle(2 * MINUTE_MS)
    expect([...world.told('waf_failed'), ...world.told('waf_recovered')]).toEqual([])
    expect(world.told('waf_written')).toHaveLength(1)
  })

  test('that there is no room for an address, and that there is when somebody makes some', async () => {
    const world = bench()
    world.waf.edit('haetae-block-v4', () => Array.from({ length: 10_000 }, (_, n) => `${address(100_000 + n)}/32`))
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now())])
    await world.settle(2 * MINUTE_MS)
    expect(world.told('waf_failed')).toMatchObject([
      { skip_reason: 'full', reason: expect.stringContaining('no room') },
    ])
    world.waf.create('haetae-block-v4-2', 'IPV4')
    await world.settle(2 * MINUTE_MS)
    expect(world.told('waf_recovered')).toHaveLength(1)
    expect(world.waf.addresses('haetae-block-v4-2')).toEqual(['20.0.0.1/32'])
  })

  test('that there is no IP set at all, as soon as somebody is to be blocked', async () => {
    const world = bench({ sets: [] })
    await world.settle(2 * MINUTE_MS)
    expect(world.told('waf_failed')).toEqual([])
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now())])
    await world.settle(2 * MINUTE_MS)
    expect(world.told('waf_failed')).toMatchObject([{ skip_reason: 'no_sets' }])
  })

  test('that a person let an address go, and how long after he asked', async () => {
    const world = bench()
    await world.owner.apply([blockOf('20.0.0.1', world.clock.now())])
    await world.settle()
    const asked = world.clock.now() - 400
    await world.owner.apply([blockOf('20.0.0.1', asked, { type: 'release', who: 'kim', source: 'slack', time: asked })])
    await world.settle()
    expect(world.told('hold_released')).toMatchObject([{ who: 'kim', latency_ms: 400 }])
    expect(world.told('waf_removed')).toMatchObject([{ target: '20.0.0.1' }])
  })
})
