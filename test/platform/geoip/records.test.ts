import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { continentOf } from '../../../platform/geoip/continents.ts'
import type { MmdbValue } from '../../../platform/geoip/mmdb-decoder.ts'
import { toAutonomousSystem, toLocation } from '../../../platform/geoip/records.ts'

const linkoping = {
  city: { geoname_id: 2694762, names: { de: 'Linköping', en: 'Linköping' } },
  continent: { code: 'EU', names: { en: 'Europe' } },
  country: { iso_code: 'SE', names: { en: 'Sweden' } },
  location: { accuracy_radius: 76, latitude: 58.4167, longitude: 15.6167, time_zone: 'Europe/Stockholm' },
  postal: { code: '582 22' },
  registered_country: { iso_code: 'DE' },
  subdivisions: [{ iso_code: 'E', names: { en: 'Östergötland County' } }, { iso_code: 'X' }],
}

describe('the location of a record', () => {
  it('in the nested layout of MaxMind', () => {
    expect(toLocation(linkoping)).toEqual({
      country: 'SE',
      region: 'SE-E',
      city: 'Linköping',
      continent: 'Europe',
      postal_code: '582 22',
      lat: 58.4167,
      long: 15.6167,
      geo: { lat: 58.4167, lon: 15.6167 },
    })
  })

  it('in the flat layout of ip-location-db, with the continent of the country', () => {
    const record = {
      country_code: 'KR',
      state1: 'Gyeonggi-do',
      state2: '',
      city: 'Seongnam-si',
      postcode: '',
      latitude: 37.39619827270508,
      longitude: 127.11199951171875,
      timezone: '',
    }
    expect(toLocation(record)).toEqual({
      country: 'KR',
      region: 'Gyeonggi-do',
      city: 'Seongnam-si',
      continent: 'Asia',
      lat: 37.3962,
      long: 127.112,
      geo: { lat: 37.3962, lon: 127.112 },
    })
  })

  it.each<[string, MmdbValue, unknown]>([
    ['a country alone', { country: { iso_code: 'BT' } }, { country: 'BT', continent: 'Asia' }],
    ['a flat country alone', { country_code: 'BT' }, { country: 'BT', continent: 'Asia' }],
    ['the registered country only: the place is not known', { registered_country: { iso_code: 'US' } }, undefined],
    ['a continent alone', { continent: { code: 'EU', names: { en: 'Europe' } } }, { continent: 'Europe' }],
    [
      'a subdivision without a code',
      { country: { iso_code: 'GB' }, subdivisions: [{ names: { en: 'England' } }] },
      { country: 'GB', continent: 'Europe', region: 'England' },
    ],
    [
      '0,0 as coordinates',
      { country_code: 'US', latitude: 0, longitude: 0 },
      { country: 'US', continent: 'North America' },
    ],
    [
      'coordinates out of range',
      { country_code: 'US', latitude: 91, longitude: 5 },
      { country: 'US', continent: 'North America' },
    ],
    [
      'NaN as coordinates',
      { country_code: 'US', latitude: Number.NaN, longitude: 5 },
      { country: 'US', continent: 'North America' },
    ],
    ['one coordinate', { country_code: 'US', latitude: 5 }, { country: 'US', continent: 'North America' }],
    ['the equator', { latitude: 0, longitude: 9.5 }, { lat: 0, long: 9.5, geo: { lat: 0, lon: 9.5 } }],
    ['a word as country code', { country_code: 'Sweden' }, undefined],
    [
      'strings where objects are expected',
      { city: 'Seoul', country: 'KR', location: 'x', subdivisions: 'x', postal: 5 },
      undefined,
    ],
    [
      'lists where objects are expected',
      { city: ['x'], country: [{ iso_code: 'KR' }], subdivisions: [['x']] },
      undefined,
    ],
    ['nothing', {}, undefined],
    [
      'a text that is far too long',
      { country_code: 'KR', city: 'x'.repeat(300) },
      { country: 'KR', continent: 'Asia' },
    ],
    ['what MaxMind test files hold', { ip: 'test' }, undefined],
    ['a string', 'x', undefined],
    ['a list', [linkoping], undefined],
    ['bytes', Buffer.from('x'), undefined],
  ])('of %s', (_, record, expected) => {
    expect(toLocation(record)).toEqual(expected)
  })
})

describe('the autonomous system of a record', () => {
  it.each<[MmdbValue, unknown]>([
    [
      { autonomous_system_number: 29518, autonomous_system_organization: 'Bredband2 AB' },
      { number: 29518, name: 'Bredband2 AB' },
    ],
    [{ autonomous_system_number: 209 }, { number: 209 }],
    [{ autonomous_system_number: 209, autonomous_system_organization: '' }, { number: 209 }],
    [{ autonomous_system_number: 0, autonomous_system_organization: 'x' }, undefined],
    [{ autonomous_system_organization: 'x' }, undefined],
    [{ autonomous_system_number: '209' }, undefined],
    [linkoping, undefined],
    [7, undefined],
  ])('%j is %j', (record, expected) => {
    expect(toAutonomousSystem(record)).toEqual(expected)
  })
})

it('any value gives an answer with known fields of the right types, or none', () => {
  const key = fc.constantFrom(
    'country',
    'iso_code',
    'city',
    'names',
    'en',
    'location',
    'latitude',
    'longitude',
    'subdivisions',
    'country_code',
    'state1',
  )
  const leaf = fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.bigInt(), fc.constantFrom('KR', 'Seoul'))
  const { value } = fc.letrec(tie => ({
    value: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 5 }),
    ),
  }))
  const types: Record<string, string> = { lat: 'number', long: 'number', geo: 'object' }
  fc.assert(
    fc.property(value, record => {
      toAutonomousSystem(record as MmdbValue)
      for (const [name, found] of Object.entries(toLocation(record as MmdbValue) ?? {})) {
        expect(['country', 'region', 'city', 'continent', 'postal_code', 'lat', 'long', 'geo']).toContain(name)
        expect(typeof found).toBe(types[name] ?? 'string')
      }
    }),
    { numRuns: 2000 },
  )
})

it('every country has one continent', () => {
  for (const [country, continent] of [
    ['KR', 'Asia'],
    ['EG', 'Africa'],
    ['RU', 'Europe'],
    ['US', 'North America'],
    ['BR', 'South America'],
    ['AU', 'Oceania'],
    ['AQ', 'Antarctica'],
  ] as const) {
    expect(continentOf(country)).toBe(continent)
  }
  expect(continentOf('ZZ')).toBeUndefined()
  expect(continentOf('constructor')).toBeUndefined()
})
