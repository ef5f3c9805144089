import fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoffMs, writeBackoff } from '../../platform/backoff.ts'

const attempt = fc.nat({ max: 100_000 })
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test('a wait lies between half and the whole of the doubled first wait, and never past the bound', () => {
  fc.assert(
    fc.property(attempt, random, (n, x) => {
      const ceiling = Math.min(writeBackoff.maxMs, writeBackoff.firstMs * 2 ** n)
      const waitMs = backoffMs(writeBackoff, n, () => x)
      expect(waitMs).toBeGreaterThanOrEqual(ceiling / 2)
      expect(waitMs).toBeLessThanOrEqual(ceiling)
    }),
  )
})

test('waits grow with each attempt until they reach the bound, and stay there for ever', () => {
  const waits = [...Array(40).keys()].map(n => backoffMs({ firstMs: 100, maxMs: 30_000 }, n, () => 0))
  expect(waits.slice(0, 5)).toEqual([50, 100, 200, 400, 800])
  expect(waits.toSorted((a, b) => a - b)).toEqual(waits)
  expect(new Set(waits.slice(9))).toEqual(new Set([15_000]))
})

test('writers that failed together come back spread over half of the wait', () => {
  const waits = [0, 0.25, 0.5, 0.75].map(x => backoffMs({ firstMs: 1000, maxMs: 1000 }, 3, () => x))
  expect(waits).toEqual([500, 625, 750, 875])
})
