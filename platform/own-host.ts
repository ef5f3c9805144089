import { isIP } from 'node:net'

/**
 * Against DNS rebinding: a browser that was lured to us names another host. Whether the Host header, with or without a port, is an
 * address, localhost or one of `names`, which are in lower case.
 */
export function isOwnHost(header: string, names: ReadonlySet<string>): boolean {
  const name = header.replace(/:\d{1,5}$/, '').toLowerCase()
  const address = name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name
  return name === 'localhost' || isIP(address) !== 0 || names.has(name)
}
