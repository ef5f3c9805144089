/**
 * Networks that generated clients come from: ranges really announced by these operators, each wholly in one country
 * (test/bench/networks.test.ts compares them with the GeoIP and ASN databases Haetae ships with).
 */
import type { Random } from './random.ts'
import { Weighted } from './random.ts'

export type NetworkKind = 'home' | 'mobile' | 'office' | 'hosting'

export interface Network {
  readonly name: string
  readonly country: string
  readonly asn: number
  readonly kind: NetworkKind
  /** Share of the shop's visitors; 0 for networks that only bots and attackers of the episodes use. */
  readonly weight: number
  readonly ranges: readonly string[]
}

const network = (
  name: string,
  country: string,
  asn: number,
  kind: NetworkKind,
  weight: number,
  ranges: string,
): Network => ({ name, country, asn, kind, weight, ranges: ranges.split(' ') })

export const networks: readonly Network[] = [
  network(
    'kt',
    'KR',
    4766,
    'home',
    210,
    '175.220.0.0/14 14.64.0.0/13 115.0.0.0/13 118.48.0.0/12 125.144.0.0/12 222.96.0.0/12 2400:e1::/32',
  ),
  network('kt-mobile', 'KR', 4766, 'mobile', 110, '39.7.0.0/16 110.70.0.0/15 118.235.0.0/16 175.223.0.0/16'),
  network('skb', 'KR', 9318, 'home', 130, '180.68.0.0/14 1.249.0.0/16 58.236.0.0/14 39.119.0.0/16 2400:fda6::/32'),
  network('skt', 'KR', 9644, 'mobile', 170, '42.16.0.0/12 223.32.0.0/11 27.160.0.0/12 2001:2d8::/32'),
  network('lgu', 'KR', 17858, 'home', 100, '182.208.0.0/12 49.160.0.0/12 125.176.0.0/12 124.48.0.0/12 122.32.0.0/12'),
  network(
    'lgu-mobile',
    'KR',
    17853,
    'mobile',
    75,
    '106.96.0.0/16 106.102.0.0/17 117.111.0.0/19 211.36.128.0/19 2001:4430:5010::/44',
  ),
  network('lg-dacom', 'KR', 3786, 'office', 40, '1.216.0.0/14 106.242.0.0/15 112.218.0.0/15 58.73.0.0/16'),
  network('samsung-sds', 'KR', 6619, 'office', 12, '182.192.0.0/13 165.213.0.0/16'),
  network('ocn', 'JP', 4713, 'home', 22, '153.128.0.0/10 180.0.0.0/10 114.144.0.0/12 2400:4050::/32'),
  network('kddi', 'JP', 2516, 'mobile', 12, '106.128.0.0/10 111.96.0.0/12 240b:10::/28'),
  network('softbank', 'JP', 17676, 'mobile', 12, '60.64.0.0/10 221.48.0.0/12 126.64.0.0/11 2400:2410::/32'),
  network('comcast', 'US', 7922, 'home', 16, '73.0.0.0/8 98.192.0.0/10 76.96.0.0/11 2601:600::/24'),
  network('att', 'US', 7018, 'home', 9, '99.24.0.0/13 108.192.0.0/11 107.192.0.0/11 2600:1700::/28'),
  network('t-mobile-us', 'US', 21928, 'mobile', 8, '172.56.0.0/13 100.128.0.0/9 2607:fb91::/32'),
  network('chinanet', 'CN', 4134, 'home', 9, '60.172.0.0/14 183.147.0.0/16 223.144.0.0/12 182.96.0.0/13 240e:300::/24'),
  network('unicom', 'CN', 4837, 'home', 6, '39.64.0.0/11 27.192.0.0/11 60.208.0.0/12 2408:8230::/32'),
  network('vnpt', 'VN', 45899, 'home', 6, '14.160.0.0/11 113.160.0.0/11 123.16.0.0/13 2001:ee0::/30'),
  network('viettel', 'VN', 7552, 'mobile', 5, '171.228.0.0/14 27.72.0.0/14 115.72.0.0/13 2402:800::/32'),
  network('hinet', 'TW', 3462, 'home', 7, '61.216.0.0/13 59.112.0.0/12 36.224.0.0/12 2001:b011::/32'),
  network('pccw', 'HK', 4760, 'home', 5, '219.77.0.0/16 112.118.0.0/15 119.236.0.0/15'),
  network('true', 'TH', 7470, 'home', 3, '171.102.240.0/20 119.76.0.0/16'),
  network('pldt', 'PH', 9299, 'home', 3, '112.200.0.0/13 49.144.0.0/13'),
  network('telkom', 'ID', 7713, 'home', 3, '36.72.0.0/13 125.160.0.0/13 110.136.0.0/14'),
  network('jio', 'IN', 55836, 'mobile', 3, '157.32.0.0/12 49.32.0.0/13 2409:4070::/28'),
  network('telekom', 'DE', 3320, 'home', 3, '93.192.0.0/10 87.128.0.0/10 84.128.0.0/10 2003:e0::/27'),
  network('bt', 'GB', 2856, 'home', 3, '86.128.0.0/10 81.128.0.0/11'),
  network('orange', 'FR', 3215, 'home', 2, '86.192.0.0/11 92.160.0.0/15'),
  network('rostelecom', 'RU', 12389, 'home', 2, '178.64.0.0/13 95.52.0.0/14 92.124.0.0/14'),
  network('claro-br', 'BR', 28573, 'home', 2, '191.176.0.0/13 179.216.128.0/17 201.80.0.0/14'),
  network(
    'aws-seoul',
    'KR',
    16509,
    'hosting',
    5,
    '3.34.0.0/15 3.36.0.0/14 13.124.0.0/16 43.200.0.0/14 54.180.0.0/15 2406:da12::/36',
  ),
  network('aws-tokyo', 'JP', 16509, 'hosting', 2, '13.112.0.0/14 18.176.0.0/15 54.64.0.0/15'),
  network('aws-virginia', 'US', 14618, 'hosting', 3, '3.80.0.0/12 18.204.0.0/14 34.192.0.0/12 44.192.0.0/11'),
  network('naver-cloud', 'KR', 23576, 'hosting', 2, '110.234.64.0/18 175.158.0.0/19'),
  network('vultr-seoul', 'KR', 20473, 'hosting', 0, '141.164.32.0/19 158.247.192.0/18'),
  network('digitalocean-sg', 'SG', 14061, 'hosting', 0, '128.199.64.0/18 178.128.16.0/20 159.89.192.0/20'),
  network('digitalocean-us', 'US', 14061, 'hosting', 0, '68.183.16.0/20 159.203.64.0/18 138.197.0.0/18'),
  network('hetzner', 'DE', 24940, 'hosting', 0, '116.202.0.0/16 138.201.0.0/16 2a01:4f8::/32'),
  network('tencent-cn', 'CN', 45090, 'hosting', 0, '49.232.0.0/14 124.220.0.0/14 106.52.0.0/14'),
  network('tencent-hk', 'HK', 132203, 'hosting', 0, '43.154.0.0/16 43.129.128.0/17'),
  network('alibaba-cn', 'CN', 37963, 'hosting', 0, '47.92.0.0/14 47.96.0.0/12 39.96.0.0/13'),
  network('ip-volume', 'NL', 202425, 'hosting', 0, '94.102.48.0/20 89.248.160.0/20 80.82.64.0/22'),
  network('frantech', 'US', 53667, 'hosting', 0, '209.141.32.0/19 205.185.112.0/20 198.98.48.0/20'),
  network('selectel', 'RU', 49505, 'hosting', 0, '31.129.32.0/19 178.72.128.0/18'),
  network('tor-exit', 'DE', 60729, 'hosting', 0, '185.220.101.0/24'),
  network('censys', 'US', 398324, 'hosting', 0, '162.142.125.0/24 167.94.138.0/24'),
  network('google', 'US', 15169, 'hosting', 0, '66.249.79.0/24 2001:4860:4801::/48'),
  network('bing', 'US', 8075, 'hosting', 0, '40.77.167.0/24 207.46.13.0/24 157.55.39.0/24 52.167.144.0/24'),
  network('yeti', 'KR', 23576, 'hosting', 0, '211.249.40.0/21'),
  network('kakao', 'KR', 38099, 'hosting', 0, '211.231.98.0/23 121.53.104.0/21'),
  network('apple', 'US', 714, 'hosting', 0, '17.241.208.0/20'),
  network('facebook', 'US', 32934, 'hosting', 0, '69.171.224.0/19 66.220.144.0/20'),
  network('yandex', 'RU', 13238, 'hosting', 0, '5.255.231.0/24'),
]

