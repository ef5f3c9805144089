import { expect, test } from 'vitest'
import { createMetrics } from '../../../platform/metrics.ts'
import { Limiter, type Slot } from '../../../sinks/opensearch/limiter.ts'

const never = new AbortController().signal
const limiter = (max: number): Limiter => new Limiter(max, createMetrics().gauge('haetae_limit', 'test'))

async function fill(of: Limiter, count: number): Promise<Slot[]> {
  const slots: Slot[] = []
  for (let at = 0; at < count; at++) slots.push((await of.enter(never))!)
  return slots
}

/** A full round, each request going well. */
async function goodRound(of: Limiter): Promise<void> {
  for (const slot of await fill(of, of.limit)) slot.leave('ok')
}

test('begins with one request at once and grows by about one a round, never over the maximum', async () => {
  const under = limiter(3)
  const limits: number[] = []
  for (let round = 0; round < 12; round++) {
    limits.push(under.limit)
    await goodRound(under)
  }
  expect(limits[0]).toBe(1)
  expect(limits.at(-1)).toBe(3)
  for (const [at, limit] of limits.entries()) expect(limit - (limits[at - 1] ?? 1)).toBeLessThanOrEqual(1)
})

test('does not grow while its slots are not used', async () => {
  const under = limiter(8)
  for (let round = 0; round < 4; round++) await goodRound(under)
  const reached = under.limit
  for (let at = 0; at < 50; at++) (await fill(under, 1))[0]!.leave('ok')
  expect(reached).toBeGreaterThan(1)
  expect(under.limit).toBe(reached)
})

test('push-back halves it once, however many requests of that round are pushed back', async () => {
  const under = limiter(8)
  for (let round = 0; round < 40; round++) await goodRound(under)
  expect(under.limit).toBe(8)
  for (const slot of await fill(under, 8)) slot.leave('pushback')
  expect(under.limit).toBe(4)
  for (const slot of await fill(under, 1)) slot.leave('slow')
  expect(under.limit).toBe(3)
  for (const slot of await fill(under, 1)) slot.leave('neutral')
  expect(under.limit).toBe(3)
})

test('one request at once is the least, however long the server pushes back', async () => {
  const under = limiter(4)
  for (let at = 0; at < 20; at++) (await fill(under, 1))[0]!.leave('pushback')
  expect(under.limit).toBe(1)
})

test('who waits for a slot gets it in turn, and one that gives up waiting gets none', async () => {
  const under = limiter(1)
  const [held] = await fill(under, 1)
  const gaveUp = new AbortController()
  const first = under.enter(gaveUp.signal)
  const second = under.enter(never)
  gaveUp.abort()
  expect(await first).toBeUndefined()
  held!.leave('ok')
  const granted = await second
  expect(under.limit).toBe(1)
  // It holds the one slot: the next waits until this one is given back.
  const third = under.enter(never)
  granted!.leave('ok')
  expect(await third).toHaveProperty('leave')
})
