import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { cureOf, type ErrorCode, errorCodes, HaetaeError, isForAPerson } from '../../platform/errors.ts'

const codes = Object.keys(errorCodes) as ErrorCode[]

describe('what mends an error', () => {
  test.each(codes)('%s is said by its code alone', code => {
    const error = new HaetaeError(code, 'any')
    expect(cureOf(error)).toBe(errorCodes[code].cure)
    expect(isForAPerson(error)).toBe(errorCodes[code].cure === 'person')
  })

  test('is time for what is not ours, whatever was thrown', () => {
    for (const thrown of [new Error('connect ECONNREFUSED'), 'text', undefined]) expect(cureOf(thrown)).toBe('wait')
  })

  test('docs/errors.md names those that only a person can mend, and no other', () => {
    const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
    const [, list = ''] = /and `\/readyz` says why: ([^.]*)\./.exec(page) ?? []
    const named = [...list.matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code)
    expect(named).toEqual(codes.filter(code => errorCodes[code].cure === 'person'))
  })
})
