/**
 * IP addresses as numbers. Strict text forms only (RFC 4291 §2.2, RFC 5952): no leading zeros in IPv4 parts, which some
 * programs read as octal, no zone, no port. An IPv4-mapped IPv6 address is the IPv4 address it stands for.
 */
interface Ipv4 {
  readonly family: 4
  /** 0 to 2^32 - 1. */
  readonly value: number
}
interface Ipv6 {
  readonly family: 6
  /** Four unsigned 32-bit words, most significant first. */
  readonly words: Words
}
export type Address = Ipv4 | Ipv6
export type Words = readonly [number, number, number, number]

/** Longest text form: an IPv6 address with an IPv4 tail. */
export const ADDRESS_LENGTH_MAX = 45

const DOT = 0x2e
const COLON = 0x3a
const ZERO = 0x30

/** The address that is the whole of `text` from `from` up to `to`. */
export function parseAddress(text: string, from = 0, to = text.length): Address | undefined {
  if (to - from > ADDRESS_LENGTH_MAX) return undefined
  const value = parseIpv4(text, from, to)
  return value === undefined ? parseIpv6(text, from, to) : { family: 4, value }
}

export function parseIpv4(text: string, from = 0, to = text.length): number | undefined {
  let value = 0
  let part = 0
  let digits = 0
  let dots = 0
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at)
    if (code === DOT) {
      if (digits === 0 || ++dots > 3) return undefined
      value = value * 256 + part
      part = 0
      digits = 0
    } else {
      const digit = code - ZERO
      if (digit < 0 || digit > 9 || (digits > 0 && part === 0)) return undefined
      part = part * 10 + digit
      if (++digits > 3 || part > 255) return undefined
    }
  }
  return dots === 3 && digits > 0 ? value * 256 + part : undefined
}

/** Groups of the address being read; one for all, as reading is synchronous. */
const groups = new Uint16Array(8)

function parseIpv6(text: string, from: number, to: number): Address | undefined {
  let count = 0
  let gap = -1
  let at = from
  if (text.startsWith('::', from)) {
    gap = 0
    at += 2
  }
  while (at < to) {
    let group = 0
    let end = at
    for (let digit = hexDigit(text, end, to); digit >= 0; digit = hexDigit(text, ++end, to)) group = group * 16 + digit
    if (end < to && text.charCodeAt(end) === DOT) {
      const tail = parseIpv4(text, at, to)
      if (tail === undefined || count > 6) return undefined
      groups[count++] = tail >>> 16
      groups[count++] = tail & 0xffff
      break
    }
    if (end === at || end - at > 4 || count === 8) return undefined
    groups[count++] = group
    at = end
    if (at === to) break
    if (text.charCodeAt(at++) !== COLON || at === to) return undefined
    if (text.charCodeAt(at) === COLON) {
      if (gap >= 0) return undefined
      gap = count
      at++
    }
  }
  // RFC 4291 lets '::' stand for one or more groups.
  if (at > to || (gap < 0 ? count !== 8 : count > 7)) return undefined
  if (gap >= 0) {
    groups.copyWithin(gap + 8 - count, gap, count)
    groups.fill(0, gap, gap + 8 - count)
  }
  return fromGroups()
}

/** -1 where there is no digit. */
function hexDigit(text: string, at: number, to: number): number {
  if (at >= to) return -1
  const code = text.charCodeAt(at)
  if (code >= ZERO && code <= 0x39) return code - ZERO
  const letter = (code | 0x20) - 0x61
  return letter >= 0 && letter < 6 ? letter + 10 : -1
}

function fromGroups(): Address {
  const word = (index: number) => (groups[index * 2]! * 0x10000 + groups[index * 2 + 1]!) >>> 0
  const words: Words = [word(0), word(1), word(2), word(3)]
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) return { family: 4, value: words[3] }
  return { family: 6, words }
}

export function formatAddress(address: Address): string {
  return address.family === 4 ? formatIpv4(address.value) : formatIpv6(address.words)
}

function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`
}

/** RFC 5952: lower case, the first longest run of two or more zero groups as '::'. */
function formatIpv6(words: Words): string {
  const groups = words.flatMap(word => [word >>> 16, word & 0xffff])
  let start = -1
  let length = 1
  for (let at = 0; at < 8; at++) {
    let end = at
    while (end < 8 && groups[end] === 0) end++
    if (end - at > length) {
      start = at
      length = end - at
    }
    at = Math.max(at, end - 1)
  }
  const hex = (list: readonly number[]) => list.map(group => group.toString(16)).join(':')
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`
}

/** What one client is: an IPv4 address, or the /64 that one IPv6 subscriber has. Canonical text. */
export function clientPrefix(address: Address): string {
  if (address.family === 4) return formatIpv4(address.value)
  return `${formatIpv6([address.words[0], address.words[1], 0, 0])}/64`
}

/** The neighbourhood of an address, as canonical text: the /24 of IPv4, the /48 that one IPv6 site has. */
export function networkOf(address: Address): string {
  if (address.family === 4) return `${formatIpv4((address.value & 0xffffff00) >>> 0)}/24`
  return `${formatIpv6([address.words[0], (address.words[1] & 0xffff0000) >>> 0, 0, 0])}/48`
}

export interface Cidr {
  readonly address: Address
  readonly prefixLength: number
}

/**
 * 'address/length', or an address for the network of itself. Bits after the prefix must be zero. `::ffff:a.b.c.d/n` with n ≥ 96
 * is the IPv4 network it maps.
 */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash))
  if (address === undefined) return undefined
  const bits = address.family === 4 ? 32 : 128
  if (slash < 0) return { address, prefixLength: bits }
  const digits = text.slice(slash + 1)
  if (!/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined
  const mapped = address.family === 4 && text.includes(':')
  const prefixLength = Number(digits) - (mapped ? 96 : 0)
  if (prefixLength < 0 || prefixLength > bits) return undefined
  const cidr = { address, prefixLength }
  return hostBitsAreZero(cidr) ? cidr : undefined
}

export function cidrContains(cidr: Cidr, address: Address): boolean {
  const network = cidr.address
  if (network.family === 4) {
    return address.family === 4 && sameStart(network.value, address.value, cidr.prefixLength)
  }
  if (address.family !== 6) return false
  for (let index = 0; index < 4; index++) {
    if (!sameStart(network.words[index]!, address.words[index]!, cidr.prefixLength - index * 32)) return false
  }
  return true
}

function sameStart(left: number, right: number, bits: number): boolean {
  if (bits <= 0) return true
  return bits >= 32 ? left === right : (left ^ right) >>> (32 - bits) === 0
}

function hostBitsAreZero(cidr: Cidr): boolean {
  const words = cidr.address.family === 4 ? [cidr.address.value] : cidr.address.words
  return words.every((word, index) => {
    const bits = Math.min(32, Math.max(0, cidr.prefixLength - index * 32))
    return bits === 32 || (word & (0xffffffff >>> bits)) === 0
  })
}
