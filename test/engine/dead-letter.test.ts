import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DeadLetter } from '../../engine/contract.ts'
import { deadLetterOf, decodeDeadLetter, encodeDeadLetter, OVERSIZE_KEPT_BYTES } from '../../engine/dead-letter.ts'
import { eventOf } from '../support/deps.ts'

const todayMs = Date.UTC(2026, 10, 24, 12)

function letterOf(text: string, over: Partial<DeadLetter> = {}): DeadLetter {
  const origin = { stream: 'events.waf/1', position: 5n }
  return { ...deadLetterOf(eventOf(text, 'waf', origin), 'waf', 'parse-waf', 'not_json: at 0', todayMs), ...over }
}

describe('a dead letter', () => {
  test('keeps the original bytes of any record through its line, and everything else about it', () => {
    const origin = fc.option(fc.record({ stream: fc.string(), position: fc.bigInt({ min: 0n, max: 2n ** 63n }) }), {
      nil: undefined,
    })
    const text = fc.string({ unit: 'binary' })
    fc.assert(
      fc.property(fc.uint8Array(), origin, text, text, (bytes, from, stage, reason) => {
        const letter = letterOf('x', { raw: Buffer.from(bytes), origin: from, stage, reason })
        const line = encodeDeadLetter(letter)
        expect(decodeDeadLetter(line)).toEqual(letter)
        // Every character that one reader or another takes for the end of a line.
        expect(line).not.toMatch(/[\n\r\u2028\u2029\u0085]/)
      }),
    )
  })

  test('of an oversize record keeps the first 64 KiB; of any other all of it', () => {
    const event = eventOf(Buffer.alloc(300_000, 'x'))
    expect(deadLetterOf(event, 'p', 's', 'oversize: 300000 bytes', 0).raw).toHaveLength(OVERSIZE_KEPT_BYTES)
    expect(deadLetterOf(event, 'p', 's', 'not_json', 0).raw).toHaveLength(300_000)
  })

  test('has a reason of bounded length', () => {
    expect(deadLetterOf(eventOf('x'), 'p', 's', 'y'.repeat(100_000), 0).reason).toHaveLength(2000)
  })

  const whole = encodeDeadLetter(letterOf('x'))
  test.each([
    '',
    'not json',
    '{}',
    '[]',
    'null',
    whole.slice(0, -1),
    whole.replace('"waf"', '"other"'),
    whole.replace('"id"', '"__proto__"'),
    whole.replace('"position":"5"', '"position":"five"'),
    whole.replace('"position":"5"', '"position":5'),
    whole.replace(/"time":"[^"]*"/, '"time":"yesterday"'),
    whole.replace('{', '{"more":1,'),
  ])('is not made of the foreign line %j', text => {
    expect(decodeDeadLetter(text)).toBeUndefined()
  })
})
