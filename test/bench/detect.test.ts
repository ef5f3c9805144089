import { expect, test } from 'vitest'
import { report, run } from '../../bench/detect.ts'

test('the shipped rules find every planted attack of a made-up day, and ask to block nobody else', {
  timeout: 240_000,
}, async () => {
  const { records, found } = await run(40_000, 31)
  const { episodes, blockedBenign, blockedHostile, precision } = report(records, found)
  expect(episodes.filter(({ hostile, alerts }) => hostile && alerts === 0).map(({ name }) => name)).toEqual([])
  expect(episodes.filter(({ hostile, blocked }) => !hostile && blocked > 0).map(({ name }) => name)).toEqual([])
  expect(blockedBenign).toEqual([])
  expect(blockedHostile).toBeGreaterThan(10)
  expect(precision).toBeGreaterThan(0.99)
})
