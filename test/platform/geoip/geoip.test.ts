import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasCode } from '../../../platform/errors.ts'
import { GeoIp } from '../../../platform/geoip/geoip.ts'
import { embeddedDatabases } from '../../../platform/geoip/shared.ts'
import { type Log, silentLog } from '../../../platform/log.ts'
import { renderFragment } from '../../../platform/ocsf/fragment.ts'
import {
  asnFile,
  cityFile,
  cityOf,
  file,
  folder,
  observed,
  open,
  refusal,
  settings,
  town,
} from '../../support/geoip.ts'
import { control, mmdbFile, type Value } from '../../support/mmdb.ts'

describe('the databases from npm', () => {
  let geoIp: GeoIp
  beforeAll(async () => {
    geoIp = await GeoIp.open(
      { ...settings, city: embeddedDatabases('city'), asn: embeddedDatabases('asn') },
      observed(),
    )
  })
  afterAll(() => geoIp.close())

  it('know public addresses of both families, and their systems', () => {
    expect(geoIp.lookup('8.8.8.8')).toMatchObject({
      kind: 'found',
      location: {
        country: 'US',
        region: 'California',
        city: 'Mountain View',
        continent: 'North America',
        lat: 37.422,
        long: -122.085,
        geo: { lat: 37.422, lon: -122.085 },
      },
      autonomousSystem: { number: 15169, name: 'Google LLC' },
    })
    expect(geoIp.lookup('1.1.1.1')).toMatchObject({
      location: { country: 'AU', city: 'Sydney' },
      autonomousSystem: { number: 13335, name: 'Cloudflare, Inc.' },
    })
    expect(geoIp.lookup('210.89.160.88')).toMatchObject({
      location: { country: 'KR', region: 'Gyeonggi-do' },
      autonomousSystem: { number: 23576 },
    })
    expect(geoIp.lookup('81.2.69.142')).toMatchObject({ location: { country: 'GB', city: 'London' } })
    expect(geoIp.lookup('2001:4860:4860::8888')).toMatchObject({
      kind: 'found',
      location: { continent: 'North America' },
      autonomousSystem: { number: 15169 },
    })
    expect(geoIp.lookup('2a02:6b8::1')).toMatchObject({ location: { country: 'RU', city: 'Moscow' } })
    expect(geoIp.lookup('::ffff:8.8.8.8').location).toBe(geoIp.lookup('8.8.8.8').location)
    expect(geoIp.lookup('::FFFF:0808:0808').location).toBe(geoIp.lookup('8.8.8.8').location)
    expect(geoIp.lookup('0:0:0:0:0:ffff:808:808').autonomousSystem).toBe(geoIp.lookup('8.8.8.8').autonomousSystem)
    expect(geoIp.status().map(({ topic, layout }) => [topic, layout])).toEqual([
      ['city', 'flat'],
      ['city', 'flat'],
      ['asn', 'ranges'],
      ['asn', 'ranges'],
    ])
    for (const { builtMs } of geoIp.status()) expect(builtMs).toBeGreaterThan(Date.UTC(2026, 0))
    for (const { builtMs } of geoIp.status()) expect(builtMs).toBeLessThan(Date.UTC(2026, 6))
  })

  it('are never in the way: no text makes a lookup throw', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.ipV4(),
      fc.ipV6(),
      fc.string({ unit: fc.constantFrom(...'0123456789abf:.x%/'.split('')) }),
    )
    fc.assert(
      fc.property(text, address => {
        const answer = geoIp.lookup(address)
        expect(geoIp.lookup(address)).toBe(answer)
        expect(answer.kind === 'found').toBe(
          answer.kind !== 'special' && (answer.location ?? answer.autonomousSystem) !== undefined,
        )
      }),
      { numRuns: 5000 },
    )
  })
})

describe('an answer', () => {
  it('from a MaxMind file covers both families', async () => {
    const { geoIp } = await open({ city: [await file(cityFile('Seoul'))], asn: [await file(asnFile)] })
    expect(geoIp.lookup('1.2.3.4')).toEqual({
      kind: 'found',
      location: { country: 'KR', city: 'Seoul', continent: 'Asia' },
      autonomousSystem: { number: 64500, name: 'Example' },
    })
    expect(geoIp.lookup('2a00::1')).toMatchObject({
      kind: 'found',
      location: { city: 'Seoul 6' },
      autonomousSystem: undefined,
    })
    expect(geoIp.lookup('9.9.9.9')).toEqual({ kind: 'unknown', location: undefined, autonomousSystem: undefined })
    expect(geoIp.lookup('X.X.X.X').kind).toBe('invalid')
    expect(geoIp.lookup('192.168.0.1')).toEqual({
      kind: 'special',
      location: undefined,
      autonomousSystem: undefined,
      scope: 'private',
    })
  })

  it('is one frozen, rendered object for all addresses of a data record', async () => {
    const { geoIp } = await open({ city: [await file(cityFile('Seoul'))], asn: [await file(asnFile)] })
    const { location, autonomousSystem } = geoIp.lookup('1.2.3.4')
    expect(geoIp.lookup('1.99.99.99').location).toBe(location)
    expect(geoIp.lookup('::ffff:1.0.0.1').autonomousSystem).toBe(autonomousSystem)
    expect(Object.isFrozen(location)).toBe(true)
    expect(renderFragment(location!)).toBe('{"country":"KR","city":"Seoul","continent":"Asia"}')
  })

  it('comes from the first file that knows', async () => {
    const other = mmdbFile({ '1.0.0.0/8': cityOf('other'), '9.0.0.0/8': cityOf('Busan') })
    const { geoIp } = await open({ city: [await file(cityFile('Seoul')), await file(other)], asn: [] })
    expect([town(geoIp), town(geoIp, '9.9.9.9')]).toEqual(['Seoul', 'Busan'])
  })

  it('over a damaged record is `failed`, and has what the other databases know', async () => {
    // 600 sound records, so that the check at opening does not meet the broken one.
    const networks: Record<string, Value> = {}
    for (let n = 0; n < 600; n++) networks[`5.${n >> 8}.${n & 255}.0/24`] = cityOf(`C${n}`)
    networks['1.2.3.4/32'] = 'BREAK'
    const bytes = mmdbFile(networks)
    const at = bytes.indexOf('BREAK')
    control(2, 28).copy(bytes, at - 1)
    bytes[at - 1] = 0x1f // an array of about a million values
    bytes[at] = 0x04
    const { geoIp } = await open({ city: [await file(bytes)], asn: [await file(asnFile)] })
    expect(geoIp.lookup('1.2.3.4')).toEqual({
      kind: 'failed',
      location: undefined,
      autonomousSystem: { number: 64500, name: 'Example' },
    })
    expect(town(geoIp, '5.1.1.1')).toBe('C257')
  })
})

