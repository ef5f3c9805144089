import { expect, test } from 'vitest'
import { Pace } from '../../../response/waf/pace.ts'
import { FakeClock } from '../../support/clock.ts'

test('a turn that is used late moves the next one: requests arrive as far apart as the quota asks', async () => {
  const clock = new FakeClock()
  const pace = new Pace(1_000, clock)
  const { signal } = new AbortController()
  await pace.turn(signal)
  await clock.advance(600)
  pace.taken()
  let isNext = false
  const next = pace.turn(signal).then(() => {
    isNext = true
  })
  await clock.advance(999)
  expect(isNext).toBe(false)
  await clock.advance(1)
  await next
})
