import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Event } from '../../../engine/contract.ts'
import { geoip } from '../../../enrichers/geoip.ts'
import { parseFalco } from '../../../enrichers/parse-falco.ts'
import { parseGuardduty } from '../../../enrichers/parse-guardduty.ts'
import type { JsonObject, OcsfEvent } from '../../../platform/ocsf/event.ts'
import { FakeClock } from '../../support/clock.ts'
import { eventOf, testDeps } from '../../support/deps.ts'
import { network } from '../../support/falco-alerts.ts'
import { connection, finding, findingsOfEveryKind, remote } from '../../support/findings.ts'
import { mmdbFile } from '../../support/mmdb.ts'
import { ocsfErrors } from '../../support/ocsf-validator.ts'

const folder = mkdtempSync(join(tmpdir(), 'haetae-geoip-evidences-'))
writeFileSync(
  join(folder, 'city.mmdb'),
  mmdbFile({
    '180.0.0.0/8': {
      country: { iso_code: 'KR' },
      continent: { code: 'AS', names: { en: 'Asia' } },
      city: { names: { en: 'Seoul' } },
      location: { latitude: 37.5, longitude: 127 },
    },
    '93.0.0.0/8': { country: { iso_code: 'NL' }, location: { latitude: 52.4, longitude: 4.9 } },
  }),
)
writeFileSync(join(folder, 'asn.csv'), '180.0.0.0,180.255.255.255,4766,Korea Telecom\n')
const deps = testDeps({ clock: new FakeClock() })
const config = geoip.config.parse({ city: [join(folder, 'city.mmdb')], asn: [join(folder, 'asn.csv')] })
const stage = await geoip.open(config, deps)
afterAll(async () => await stage.close?.())
const parsers = { guardduty: await parseGuardduty.open({}, deps), falco: await parseFalco.open({}, deps) }

async function evidences(record: unknown, kind: keyof typeof parsers): Promise<readonly JsonObject[]> {
  const event = eventOf(record, kind)
  const reject = (_event: Event, reason: string) => expect.fail(reason)
  await parsers[kind].apply([event], reject)
  await stage.apply([event], reject)
  const body = JSON.parse(JSON.stringify(event.body)) as OcsfEvent
  expect(ocsfErrors(body)).toEqual([])
  return body.evidences ?? []
}

const inbound = (far: JsonObject) => finding('UnauthorizedAccess:EC2/SSHBruteForce', connection('INBOUND', far))

describe('both ends of what a finding saw', () => {
  it('a place and network that GuardDuty names stay, with their point for the map and the continent of the country', async () => {
    const [first] = await evidences(inbound(remote('180.70.170.34')), 'guardduty')
    expect(first?.['src_endpoint']).toMatchObject({
      location: {
        country: 'KR',
        continent: 'Asia',
        city: 'Suwon',
        lat: 37.26,
        long: 127.01,
        geo: { lat: 37.26, lon: 127.01 },
        desc: 'South Korea',
      },
      autonomous_system: { number: 9318, name: 'SK Broadband Co Ltd' },
    })
  })

  it('a finding without a place gets that of the databases', async () => {
    const [first] = await evidences(inbound({ ipAddressV4: '180.70.170.34' }), 'guardduty')
    expect(first?.['src_endpoint']).toMatchObject({
      location: { country: 'KR', city: 'Seoul', geo: { lat: 37.5, lon: 127 } },
      autonomous_system: { number: 4766, name: 'Korea Telecom' },
    })
  })

  it('a finding that names only the country gets the rest, if the databases agree about the country', async () => {
    const korea = { country: { countryCode: 'KR', countryName: 'South Korea' } }
    const [same] = await evidences(inbound({ ipAddressV4: '180.70.170.34', ...korea }), 'guardduty')
    expect(same?.['src_endpoint']).toMatchObject({ location: { country: 'KR', city: 'Seoul', desc: 'South Korea' } })
    const [other] = await evidences(inbound({ ipAddressV4: '93.184.1.1', ...korea }), 'guardduty')
    expect(other?.['src_endpoint']).toMatchObject({ location: { country: 'KR', desc: 'South Korea' } })
    expect(JSON.stringify(other?.['src_endpoint'])).not.toContain('geo')
  })

  it('of a connection that went out, the far end is placed and ours is said to be private', async () => {
    const [first] = await evidences(network, 'falco')
    expect(first?.['src_endpoint']).toMatchObject({ network_scope_id: 99, network_scope: 'private' })
    const out = { ...network, output_fields: { 'fd.name': '10.20.3.9:43812->93.184.1.1:443', 'evt.type': 'connect' } }
    const [outward] = await evidences(out, 'falco')
    expect(outward?.['dst_endpoint']).toMatchObject({
      ip: '93.184.1.1',
      location: { country: 'NL', geo: { lat: 52.4, lon: 4.9 } },
    })
  })

  it('each address of a finding with several is placed on its own', async () => {
    const probed = await evidences(findingsOfEveryKind['probe'], 'guardduty')
    expect(probed.length).toBeGreaterThan(1)
    expect(probed.map(each => JSON.stringify(each['src_endpoint']).includes('"location"'))).toEqual([true, true, false])
    expect(probed[2]?.['src_endpoint']).toMatchObject({ ip: '2001:db8::7', network_scope: 'documentation' })
  })

  it.each(Object.entries(findingsOfEveryKind))('stays valid OCSF and loses nothing: %s', async (_name, record) => {
    const event = eventOf(record, 'guardduty')
    await parsers.guardduty.apply([event], (_event, reason) => expect.fail(reason))
    const before = JSON.parse(JSON.stringify(event.body)) as OcsfEvent
    const after = await evidences(record, 'guardduty')
    expect(after).toMatchObject(before.evidences ?? [])
  })

  it('every address is counted by its answer', async () => {
    const own = testDeps({ clock: new FakeClock() })
    const counting = await geoip.open(config, own)
    const event = eventOf(inbound(remote('180.70.170.34')), 'guardduty')
    await parsers.guardduty.apply([event], (_event, reason) => expect.fail(reason))
    await counting.apply([event], (_event, reason) => expect.fail(reason))
    const text = await own.metrics.expose()
    expect(text).toContain('haetae_geoip_events_total{pipeline="test",answer="found"} 1')
    expect(text).toContain('haetae_geoip_events_total{pipeline="test",answer="special"} 1')
    await counting.close?.()
  })
})
