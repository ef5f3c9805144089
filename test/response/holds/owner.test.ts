/** Deaths, lost answers and refusals between the ledger and a WAFv2 that is as strict as AWS's. */

import { describe, expect, test } from 'vitest'
import { benchesOfTests, blockOf, crowd } from '../../support/owner.ts'

const MINUTE_MS = 60_000
const V4 = 'haetae-block-v4'

const bench = benchesOfTests()

describe('restarts and lost answers', () => {
  test('a restart never empties the set', async () => {
    const world = bench()
    await world.owner.apply(crowd(world, 50))
    await world.settle()
    const writes = world.waf.calls.update
    await world.restart()
    await world.settle(MINUTE_MS)
    expect(world.waf.addresses(V4)).toHaveLength(50)
    expect(world.waf.calls.update).toBe(writes)
  })

  test('killed between ledger and WAF write, the block is made by the next process', async () => {
    const world = bench()
    await world.settle(1_000)
    world.waf.fate = operation => (operation === 'update' ? 'request lost' : 'answered')
    await world.owner.apply(crowd(world, 3))
    await world.clock.advance(10)
    await world.stop()
    world.waf.fate = () => 'answered'
    await world.restart()
    await world.settle()
    expect(world.waf.addresses(V4)).toHaveLength(3)
    expect(world.told('waf_written')).toHaveLength(3)
  })

  test('killed before the answer came, the next process knows the block as ours and lets it go in time', async () => {
    const world = bench()
    await world.settle(1_000)
    world.waf.fate = operation => (operation === 'update' ? 'answer lost' : 'answered')
    await world.owner.apply(crowd(world, 3, { ttlMs: 2 * MINUTE_MS }))
    await world.clock.advance(10)
    await world.stop()
    expect(world.waf.addresses(V4)).toHaveLength(3)
    world.waf.fate = () => 'answered'
    await world.clock.advance(5 * MINUTE_MS)
    await world.restart()
    await world.settle()
    expect(world.waf.addresses(V4)).toEqual([])
    expect(world.told('waf_removed')).toHaveLength(3)
    expect(world.told('hold_expired')).toHaveLength(3)
  })

  test('refused credentials pause, say so once, and blocks follow when they are mended', async () => {
    const world = bench()
    const get = world.waf.getIPSet
    world.waf.getIPSet = () =>
      Promise.reject(Object.assign(new Error('not authorized'), { name: 'AccessDeniedException' }))
    await world.owner.apply(crowd(world, 1))
    await world.settle(3 * MINUTE_MS)
    expect(world.pausedBy).toContain('AccessDeniedException')
    expect(world.told('waf_failed')).toHaveLength(1)
    world.waf.getIPSet = get
    await world.settle(MINUTE_MS)
    expect(world.waf.addresses(V4)).toHaveLength(1)
    expect(world.pausedBy).toBeUndefined()
  })

  test('an unreadable ledger means no write at all', async () => {
    const world = bench()
    await world.owner.apply(crowd(world, 2))
    await world.settle()
    await world.stop()
    await world.topics.append('holds', [{ key: 'x', value: Buffer.from('{"uid":"x"}'), timeMs: 0 }])
    const writes = world.waf.calls.update
    await world.restart()
    await world.settle(5 * MINUTE_MS)
    expect(world.waf.calls.update).toBe(writes)
    expect(world.waf.addresses(V4)).toHaveLength(2)
    expect(world.pausedBy).toContain('cannot be read')
    await expect(world.owner.apply(crowd(world, 1))).rejects.toMatchObject({ code: 'TOPIC_CORRUPT' })
    await world.topics.append('holds', [{ key: 'x', value: null, timeMs: 0 }])
    await world.settle(MINUTE_MS)
    expect(world.pausedBy).toBeUndefined()
  })

  test('after the revocation not one write more', async () => {
    const world = bench()
    await world.settle(1_000)
    const appended = world.topics.appended.length
    world.owner.revoke()
    await expect(world.owner.apply(crowd(world, 5))).rejects.toMatchObject({ code: 'STREAM_REVOKED' })
    await world.settle(MINUTE_MS)
    expect(world.topics.appended.length).toBe(appended)
    expect(world.waf.calls.update).toBe(0)
  })
})

test('from the arrival of the record to the acknowledged block: the time is measured, and told', async () => {
  const world = bench()
  await world.settle(2_000)
  const receivedMs = world.clock.now() - 400
  await world.owner.apply([blockOf('20.0.0.1', world.clock.now(), { receivedMs })])
  await world.clock.advance(1)
  expect(world.waf.addresses(V4)).toEqual(['20.0.0.1/32'])
  expect(world.told('waf_written')).toMatchObject([{ latency_ms: 400, place: 'regional/ap-northeast-2', ip_set: V4 }])
  expect(await world.metrics.expose()).toContain(
    'haetae_block_latency_ms_sum{pipeline="block",place="regional/ap-northeast-2"} 400',
  )
})
