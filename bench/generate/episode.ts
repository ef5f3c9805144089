import { type Client, tool } from './clients.ts'
import { networkNamed } from './networks.ts'
import { Random } from './random.ts'
import type { Request } from './record.ts'
import { acls, type Verdict } from './rules.ts'
import type { Ask } from './shop.ts'

export type EpisodeName =
  | 'scanner'
  | 'sqli'
  | 'xss'
  | 'traversal'
  | 'stuffing'
  | 'burst'
  | 'coupons'
  | 'probes'
  | 'sale-rush'
  | 'office'
  | 'crawl'
  | 'uptime'
  | 'hostile-page'
  | 'baited'
  | 'carrier'

/** An attack or a crowd with its hour, its addresses and tools, and what the web ACL makes of it. */
export interface Episode {
  readonly name: EpisodeName
  /** false: a crowd that must not be blocked. */
  readonly hostile: boolean
  /** Its requests are attacks, and somebody else made the crowd send them. */
  readonly forced?: true
  /** Begin and end as fractions of the generated time. */
  readonly from: number
  readonly to: number
  /** Share of all requests meanwhile. */
  readonly share: number
  /** `progress`: 0 to 1 within the episode; `atMs`: the request's time. */
  make(random: Random, progress: number, atMs: number): Request
}

/** What attackers pretend to be: two years old. */
export const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36'

/** `count` machines with this user agent, in turn in the networks named. */
export function many(
  names: readonly string[],
  count: number,
  seed: number,
  stream: number,
  ua: string,
  look: Partial<Client> = {},
): Client[] {
  const random = new Random(seed, stream)
  const pairs = [
    ['user-agent', ua],
    ['accept', '*/*'],
    ['accept-encoding', 'gzip, deflate'],
  ] as const
  return Array.from({ length: count }, (_, index) =>
    tool(networkNamed(names[index % names.length]!), random, pairs, look),
  )
}

export const ask = (method: string, uri: string, args = '', bodyBytes = 0): Ask => ({
  kind: 'page',
  method,
  uri,
  args,
  bodyBytes,
})
export const request = (
  client: Client,
  what: Ask,
  verdict: Verdict,
  acl = acls[0],
  extra: Request['extra'] = [],
): Request => ({
  acl,
  client,
  ask: what,
  verdict,
  extra,
})
