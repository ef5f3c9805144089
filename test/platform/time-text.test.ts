import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTimeMs } from '../../platform/time-text.ts'

const NOON_MS = Date.UTC(2026, 10, 23, 12, 34, 56, 789)

describe('times', () => {
  it.each([
    '2026-11-23T12:34:56.789Z',
    '2026-11-23t12:34:56.789z',
    '2026-11-23T12:34:56.789999999Z',
    '2026-11-23T12:34:56.7890000000000Z',
    '2026-11-23T12:34:56.789+0000',
    '2026-11-23T12:34:56.789+00:00',
    '2026-11-23T21:34:56.789+09:00',
    '2026-11-23T04:04:56.789-0830',
    '2026-11-23 12:34:56.789',
    '2026-11-23 12:34:56.789 +0000',
    '2026-11-24T00:34:56.789+12:00',
  ])('%s', text => {
    expect(parseTimeMs(text)).toBe(NOON_MS)
  })

  it('short fractions count from the left', () => {
    expect(parseTimeMs('2026-11-23T12:34:56.7Z')).toBe(NOON_MS - 89)
    expect(parseTimeMs('2026-11-23T12:34:56Z')).toBe(NOON_MS - 789)
  })

  it('a leap second is the second after', () => {
    expect(parseTimeMs('2016-12-31T23:59:60Z')).toBe(Date.UTC(2017, 0, 1))
  })

  it.each([
    '',
    '2026-11-23',
    '2026-11-23T12:34Z',
    '2026-02-30T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-11-23T24:00:00Z',
    '2026-11-23T12:60:00Z',
    '2026-11-23T12:34:61Z',
    '2026-11-23T12:34:56Z+2',
    '2026-11-23T12:34:56+9',
    '1763870400',
    'yesterday',
    `2026-11-23T12:34:56.${'0'.repeat(100)}Z`,
    ' 2026-11-23T12:34:56Z',
    '２０２６-11-23T12:34:56Z',
  ])('%s is none', text => {
    expect(parseTimeMs(text)).toBeUndefined()
  })

  it('what Date writes, it reads', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('1970-01-01'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
        date => {
          expect(parseTimeMs(date.toISOString())).toBe(date.getTime())
        },
      ),
    )
  })
})
