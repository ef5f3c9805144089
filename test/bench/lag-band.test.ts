import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { backSince, bandOf, type LagSample, steadyBand } from '../../bench/lag-band.ts'

/** One sample a second. */
const lags = (...records: readonly number[]): LagSample[] =>
  records.map((each, at) => ({ atMs: at * 1_000, records: each }))

describe('the band of what is ordinary', () => {
  test('is the median and the most of the time asked for, and of nothing before it', () => {
    expect(bandOf(lags(900, 10, 30, 20), 2_000)).toEqual({ median: 20, most: 30 })
  })

  test('is not known before that time has passed', () => {
    expect(bandOf([], 1_000)).toBeUndefined()
    expect(bandOf(lags(10, 20), 2_000)).toBeUndefined()
  })

  test('a backlog that is still worked off is none, and a lag that grows is none', () => {
    expect(steadyBand(lags(100, 80, 60, 40, 20), 4_000)).toBeUndefined()
    expect(steadyBand(lags(20, 40, 60, 80, 100), 4_000)).toBeUndefined()
  })

  test('a lag that goes up and down with the commits is one', () => {
    expect(steadyBand(lags(10, 20, 10, 20, 10, 20, 10, 20, 10), 8_000)).toEqual({ median: 10, most: 20 })
    expect(steadyBand(lags(0, 0, 0, 0, 0), 4_000)).toEqual({ median: 0, most: 0 })
  })
})

describe('the lag is ordinary again', () => {
  test('from the first of the samples that stay within the band for long enough', () => {
    expect(backSince(lags(50, 90, 20, 20, 20), 20, 2_000)).toBe(2_000)
  })

  test('not while it comes back for a moment only', () => {
    expect(backSince(lags(50, 10, 60, 10, 10), 20, 2_000)).toBeUndefined()
    expect(backSince(lags(50, 10, 60, 10, 10, 10), 20, 2_000)).toBe(3_000)
  })

  test('never before its last sample outside the band that is followed by a shorter stay', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(100), { maxLength: 40 }),
        fc.nat(100),
        fc.integer({ min: 1, max: 5 }),
        (all, most, stays) => {
          const since = backSince(lags(...all), most, stays * 1_000)
          const runs = all.map((_, at) => all.slice(at, at + stays + 1))
          const first = runs.findIndex(run => run.length === stays + 1 && run.every(each => each <= most))
          expect(since).toBe(first < 0 ? undefined : first * 1_000)
        },
      ),
    )
  })
})
