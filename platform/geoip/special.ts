import { type Address, type Cidr, cidrContains, parseCidr } from '../address.ts'

/** Why an address has no place on the map. A closed set: it becomes `network_scope`. */
export type Special =
  | 'unspecified'
  | 'this_network'
  | 'private'
  | 'unique_local'
  | 'loopback'
  | 'link_local'
  | 'carrier_nat'
  | 'documentation'
  | 'benchmarking'
  | 'multicast'
  | 'broadcast'
  | 'reserved'

/**
 * IANA IPv4 and IPv6 Special-Purpose Address Registries (2025-10) with the multicast and unassigned spaces. The first network
 * that contains the address decides, so exceptions stand before what they are an exception from. `undefined`: globally
 * reachable, look it up.
 */
const networks: readonly (readonly [string, Special | undefined])[] = [
  ['0.0.0.0/32', 'unspecified'],
  ['0.0.0.0/8', 'this_network'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'carrier_nat'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link_local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.9/32', undefined], // port control protocol anycast
  ['192.0.0.10/32', undefined], // TURN anycast
  ['192.0.0.0/24', 'reserved'],
  ['192.0.2.0/24', 'documentation'],
  ['192.88.99.0/24', 'reserved'], // 6to4 relay anycast, deprecated
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'benchmarking'],
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['255.255.255.255/32', 'broadcast'],
  ['240.0.0.0/4', 'reserved'],

  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['64:ff9b:1::/48', 'private'], // local-use translation
  ['fc00::/7', 'unique_local'],
  ['fe80::/10', 'link_local'],
  ['fec0::/10', 'private'], // site-local, deprecated
  ['ff00::/8', 'multicast'],
  ['2001:db8::/32', 'documentation'],
  ['3fff::/20', 'documentation'],
  ['2001:2::/48', 'benchmarking'],
  ['2001:10::/28', 'reserved'], // ORCHID, deprecated
  ['2000::/3', undefined],
  ['::/0', 'reserved'], // only 2000::/3 is assigned for global unicast
]

interface Network {
  readonly cidr: Cidr
  readonly special: Special | undefined
}
const parsed: readonly Network[] = networks.map(([text, special]) => ({ cidr: parseCidr(text)!, special }))
const byFamily = {
  4: parsed.filter(network => network.cidr.address.family === 4),
  6: parsed.filter(network => network.cidr.address.family === 6),
} as const

export function specialPurpose(address: Address): Special | undefined {
  for (const network of byFamily[address.family]) if (cidrContains(network.cidr, address)) return network.special
  return undefined
}
