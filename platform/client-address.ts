import { ADDRESS_LENGTH_MAX, clientPrefix, parseAddress, parseIpv4 } from './address.ts'
import { isSpace } from './json/space.ts'

/**
 * The client of a WAF record, from its bytes without parsing them: the value of the key `clientIp` (httpRequest.clientIp; AWS WAF
 * developer guide, "Log fields"), as one text per client: the IPv4 address, or the /64 of IPv6. undefined when it is absent,
 * redacted or no address.
 *
 * Header values and paths are the attacker's, but in JSON a quote inside a string stands behind a backslash. So the quote that
 * opens a key has `{`, `,` or white space before it, and nothing inside a string looks like `"clientIp"` with such a byte before.
 * In what is not JSON the answer is any client: it decides on a partition, nothing else.
 */
export function clientOf(raw: Buffer): string | undefined {
  // The search begins at a rare byte, `I`: half of a record's bytes are quotes and small letters.
  for (let at = raw.indexOf(KEY_END); at >= 0; at = raw.indexOf(KEY_END, at + 1)) {
    if (!isKey(raw, at)) continue
    const colon = pastSpace(raw, at + KEY_END.length)
    if (raw[colon] !== COLON) continue
    return addressAt(raw, pastSpace(raw, colon + 1))
  }
  return undefined
}

const KEY_START = Buffer.from('"client')
const KEY_END = Buffer.from('Ip"')
const QUOTE = 0x22
const COLON = 0x3a

function isKey(raw: Buffer, keyEnd: number): boolean {
  const start = keyEnd - KEY_START.length
  for (let index = 0; index < KEY_START.length; index++) if (raw[start + index] !== KEY_START[index]) return false
  const before = raw[start - 1]
  return before === 0x7b || before === 0x2c || isSpace(before)
}

function addressAt(raw: Buffer, quote: number): string | undefined {
  if (raw[quote] !== QUOTE) return undefined
  const start = quote + 1
  let end = start
  while (raw[end] !== QUOTE) if (end++ - start > ADDRESS_LENGTH_MAX) return undefined
  const text = raw.toString('latin1', start, end)
  if (parseIpv4(text) !== undefined) return text
  const address = parseAddress(text)
  return address && clientPrefix(address)
}

function pastSpace(raw: Buffer, from: number): number {
  let at = from
  while (isSpace(raw[at])) at++
  return at
}
