import { type Address, type Cidr, cidrsOverlap, parseCidr } from '../../platform/address.ts'

/** Networks under a name that says why they are never blocked. */
export interface Named {
  readonly name: string
  readonly cidrs: readonly Cidr[]
  /** Of a list that its owner publishes, and not written by whoever runs Haetae. */
  readonly published?: true
}

/** Wider ones are never blocked: too many people are behind them. An IPv6 subscriber may have a /48. */
const IPV4_PREFIX_MIN = 24
const IPV6_PREFIX_MIN = 48

/**
 * Addresses that are nobody's client on the Internet, or stand for many: IANA's special-purpose registries
 * (https://www.iana.org/assignments/iana-ipv4-special-registry, …/iana-ipv6-special-registry). The networks for documentation are
 * left out on purpose: nothing comes from there, and so they are what a person can safely block to try it.
 */
const RESERVED = [
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.88.99.0/24 192.168.0.0/16',
  '198.18.0.0/15 224.0.0.0/4 240.0.0.0/4',
  '::/128 ::1/128 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/32 2002::/16 fc00::/7 fe80::/10 ff00::/8',
]
  .flatMap(line => line.split(' '))
  .map(text => parseCidr(text)!)

/** Why a network must not be blocked: a word of a closed set, and the name of the entry. */
export interface Objection {
  readonly reason: 'too_wide' | 'reserved' | 'never_block'
  readonly detail: string
}

/**
 * What is never blocked, whoever asks. Looked up by the first byte (IPv4) or the first two (IPv6), as lists of crawlers and
 * health checkers hold thousands of networks.
 */
export class Guard {
  readonly #buckets = new Map<string, { readonly name: string; readonly cidr: Cidr }[]>()
  /** Wider than a bucket. */
  readonly #wide: { readonly name: string; readonly cidr: Cidr }[] = []
  readonly count: number

  constructor(named: readonly Named[]) {
    let count = 0
    for (const { name, cidrs } of named) {
      for (const cidr of cidrs) {
        count++
        if (cidr.prefixLength < bucketBits(cidr.address)) this.#wide.push({ name, cidr })
        else this.#bucket(cidr).push({ name, cidr })
      }
    }
    this.count = count
  }

  objection(cidr: Cidr): Objection | undefined {
    const shortest = cidr.address.family === 4 ? IPV4_PREFIX_MIN : IPV6_PREFIX_MIN
    if (cidr.prefixLength < shortest) return { reason: 'too_wide', detail: `wider than /${shortest}` }
    if (RESERVED.some(each => cidrsOverlap(each, cidr))) return { reason: 'reserved', detail: 'not on the Internet' }
    const near = this.#buckets.get(bucketOf(cidr.address)) ?? []
    const found = [...near, ...this.#wide].find(each => cidrsOverlap(each.cidr, cidr))
    return found && { reason: 'never_block', detail: found.name }
  }

  #bucket(cidr: Cidr): { readonly name: string; readonly cidr: Cidr }[] {
    const key = bucketOf(cidr.address)
    const bucket = this.#buckets.get(key) ?? []
    this.#buckets.set(key, bucket)
    return bucket
  }
}

function bucketBits({ family }: Address): number {
  return family === 4 ? 8 : 16
}

function bucketOf(address: Address): string {
  return address.family === 4 ? `4 ${address.value >>> 24}` : `6 ${address.words[0] >>> 16}`
}
