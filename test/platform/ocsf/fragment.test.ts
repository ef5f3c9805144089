import { describe, expect, test } from 'vitest'
import { fragment, renderFragment } from '../../../platform/ocsf/fragment.ts'

describe('fragment', () => {
  test('is the same object, frozen through and through', () => {
    const place = { country: 'KR', geo: { lat: 37.57, lon: 126.98 } }
    expect(fragment(place)).toBe(place)
    expect(() => Object.assign(place, { country: 'US' })).toThrow(TypeError)
    expect(() => Object.assign(place.geo, { lat: 0 })).toThrow(TypeError)
  })

  test('carries its JSON as one character per UTF-8 byte', () => {
    const place = fragment({ country: 'KR', city: '서울', desc: '"\n\u2028' })
    const bytes = Buffer.from(renderFragment(place)!, 'latin1')
    expect(bytes.toString('utf8')).toBe(JSON.stringify(place))
  })

  test('looks like a plain object to every reader', () => {
    const place = fragment({ country: 'KR' })
    expect(place).toEqual({ country: 'KR' })
    expect(Object.keys(place)).toEqual(['country'])
    expect(JSON.stringify(place)).toBe('{"country":"KR"}')
  })

  test('a copy is an ordinary object again', () => {
    const place = fragment({ country: 'KR', city: 'Seoul' })
    expect(renderFragment({ ...place, city: 'Busan' })).toBeUndefined()
    expect(renderFragment(structuredClone(place))).toBeUndefined()
    expect(renderFragment({})).toBeUndefined()
  })

  test('inherits nothing from an object that is a fragment', () => {
    expect(renderFragment(Object.assign(Object.create(null), { country: 'KR' }))).toBeUndefined()
    expect(fragment(fragment({ country: 'KR' }))).toEqual({ country: 'KR' })
  })
})
