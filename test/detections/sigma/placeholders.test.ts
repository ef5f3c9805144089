import { describe, expect, test } from 'vitest'
import { Matcher } from '../../../detections/sigma/matcher.ts'
import { expanded } from '../../../detections/sigma/placeholders.ts'
import { parseRule } from '../../../detections/sigma/rule.ts'
import { document, httpEvent } from '../../support/sigma.ts'

describe('placeholders', () => {
  test('stand for each of their texts, also several in one value', () => {
    const values = { a: ['1', '2'], b: ['x', 'y'] }
    expect(expanded('plain', values)).toEqual(['plain'])
    expect(expanded('/%a%/%b%', values)).toEqual(['/1/x', '/1/y', '/2/x', '/2/y'])
  })

  test('may hold what looks like a placeholder or a replacement: it is taken as it is', () => {
    expect(expanded('%a%', { a: ['$&$1', '%a%'] })).toEqual(['$&$1', '%a%'])
  })

  test('without values, or with too many, are refused', () => {
    expect(() => expanded('%nobody%', {})).toThrow(/no values for %nobody%/)
    expect(() => expanded('%constructor%', {})).toThrow(/no values/)
    const many = Array.from({ length: 40 }, (_, n) => String(n))
    expect(() => expanded('%a%%a%', { a: many })).toThrow(/more than 1000/)
  })

  test('of a rule have the values that its detector is given, else those that come with Haetae', () => {
    const detection = { selection: { 'cs-uri-stem|expand': '%login_paths%' }, condition: 'selection' }
    const matches = (path: string, values?: Record<string, string[]>): boolean =>
      new Matcher([parseRule('a.yml', document(detection), values)]).match(httpEvent({ path })).length === 1
    expect([matches('/login'), matches('/session')]).toEqual([true, false])
    const own = { login_paths: ['/session'] }
    expect([matches('/login', own), matches('/session', own)]).toEqual([false, true])
  })
})
