import { expect, test } from 'vitest'
import { report, run } from '../../bench/detect.ts'

test('the shipped rules find every planted attack of a made-up day, and ask to block nobody else', {
  timeout: 240_000,
}, async () => {
  const { records, found } = await run(40_000, 31)
  const { episodes, blockedBenign, blockedHostile, precision, recall } = report(records, found)
  expect(episodes.filter(({ hostile, alerts }) => hostile && alerts === 0).map(({ name }) => name)).toEqual([])
  expect(episodes.filter(({ hostile, blocked }) => !hostile && blocked > 0).map(({ name }) => name)).toEqual([])
  expect(blockedBenign).toEqual([])
  // Innocent people whom others make send attacks, or a thousand of whom share an address, are among them.
  expect(episodes.filter(({ hostile }) => !hostile).map(({ name }) => name)).toEqual(
    expect.arrayContaining(['hostile-page', 'baited', 'carrier', 'sale-rush', 'office', 'crawl', 'uptime']),
  )
  for (const name of ['hostile-page', 'baited'])
    expect(episodes.find(each => each.name === name)!.alerts).toBeGreaterThan(10)
  expect(blockedHostile).toBeGreaterThan(10)
  expect(recall).toBeGreaterThan(0.75)
  expect(precision).toBeGreaterThan(0.99)
})