describe('opening', () => {
  it.each<[string, 'city' | 'asn', Buffer | string, RegExp]>([
    ['text', 'city', 'hello', /no MaxMind DB metadata.*undamaged/],
    ['text for ASN', 'asn', 'hello', /no MaxMind DB metadata/],
    ['half a file', 'city', cityFile('x').subarray(0, 200), /no MaxMind DB metadata/],
    ['a compressed file', 'city', gzipSync(cityFile('x')), /gunzip/],
    ['an ASN file as city', 'city', asnFile, /'GeoLite2-ASN', not a city database/],
    ['a city file as ASN', 'asn', cityFile('x'), /'GeoLite2-City', not a asn database/],
    ['records about something else', 'city', mmdbFile({ '1.0.0.0/8': { ip: 'test' } }), /none of its records/],
    ['CSV as city', 'city', '1.0.0.0,1.0.0.1,1,A', /no MaxMind DB metadata/],
    ['unsorted CSV', 'asn', '2.0.0.0,2.0.0.1,1,A\n1.0.0.0,1.0.0.1,1,A', /line 2 begins before/],
  ])('%s is GEOIP_CORRUPT with path, reason and remedy', async (_, topic, bytes, message) => {
    const path = await file(bytes)
    const error = await refusal({ city: [], asn: [], [topic]: [path] })
    expect(hasCode(error, 'GEOIP_CORRUPT')).toBe(true)
    expect(error?.message).toMatch(message)
    expect(error?.message).toContain(path)
  })

  it('a file that is not there is GEOIP_MISSING with path and remedy', async () => {
    const error = await refusal({ city: [join(folder, 'nowhere.mmdb')], asn: [] })
    expect(hasCode(error, 'GEOIP_MISSING')).toBe(true)
    expect(error?.message).toMatch(/nowhere\.mmdb is missing: run `npm ci`/)
  })

  it('an old database is used, and visible as old in status, metrics and log', async () => {
    const path = await file(cityFile('Seoul', { builtMs: Date.UTC(2026, 5, 1) }))
    const { geoIp, lines, metrics } = await open({ city: [path], asn: [] })
    expect(town(geoIp)).toBe('Seoul')
    expect(geoIp.status()).toMatchObject([
      { topic: 'city', state: 'old', ageDays: 176, message: expect.stringContaining('176 days old') as string },
    ])
    expect(await metrics.expose()).toContain('haetae_geoip_database_state{database="city_0",state="old"} 1')
    expect(lines).toEqual(['warn GeoIP databases are older than ageDaysMax 60: replace them with newer ones'])
  })

  it('several old databases are named in one line, each once', async () => {
    const builtMs = Date.UTC(2026, 5, 1)
    const city = [await file(cityFile('Seoul', { builtMs })), await file(cityFile('Busan', { builtMs }))]
    const said: string[] = []
    const log: Log = { ...silentLog, warn: (...line) => void said.push(JSON.stringify(line)) }
    const { geoIp } = await open({ city, asn: [await file(asnFile)] }, { ...observed(), log })
    await geoIp.check()
    expect(said).toHaveLength(1)
    for (const path of city) expect(said[0]!.split(path)).toHaveLength(2)
    expect(said[0]).toContain('"ageDays":176')
    expect(geoIp.status().map(({ state }) => state)).toEqual(['old', 'old', 'ok'])
  })

  it('a database grows old while it is used', async () => {
    const { geoIp, lines, clock } = await open({ city: [await file(cityFile('Seoul'))], asn: [] })
    expect(geoIp.status()[0]?.state).toBe('ok')
    await clock.advance(40 * 86_400_000)
    await geoIp.check()
    expect(geoIp.status()[0]?.state).toBe('old')
    expect(lines.filter(line => line.startsWith('warn'))).toHaveLength(1)
  })
})
