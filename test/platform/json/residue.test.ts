import { describe, expect, it } from 'vitest'
import {
  isObject,
  left,
  objectAt,
  objectsAt,
  present,
  takeBoolean,
  takeInteger,
  takeNumber,
  takeText,
  takeTexts,
} from '../../../platform/json/residue.ts'
import type { JsonObject } from '../../../platform/ocsf/event.ts'

describe('taking', () => {
  it('removes what has the right type and leaves the rest', () => {
    const record: JsonObject = { text: 'a', empty: '', number: 1.5, flag: false, wrong: { deep: 1 }, nothing: null }
    expect(takeText(record, 'text')).toBe('a')
    expect(takeText(record, 'empty')).toBeUndefined()
    expect(takeText(record, 'number')).toBeUndefined()
    expect(takeText(record, 'absent')).toBeUndefined()
    expect(takeNumber(record, 'number')).toBe(1.5)
    expect(takeNumber(record, 'wrong')).toBeUndefined()
    expect(takeBoolean(record, 'flag')).toBe(false)
    expect(record).toEqual({ empty: '', wrong: { deep: 1 }, nothing: null })
  })

  it.each([
    [7, 7],
    ['7', 7],
    ['-1', undefined],
    [-1, undefined],
    [11, undefined],
    ['', undefined],
    ['7x', undefined],
    [' 7', undefined],
    ['9'.repeat(40), undefined],
    [7.5, undefined],
    [null, undefined],
    [[7], undefined],
  ])('an integer from 0 to 10 of %j is %s', (value, expected) => {
    const record: JsonObject = { n: value }
    expect(takeInteger(record, 'n', 0, 10)).toBe(expected)
    expect('n' in record).toBe(expected === undefined)
  })

  it('takes a list of texts only if it is nothing else', () => {
    const record: JsonObject = { good: ['a', '', 'b'], mixed: ['a', 1], none: 'a' }
    expect(takeTexts(record, 'good')).toEqual(['a', 'b'])
    expect(takeTexts(record, 'mixed')).toEqual([])
    expect(takeTexts(record, 'none')).toEqual([])
    expect(record).toEqual({ mixed: ['a', 1], none: 'a' })
  })

  it('finds objects and lists of objects without taking them', () => {
    const record: JsonObject = { one: { a: 1 }, many: [{ b: 2 }, 'x', null], text: 'a' }
    expect(objectAt(record, 'one')).toBe(record['one'])
    expect(objectAt(record, 'many')).toEqual({})
    expect(objectsAt(record, 'many')).toEqual([{ b: 2 }])
    expect(objectsAt(record, 'one')).toEqual([{ a: 1 }])
    expect(objectsAt(record, 'text')).toEqual([])
    expect([isObject(undefined), isObject(null), isObject([]), isObject({})]).toEqual([false, false, false, true])
  })
})

describe('what is left', () => {
  it('has no nulls, empty texts, lists or objects, at any depth', () => {
    expect(left({ a: null, b: '', c: [], d: {}, e: [null, { f: [] }, 0, false], g: { h: { i: '' }, j: 'k' } })).toEqual(
      {
        e: [0, false],
        g: { j: 'k' },
      },
    )
    expect(left({ a: { b: [null] } })).toBeUndefined()
    expect([left(undefined), left(null), left('')]).toEqual([undefined, undefined, undefined])
  })

  it('fields that are present are those with a value', () => {
    expect(present({ a: undefined, b: [], c: {}, d: 0, e: false, f: '', g: null, h: [0] })).toEqual({
      d: 0,
      e: false,
      f: '',
      g: null,
      h: [0],
    })
    expect(present({ a: undefined })).toBeUndefined()
  })
})
