import type { GeoIpAnswer } from '../../platform/geoip/geoip.ts'
import { isObject } from '../../platform/json/residue.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'

/** OCSF: "not mapped, see network_scope", which says `private`, `loopback`, `documentation` … */
export const NETWORK_SCOPE_OTHER = 99

/**
 * A copy of an evidence with both ends of its connection placed. What a finding itself says of a remote address (GuardDuty names
 * country, city, coordinates and network, as of the time it saw them) stays; the databases add what it does not say. The place
 * of a finding gets the point that OpenSearch can put on a map.
 */
export function placedEvidence(evidence: JsonObject, lookup: (ip: string) => GeoIpAnswer): JsonObject {
  const placed = { ...evidence }
  for (const end of ['src_endpoint', 'dst_endpoint'] as const) {
    const endpoint = evidence[end]
    if (!isObject(endpoint) || typeof endpoint['ip'] !== 'string') continue
    placed[end] = placedEndpoint(endpoint, lookup(endpoint['ip']))
  }
  return placed
}

function placedEndpoint(endpoint: JsonObject, { location, autonomousSystem, scope }: GeoIpAnswer): JsonObject {
  const placed = { ...endpoint }
  const said = endpoint['location']
  if (isObject(said)) placed['location'] = ownPlace(said, location && { ...location })
  else if (location) placed['location'] = { ...location }
  const system = endpoint['autonomous_system']
  if (autonomousSystem && !(isObject(system) && system['number'] !== undefined))
    placed['autonomous_system'] = { ...autonomousSystem }
  if (scope) {
    placed['network_scope_id'] = NETWORK_SCOPE_OTHER
    placed['network_scope'] = scope
  }
  return placed
}

/** Of a database that names the same country, what the finding leaves open. */
function ownPlace(said: JsonObject, known: JsonObject | undefined): JsonObject {
  const agrees = known !== undefined && said['country'] !== undefined && known['country'] === said['country']
  const { lat, long } = said
  const point = typeof lat === 'number' && typeof long === 'number' ? { geo: { lat, lon: long } } : undefined
  if (!agrees) return { ...said, ...point }
  const continent = typeof known['continent'] === 'string' ? { continent: known['continent'] } : undefined
  // Two databases' cities are not mixed: where the finding names one, the rest of the place is its own too.
  if (said['city'] !== undefined || point) return { ...continent, ...said, ...point }
  return { ...known, ...said }
}
