import { z } from 'zod'
import { type Batch, defineStage, type Event, type Stage } from '../engine/contract.ts'
import { answerKinds, type GeoIp, type GeoIpAnswer } from '../platform/geoip/geoip.ts'
import { embeddedDatabases, shareGeoIp } from '../platform/geoip/shared.ts'
import type { Counter } from '../platform/metrics.ts'
import type { JsonObject, Location, NetworkEndpoint } from '../platform/ocsf/event.ts'
import { NETWORK_SCOPE_OTHER, placedEvidence } from './geoip/evidences.ts'

const config = z.strictObject({
  city: z
    .array(z.string().min(1))
    .min(1)
    .max(8)
    .optional()
    .describe('MaxMind DB files with places, asked in order; without it: DB-IP City Lite from npm'),
  asn: z
    .array(z.string().min(1))
    .min(1)
    .max(8)
    .optional()
    .describe('MaxMind DB files or sorted CSV ranges with autonomous systems; without it: ip-location-db ASN from npm'),
  ageDaysMax: z.int().min(1).default(60).describe('Older databases are used, and reported as `old`'),
  addressesMax: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(100_000)
    .describe('Answers remembered; of more, the least recent goes'),
  checkMs: z
    .int()
    .min(100)
    .default(10_000)
    .describe('How often the files are looked at; a new file is in use after two looks'),
})

/**
 * Where the client is and whose network it uses: `src_endpoint.location` and `.autonomous_system` (OCSF location,
 * autonomous_system) from `src_endpoint.ip`; of findings, the same for both ends in `evidences[]` (geoip/evidences.ts). The database's location replaces the one that came with the record; a country the
 * record names differently is kept in `unmapped.httpRequest.country`. What no database knows stays as it came. Private and reserved addresses have no place: `network_scope` says what they are.
 */
export const geoip = defineStage({
  type: 'geoip',
  summary:
    'Adds country, region, city, coordinates, AS number and organisation of the client address, or those of a finding',
  config,
  example: `
city: [/var/lib/haetae/GeoLite2-City.mmdb]
asn: [/var/lib/haetae/GeoLite2-ASN.mmdb]
ageDaysMax: 60
addressesMax: 100000
checkMs: 10000
`,
  async open(settings, deps): Promise<Stage> {
    const { city, asn, ...rest } = settings
    const options = { city: city ?? embeddedDatabases('city'), asn: asn ?? embeddedDatabases('asn'), ...rest }
    const { geoIp, release } = await shareGeoIp(options, deps)
    const events = deps.metrics.counter('haetae_geoip_events_total', 'Events by what GeoIP answered', [
      'pipeline',
      'answer',
    ])
    return { apply: batch => enrichBatch(batch, geoIp, events, deps.pipeline), close: release }
  },
})

function enrichBatch(batch: Batch, geoIp: GeoIp, events: Counter, pipeline: string): Batch {
  const counts: Record<GeoIpAnswer['kind'], number> = { found: 0, unknown: 0, special: 0, invalid: 0, failed: 0 }
  const lookup = (ip: string): GeoIpAnswer => {
    const answer = geoIp.lookup(ip)
    counts[answer.kind]++
    return answer
  }
  for (const event of batch) {
    const { src_endpoint: endpoint, evidences } = event.body
    if (endpoint?.ip !== undefined) place(event, endpoint, lookup(endpoint.ip))
    if (evidences) event.body.evidences = evidences.map(each => placedEvidence(each, lookup))
  }
  for (const answer of answerKinds) if (counts[answer] > 0) events.add({ pipeline, answer }, counts[answer])
  return batch
}

function place(event: Event, endpoint: NetworkEndpoint, answer: GeoIpAnswer): void {
  const { location, autonomousSystem, scope } = answer
  if (!(location || autonomousSystem || scope)) return
  const placed = { ...endpoint }
  event.body.src_endpoint = placed
  if (autonomousSystem) placed.autonomous_system = autonomousSystem
  if (scope) {
    placed.network_scope_id = NETWORK_SCOPE_OTHER
    placed.network_scope = scope
  }
  if (!location) return
  const before = endpoint.location?.country
  const isOther = before !== undefined && before !== location.country
  placed.location = isOther && location.country === undefined ? { ...location, country: before } : location
  if (isOther && location.country !== undefined) keepCountry(event, before)
}

/** Beside what is unmapped already, never instead of it. */
function keepCountry(event: Event, country: NonNullable<Location['country']>): void {
  const unmapped = event.body.unmapped ?? {}
  const request = unmapped['httpRequest'] ?? {}
  if (typeof request !== 'object' || Array.isArray(request) || Object.hasOwn(request, 'country')) return
  const kept: JsonObject = { ...request, country }
  event.body.unmapped = { ...unmapped, httpRequest: kept }
}
