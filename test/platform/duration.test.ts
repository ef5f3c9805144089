import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatDuration, parseDuration } from '../../platform/duration.ts'

test.each([
  ['90s', 90_000],
  ['30m', 1_800_000],
  ['4h', 14_400_000],
  ['7d', 604_800_000],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text, '--ttl')).toBe(ms)
})

test.each(['', '4', 'h', '0h', '-4h', '4.5h', '4h30m', '4 h', '9999999h'])(
  '"%s" is refused with how to write it',
  text => {
    expect(() => parseDuration(text, '--ttl')).toThrow('such as 30m, 4h or 7d')
  },
)

test('what is shown is never longer than what it is, and less than a unit off', () => {
  expect(formatDuration(0)).toBe('0s')
  expect(formatDuration(93_784_000)).toBe('1d 2h')
  fc.assert(
    fc.property(fc.integer({ min: 1_000, max: 1e10 }), ms => {
      const shown = formatDuration(ms)
        .split(' ')
        .reduce((sum, part) => sum + parseDuration(part, ''), 0)
      expect(Math.abs(shown - ms)).toBeLessThan(3_600_000)
    }),
  )
})
