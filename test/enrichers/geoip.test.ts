import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { Stage } from '../../engine/contract.ts'
import { geoip } from '../../enrichers/geoip.ts'
import type { NetworkEndpoint, OcsfEvent } from '../../platform/ocsf/event.ts'
import { eventOf, testDeps } from '../support/deps.ts'
import { mmdbFile } from '../support/mmdb.ts'

const folder = mkdtempSync(join(tmpdir(), 'haetae-geoip-stage-'))
const city = join(folder, 'city.mmdb')
const asn = join(folder, 'asn.csv')
writeFileSync(
  city,
  mmdbFile({
    '1.0.0.0/8': {
      country: { iso_code: 'KR' },
      city: { names: { en: 'Seoul' } },
      location: { latitude: 37.5, longitude: 127 },
    },
    '2.0.0.0/8': { continent: { names: { en: 'Asia' } } },
  }),
)
writeFileSync(asn, '1.0.0.0,1.255.255.255,4766,Korea Telecom\n3.0.0.0,3.255.255.255,16509,Amazon\n')

const opened: Stage[] = []
afterEach(async () => {
  for (const stage of opened.splice(0)) await stage.close?.()
})
async function open(deps = testDeps()) {
  const stage = await geoip.open(geoip.config.parse({ city: [city], asn: [asn] }), deps)
  opened.push(stage)
  const enrich = async (...bodies: OcsfEvent[]) => {
    const batch = bodies.map(body => Object.assign(eventOf({}), { body }))
    const reject = () => {
      throw new Error('geoip rejects nothing')
    }
    expect(await stage.apply(batch, reject)).toEqual(batch)
    return batch.map(event => event.body)
  }
  return { enrich, deps }
}
const from = (src_endpoint: NetworkEndpoint, more: OcsfEvent = {}): OcsfEvent => ({ src_endpoint, ...more })
const seoul = { country: 'KR', city: 'Seoul', continent: 'Asia', lat: 37.5, long: 127, geo: { lat: 37.5, lon: 127 } }

