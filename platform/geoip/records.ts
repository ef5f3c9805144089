import type { AutonomousSystem, Location } from '../ocsf/event.ts'
import { continentOf } from './continents.ts'
import type { MmdbMap, MmdbValue } from './mmdb-decoder.ts'

/** What a database answers about. */
export type Topic = 'city' | 'asn'
export type Layout = 'nested' | 'flat' | 'ranges'

const TEXT_LENGTH_MAX = 256

/**
 * The place a data record names, from either layout, told apart by content:
 * nested (MaxMind GeoIP2/GeoLite2 and DB-IP City, Country, Enterprise): `country.iso_code`, `subdivisions[0]`, `city.names.en` …
 * flat (ip-location-db): `country_code, state1, city, postcode, latitude, longitude`.
 * `region` is the ISO 3166-2 code when the record has one, else the subdivision's name. Coordinates are rounded to 4 decimals
 * (11 m): the databases know kilometres and store 4-byte floats. Of wrong types nothing is taken; undefined when nothing is left.
 */
export function toLocation(record: MmdbValue): Location | undefined {
  const map = asMap(record)
  if (!map) return undefined
  return layoutOf(map) === 'flat' ? flatLocation(map) : nestedLocation(map)
}

export function layoutOf(map: MmdbMap): 'nested' | 'flat' {
  return typeof map['country_code'] === 'string' || typeof map['latitude'] === 'number' ? 'flat' : 'nested'
}

function flatLocation(map: MmdbMap): Location | undefined {
  const country = countryCode(map['country_code'])
  return location({
    country,
    region: text(map['state1']),
    city: text(map['city']),
    continent: country && continentOf(country),
    postal_code: text(map['postcode']),
    point: point(map['latitude'], map['longitude']),
  })
}

function nestedLocation(map: MmdbMap): Location | undefined {
  const country = countryCode(asMap(map['country'])?.['iso_code'])
  const [first] = Array.isArray(map['subdivisions']) ? map['subdivisions'] : []
  const subdivision = asMap(first)
  const code = text(subdivision?.['iso_code'])
  const where = asMap(map['location'])
  return location({
    country,
    region: country && code ? `${country}-${code}` : englishName(subdivision),
    city: englishName(asMap(map['city'])),
    continent: englishName(asMap(map['continent'])) ?? (country && continentOf(country)),
    postal_code: text(asMap(map['postal'])?.['code']),
    point: point(where?.['latitude'], where?.['longitude']),
  })
}

interface Parts {
  readonly country: string | undefined
  readonly region: string | undefined
  readonly city: string | undefined
  readonly continent: string | undefined
  readonly postal_code: string | undefined
  readonly point: { readonly lat: number; readonly lon: number } | undefined
}

function location(parts: Parts): Location | undefined {
  const { country, region, city, continent, postal_code, point } = parts
  const found: Location = {
    ...(country && { country }),
    ...(region && { region }),
    ...(city && { city }),
    ...(continent && { continent }),
    ...(postal_code && { postal_code }),
    ...(point && { lat: point.lat, long: point.lon, geo: point }),
  }
  return Object.keys(found).length > 0 ? found : undefined
}

/** MaxMind and ip-location-db ASN records have the same two keys. A number without a name is an answer, a name alone is not. */
export function toAutonomousSystem(record: MmdbValue): AutonomousSystem | undefined {
  const map = asMap(record)
  const number = map?.['autonomous_system_number']
  if (typeof number !== 'number' || number === 0) return undefined
  const name = text(map?.['autonomous_system_organization'])
  return name ? { number, name } : { number }
}

/** 0,0 is what a database says when it does not know; nobody lives there. */
function point(latitude: MmdbValue | undefined, longitude: MmdbValue | undefined) {
  if (typeof latitude !== 'number' || typeof longitude !== 'number') return undefined
  const inRange = Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180
  if (!inRange || (latitude === 0 && longitude === 0)) return undefined
  return { lat: round4(latitude), lon: round4(longitude) }
}

const round4 = (degrees: number) => Math.round(degrees * 10_000) / 10_000

function countryCode(value: MmdbValue | undefined): string | undefined {
  return typeof value === 'string' && /^[A-Z]{2}$/.test(value) ? value : undefined
}

function englishName(map: MmdbMap | undefined): string | undefined {
  return text(asMap(map?.['names'])?.['en'])
}

function text(value: MmdbValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= TEXT_LENGTH_MAX ? value : undefined
}

function asMap(value: MmdbValue | undefined): MmdbMap | undefined {
  return typeof value === 'object' && !Array.isArray(value) && !Buffer.isBuffer(value) ? value : undefined
}
