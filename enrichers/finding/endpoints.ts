/** Addresses and places of GuardDuty findings as OCSF endpoints. Everything taken leaves the finding. */
import { formatAddress, parseAddress } from '../../platform/address.ts'
import { objectAt, present, takeInteger, takeNumber, takeText } from '../../platform/json/residue.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'

/** Canonical text of the address under `key`; what is no address (`X.X.X.X`, `GeneratedFinding…`) stays in the record. */
export function takeAddress(from: JsonObject, key: string): string | undefined {
  const text = from[key]
  const address = typeof text === 'string' ? parseAddress(text) : undefined
  if (!address) return undefined
  delete from[key]
  return formatAddress(address)
}

/** GuardDuty's RemoteIpDetails. undefined without an address: a place alone is no endpoint. */
export function remoteEndpoint(details: JsonObject): JsonObject | undefined {
  const ip = takeAddress(details, 'ipAddressV4') ?? takeAddress(details, 'ipAddressV6')
  if (ip === undefined) return undefined
  const organization = objectAt(details, 'organization')
  return present({
    ip,
    location: place(details),
    autonomous_system: autonomousSystem(organization, 'asn', 'asnOrg'),
    isp: takeText(organization, 'isp'),
    isp_org: takeText(organization, 'org'),
  })
}

function place(details: JsonObject): JsonObject | undefined {
  const country = objectAt(details, 'country')
  const code = takeCountry(country, 'countryCode')
  const city = takeText(objectAt(details, 'city'), 'cityName')
  if (code === undefined && city === undefined) return undefined
  // The name is what the code says in words; on its own it has no place in OCSF's location but `desc`.
  const named = takeText(country, 'countryName')
  return present({ country: code, city, ...coordinates(objectAt(details, 'geoLocation')), desc: named })
}

function takeCountry(from: JsonObject, key: string): string | undefined {
  const code = from[key]
  if (typeof code !== 'string' || !/^[A-Z]{2}$/.test(code)) return undefined
  delete from[key]
  return code
}

/** 0,0 is what samples have, not a place. */
function coordinates(from: JsonObject, longitude = 'lon'): { lat?: number; long?: number } {
  const { lat, [longitude]: lon } = from
  if (typeof lat !== 'number' || typeof lon !== 'number' || (lat === 0 && lon === 0)) return {}
  if (Math.abs(lat) > 90 || Math.abs(lon) > 180) return {}
  takeNumber(from, 'lat')
  takeNumber(from, longitude)
  return { lat, long: lon }
}

/** Numbers come as number or text; 0 and -1 mean unknown and stay. */
function autonomousSystem(from: JsonObject, numberKey: string, nameKey: string): JsonObject | undefined {
  return present({ number: takeInteger(from, numberKey, 1, 4_294_967_295), name: takeText(from, nameKey) })
}

export function takePort(from: JsonObject, key = 'port'): number | undefined {
  return takeInteger(from, key, 0, 65_535)
}

/** An endpoint of an attack sequence: NetworkEndpoint of the GuardDuty API. */
export function sequenceEndpoint(from: JsonObject): JsonObject | undefined {
  const ip = takeAddress(from, 'ip')
  const hostname = takeText(from, 'domain')
  if (ip === undefined && hostname === undefined) return undefined
  const location = objectAt(from, 'location')
  const country = takeCountry(location, 'country')
  const city = takeText(location, 'city')
  return present({
    ip,
    hostname,
    port: takePort(from),
    ...(country === undefined && city === undefined
      ? {}
      : { location: present({ country, city, ...coordinates(location, 'lng') }) }),
    autonomous_system: autonomousSystem(objectAt(from, 'autonomousSystem'), 'number', 'name'),
  })
}