const byName = new Map(networks.map(each => [each.name, each]))

export function networkNamed(name: string): Network {
  const found = byName.get(name)
  if (!found) throw new Error(`no network is called ${name}`)
  return found
}

export const visitorNetworks = new Weighted(networks, each => each.weight)

/** One address of the network; of an IPv6 range (a third of the draws where there is one) with a random interface id. */
export function addressIn(from: Network, random: Random, family?: 4): string {
  const v4 = from.ranges.filter(range => !range.includes(':'))
  const v6 = from.ranges.find(range => range.includes(':'))
  if (v6 && family !== 4 && random.chance(0.33)) return v6AddressIn(v6, random)
  return v4AddressIn(random.pick(v4), random)
}

function v4AddressIn(range: string, random: Random): string {
  const [base, bits] = range.split('/') as [string, string]
  const size = 2 ** (32 - Number(bits))
  const first = base.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
  // Neither the first nor the last address: they are network and broadcast in most plans.
  const address = first + 1 + random.below(size - 2)
  return [24, 16, 8, 0].map(shift => Math.floor(address / 2 ** shift) % 256).join('.')
}

/** Eight groups, none of them zero after the prefix, so that the text is canonical (RFC 5952) as it stands. */
function v6AddressIn(range: string, random: Random): string {
  const [base, bits] = range.split('/') as [string, string]
  const fixed = base.replace(/::$/, '').split(':')
  const groups = Array.from({ length: 8 }, (_, index) => {
    const given = Number.parseInt(fixed[index] ?? '0', 16)
    const fixedBits = Math.min(16, Math.max(0, Number(bits) - index * 16))
    const free = 16 - fixedBits
    const drawn = free === 0 ? 0 : random.between(1, 2 ** free - 1)
    return (given | drawn).toString(16)
  })
  return groups.join(':')
}
