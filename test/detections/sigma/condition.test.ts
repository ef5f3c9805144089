import { describe, expect, test } from 'vitest'
import { Matcher } from '../../../detections/sigma/matcher.ts'
import { httpEvent, refusalOf, ruleOf } from '../../support/sigma.ts'

/** Selections whose names say what they ask for. */
const selections = {
  a: { 'cs-user-agent|contains': 'a' },
  b: { 'cs-user-agent|contains': 'b' },
  c: { 'cs-user-agent|contains': 'c' },
  group_1: { 'cs-user-agent|contains': 'd' },
  group_2: { 'cs-user-agent|contains': 'e' },
  _hidden: { 'cs-user-agent|contains': 'z' },
}
const holds = (condition: unknown, userAgent: string): boolean =>
  new Matcher([ruleOf({ ...selections, condition })]).match(httpEvent({ userAgent })).length === 1

describe('a condition', () => {
  test.each([
    ['a', 'a', true],
    ['a and b', 'a', false],
    ['a and b', 'ab', true],
    ['a or b', 'b', true],
    ['not a', 'b', true],
    ['a or b and c', 'a', true],
    ['(a or b) and c', 'a', false],
    ['a and not b', 'ab', false],
    ['a and not (b or c)', 'ac', false],
    ['not not a', 'a', true],
    ['A AND b'.replace('A', 'a'), 'ab', true],
    ['1 of group_*', 'e', true],
    ['any of group_*', 'e', true],
    ['all of group_*', 'e', false],
    ['all of group_*', 'de', true],
    ['1 of them', 'z', false],
    ['1 of them', 'c', true],
    ['1 of _*', 'z', true],
    ['all of group_* and not 1 of _*', 'dez', false],
    ['1 of group_1', 'd', true],
    ['a and\n  b', 'ab', true],
  ])('%j of %j: %s', (condition, userAgent, wanted) => {
    expect(holds(condition, userAgent)).toBe(wanted)
  })

  test('a list holds when one of it does', () => {
    expect(holds(['a and b', 'c'], 'c')).toBe(true)
    expect(holds(['a and b', 'c'], 'b')).toBe(false)
  })

  test.each([
    ['a and', 'invalid: the condition ends'],
    ['a b', 'invalid: "b" has no place'],
    ['(a', 'invalid: a parenthesis'],
    ['a)', 'invalid: ")" has no place'],
    ['nobody', 'invalid: there is no selection "nobody"; there are: a, b, c'],
    ['1 of nobody*', 'invalid: "nobody*" is the name of no selection'],
    ['1 of', 'invalid: "1 of" what?'],
    ['2 of group_*', 'condition: "2 of"'],
    ['a | count() by c-ip > 5', 'condition: "|" counts'],
    ['a near b', 'condition: "near"'],
    ['a & b', 'invalid: nothing a condition knows at "& b"'],
    [5, 'invalid: detection.condition is a text'],
    [undefined, 'invalid: detection.condition is a text'],
    [`${'('.repeat(40)}a${')'.repeat(40)}`, 'bounds: '],
    [Array.from({ length: 300 }, () => 'a').join(' or '), 'bounds: '],
    [`1 of ${'*x'.repeat(9)}`, 'bounds: '],
  ])('%j is refused', (condition, wanted) => {
    expect(refusalOf({ ...selections, condition })).toContain(wanted)
  })

  test('a timeframe is refused: it wants a correlation', () => {
    expect(refusalOf({ ...selections, timeframe: '5m', condition: 'a' })).toContain('condition: timeframe')
  })
})

describe('a field that WAF never logs', () => {
  const known = { 'cs-uri-query|contains': '/shell' }
  const status = { 'sc-status': 200 }
  const matches = (condition: string, path: string): boolean =>
    new Matcher([ruleOf({ known, status, condition })]).match(httpEvent({ path })).length === 1

  test('does not matter where the rest decides', () => {
    expect(matches('known or status', '/shell')).toBe(true)
    expect(matches('known or status', '/home')).toBe(false)
    expect(matches('known and not (status and known) or known', '/shell')).toBe(true)
  })

  test.each(['status', 'known and status', 'known and not status', 'not (known or status)', 'all of them'])(
    'makes "%s" impossible to decide, and the rule is refused for it',
    condition => {
      expect(refusalOf({ known, status, condition })).toContain('absent: it cannot decide without sc-status')
    },
  )

  test('a selection that the condition does not name is not looked at', () => {
    expect(refusalOf({ known, nonsense: { nonsense: 1 }, condition: 'known' })).toBeUndefined()
  })
})