describe('the geoip stage', () => {
  it('adds place and autonomous system of the client', async () => {
    const { enrich } = await open()
    expect(await enrich(from({ ip: '1.2.3.4' }), from({ ip: '::ffff:1.2.3.4' }))).toEqual([
      from({ ip: '1.2.3.4', location: seoul, autonomous_system: { number: 4766, name: 'Korea Telecom' } }),
      from({ ip: '::ffff:1.2.3.4', location: seoul, autonomous_system: { number: 4766, name: 'Korea Telecom' } }),
    ])
  })

  it('gives events of one data record the same object, which nobody can change', async () => {
    const { enrich } = await open()
    const [a, b] = await enrich(from({ ip: '1.2.3.4' }), from({ ip: '1.9.9.9', location: { country: 'KR' } }))
    expect(a?.src_endpoint?.location).toBe(b?.src_endpoint?.location)
    expect(Object.isFrozen(a?.src_endpoint?.location)).toBe(true)
  })

  it('keeps the country of the record beside the unmapped fields when the database says another', async () => {
    const { enrich } = await open()
    const [body] = await enrich(
      from(
        { ip: '1.2.3.4', location: { country: 'JP' } },
        { unmapped: { formatVersion: 1, httpRequest: { fragment: 'x' } } },
      ),
    )
    expect(body?.src_endpoint?.location).toEqual(seoul)
    expect(body?.unmapped).toEqual({ formatVersion: 1, httpRequest: { fragment: 'x', country: 'JP' } })
    const [bare] = await enrich(from({ ip: '1.2.3.4', location: { country: 'JP' } }))
    expect(bare?.unmapped).toEqual({ httpRequest: { country: 'JP' } })
  })

  it('does not touch unmapped fields that others share or that hold something else', async () => {
    const { enrich } = await open()
    const shared = Object.freeze({ httpRequest: Object.freeze({ fragment: 'x' }) })
    const [body] = await enrich(from({ ip: '1.2.3.4', location: { country: 'JP' } }, { unmapped: shared }))
    expect(body?.unmapped).toEqual({ httpRequest: { fragment: 'x', country: 'JP' } })
    expect(shared).toEqual({ httpRequest: { fragment: 'x' } })
    for (const unmapped of [{ httpRequest: 'text' }, { httpRequest: ['list'] }, { httpRequest: { country: '-' } }]) {
      const [kept] = await enrich(from({ ip: '1.2.3.4', location: { country: 'JP' } }, { unmapped }))
      expect(kept?.unmapped).toEqual(unmapped)
    }
  })

  it('leaves unmapped alone when both say the same', async () => {
    const { enrich } = await open()
    const [body] = await enrich(from({ ip: '1.2.3.4', location: { country: 'KR' } }))
    expect(body).toEqual(
      from({ ip: '1.2.3.4', location: seoul, autonomous_system: { number: 4766, name: 'Korea Telecom' } }),
    )
  })

  it('leaves the country of the record where the database knows no country', async () => {
    const { enrich } = await open()
    const [nothing, continent] = await enrich(
      from({ ip: '3.3.3.3', location: { country: 'US' } }),
      from({ ip: '2.2.2.2', location: { country: 'JP' } }),
    )
    expect(nothing).toEqual(
      from({ ip: '3.3.3.3', location: { country: 'US' }, autonomous_system: { number: 16509, name: 'Amazon' } }),
    )
    expect(continent).toEqual(from({ ip: '2.2.2.2', location: { continent: 'Asia', country: 'JP' } }))
  })

  it('says of private and reserved addresses what they are', async () => {
    const { enrich } = await open()
    const [plain, claimed] = await enrich(
      from({ ip: '10.0.0.1' }),
      from({ ip: 'fd00::1', location: { country: 'US' } }),
    )
    expect(plain).toEqual(from({ ip: '10.0.0.1', network_scope_id: 99, network_scope: 'private' }))
    expect(claimed).toEqual(
      from({ ip: 'fd00::1', location: { country: 'US' }, network_scope_id: 99, network_scope: 'unique_local' }),
    )
  })

  it('lets events without an address, or with one that is none, pass as they are', async () => {
    const { enrich } = await open()
    const bodies = (): OcsfEvent[] => [
      {},
      from({}),
      from({ ip: 'X.X.X.X', location: { country: 'US' } }),
      from({ hostname: 'h' }),
    ]
    expect(await enrich(...bodies())).toEqual(bodies())
  })

  it('counts events by what was answered', async () => {
    const { enrich, deps } = await open()
    await enrich(
      from({ ip: '1.2.3.4' }),
      from({ ip: '1.2.3.5' }),
      from({ ip: '9.9.9.9' }),
      from({ ip: '::1' }),
      from({ ip: '-' }),
      {},
    )
    const text = await deps.metrics.expose()
    expect(text).toContain('haetae_geoip_events_total{pipeline="test",answer="found"} 2')
    for (const answer of ['unknown', 'special', 'invalid']) expect(text).toContain(`answer="${answer}"} 1`)
    expect(text).not.toContain('answer="failed"')
  })

  it('does not open with a file that is missing', async () => {
    const config = geoip.config.parse({ city: [join(folder, 'nowhere')], asn: [asn] })
    await expect(geoip.open(config, testDeps())).rejects.toMatchObject({ code: 'GEOIP_MISSING' })
  })

  it('takes the databases from npm without configuration', async () => {
    const stage = await geoip.open(geoip.config.parse({}), testDeps())
    opened.push(stage)
    const event = Object.assign(eventOf({}), { body: from({ ip: '8.8.8.8' }) })
    await stage.apply([event], () => undefined)
    expect(event.body.src_endpoint).toMatchObject({ location: { country: 'US' }, autonomous_system: { number: 15169 } })
  })

  it('accepts its own example and no unknown key', () => {
    expect(geoip.config.safeParse(parse(geoip.example)).success).toBe(true)
    expect(geoip.config.safeParse({ country: [] }).success).toBe(false)
    expect(geoip.config.safeParse({ city: [] }).success).toBe(false)
  })
})
