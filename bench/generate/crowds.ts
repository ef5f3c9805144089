/** Crowds that look like attacks in the sum of their requests, and are customers, search engines and our own monitoring. */
import { type Client, crawler, person, tool } from './clients.ts'
import { ask, type Episode, request } from './episode.ts'
import { addressIn, networkNamed } from './networks.ts'
import { Random, zipf } from './random.ts'
import type { Request } from './record.ts'
import { acls, allowed, tokenAsked } from './rules.ts'
import { SHOP_HOST, someAsset, someCall, somePage } from './shop.ts'

const [front, api] = acls

/** Somebody logs in and has solved the challenge, as browsers do without asking. */
function logIn(client: Client, random: Random, atMs: number): Request {
  const what = { ...ask('POST', '/login', '', random.between(68, 132)), kind: 'api' } as const
  const solved = Math.floor(atMs / 1000) - random.between(3, 280)
  const extra: Request['extra'] = [
    ['content-type', 'application/json'],
    ['origin', `https://${SHOP_HOST}`],
  ]
  return request(client, what, tokenAsked(api, 'CHALLENGE', 'challenge-login', solved), api, extra)
}

/** Noon, and a game console for half the price: thousands of people on one page, many behind few addresses of their carriers. */
export function saleRush(seed: number, people: number): Episode {
  const ranks = zipf(people, 30)
  const clients = new Map<number, Client>()
  const someone = (random: Random): Client => {
    const rank = ranks.pick(random)
    const known = clients.get(rank) ?? person(seed, rank)
    clients.set(rank, known)
    return known
  }
  return {
    name: 'sale-rush',
    hostile: false,
    from: 0.5,
    to: 0.515,
    share: 0.75,
    make(random, _progress, atMs) {
      const client = someone(random)
      const draw = random.fraction()
      if (draw < 0.35)
        return request(client, ask('GET', '/products/1124/half-price-console', 'ref=push_1124'), allowed(front))
      if (draw < 0.6) return request(client, { ...ask('POST', '/api/cart', '', 64), kind: 'api' }, allowed(api), api)
      if (draw < 0.68) return logIn(client, random, atMs)
      if (draw < 0.76)
        return request(client, { ...ask('POST', '/api/orders', '', 412), kind: 'api' }, allowed(api), api)
      return request(client, someAsset(random), allowed(front))
    },
  }
}

/** Nine o'clock: sixty people of one company log in and shop from behind one address. */
export function office(seed: number): Episode {
  const ip = addressIn(networkNamed('lg-dacom'), new Random(seed, 81), 4)
  const staff = Array.from({ length: 60 }, (_, index): Client => {
    const { headers, httpVersion, ja3, ja4, case: style } = person(seed, 900_000 + index)
    return {
      ip,
      country: 'KR',
      region: 'KR-11',
      asn: 3786,
      httpVersion,
      ja3,
      ja4,
      token: 'accepted',
      headers,
      case: style,
    }
  })
  return {
    name: 'office',
    hostile: false,
    from: 0.375,
    to: 0.395,
    share: 0.3,
    make(random, _progress, atMs) {
      const client = random.pick(staff)
      if (random.chance(0.12)) return logIn(client, random, atMs)
      if (random.chance(0.4)) return request(client, someCall(random), allowed(api), api)
      return request(client, somePage(random), allowed(front))
    },
  }
}

/** A search engine reads the whole catalogue at night, from a handful of its addresses. */
export function crawl(seed: number): Episode {
  const random = new Random(seed, 82)
  const crawlers = Array.from({ length: 6 }, () => crawler(random))
  return {
    name: 'crawl',
    hostile: false,
    from: 0.16,
    to: 0.26,
    share: 0.35,
    make(each) {
      const { client, labels } = each.pick(crawlers)
      return request(client, { ...somePage(each), method: 'GET' }, allowed(front, { labels }))
    },
  }
}

/** Our uptime monitor: the same few pages from the same address, all day. */
export function uptime(seed: number): Episode {
  const random = new Random(seed, 83)
  const pairs = [
    ['user-agent', 'HaetaeShop-Uptime/1.4 (+https://status.haetae-shop.example)'],
    ['accept', '*/*'],
  ] as const
  const client = tool(networkNamed('aws-tokyo'), random, pairs)
  return {
    name: 'uptime',
    hostile: false,
    from: 0,
    to: 1,
    share: 0.01,
    make: each => request(client, ask('GET', each.pick(['/', '/health', '/login', '/api/health'])), allowed(front)),
  }
}
