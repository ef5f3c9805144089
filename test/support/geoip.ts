/** GeoIp over small files made for the test. */
import { mkdtempSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { GeoIp, type GeoIpOptions } from '../../platform/geoip/geoip.ts'
import type { Log } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { FakeClock } from './clock.ts'
import { type MmdbOptions, mmdbFile, type Value } from './mmdb.ts'

export const folder = mkdtempSync(join(tmpdir(), 'haetae-geoip-'))
export const cityOf = (name: string): Value => ({ country: { iso_code: 'KR' }, city: { names: { en: name } } })
export const cityFile = (name: string, options: MmdbOptions = {}) =>
  mmdbFile({ '1.0.0.0/8': cityOf(name), '2a00::/12': cityOf(`${name} 6`) }, options)
export const asnFile = mmdbFile(
  { '1.0.0.0/8': { autonomous_system_number: 64500, autonomous_system_organization: 'Example' } },
  { databaseType: 'GeoLite2-ASN' },
)

/** Written beside and renamed over, as careful updaters do. */
export async function replace(path: string, bytes: Buffer | string): Promise<void> {
  await writeFile(`${path}.new`, bytes)
  await rename(`${path}.new`, path)
}

let files = 0
export async function file(bytes: Buffer | string): Promise<string> {
  const path = join(folder, `database-${files++}`)
  await writeFile(path, bytes)
  return path
}

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

export function observed() {
  const lines: string[] = []
  const line = (level: string) => (message: string) => void lines.push(`${level} ${message}`)
  const log: Log = {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    child: () => log,
  }
  return { lines, log, clock: new FakeClock(), metrics: createMetrics() }
}

export const settings = { ageDaysMax: 60, addressesMax: 1000, checkMs: 10_000 }
export async function open(options: Pick<GeoIpOptions, 'city' | 'asn'>, deps = observed()) {
  const geoIp = await GeoIp.open({ ...settings, ...options }, deps)
  closing.push(() => geoIp.close())
  return { geoIp, ...deps }
}
export const refusal = async (options: Pick<GeoIpOptions, 'city' | 'asn'>) =>
  open(options).then(
    () => undefined,
    error => error as Error,
  )
export const town = (geoIp: GeoIp, address = '1.2.3.4') => geoIp.lookup(address).location?.city
