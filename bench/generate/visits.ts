/** Ordinary traffic: people who open a page and what their browser fetches for it, crawlers, partners, our own machines. */
import type { Client } from './clients.ts'
import { crawler, insider, person, tool } from './clients.ts'
import { networkNamed } from './networks.ts'
import { Random, zipf } from './random.ts'
import type { Request } from './record.ts'
import type { Acl, Verdict } from './rules.ts'
import { acls, allowed, groupCounted, managed, passedAsStatic, ruleCounted, tokenAsked } from './rules.ts'
import type { Ask } from './shop.ts'
import { SHOP_HOST, someAsset, someCall, somePage } from './shop.ts'

const [front, api, gateway] = acls
/** Fetches of open pages that wait for their turn; the bound keeps memory flat. */
const PENDING_MAX = 400

interface Pending {
  readonly client: Client
  readonly kind: 'api' | 'asset'
  readonly referer: string
}

export class Visits {
  readonly #seed: number
  readonly #people = new Map<number, Client>()
  readonly #ranks: ReturnType<typeof zipf>
  readonly #crawlers: readonly ReturnType<typeof crawler>[]
  readonly #insiders: readonly Client[]
  readonly #scripts: readonly Client[]
  readonly #pending: Pending[] = []

  constructor(seed: number, people: number) {
    this.#seed = seed
    this.#ranks = zipf(people, 30)
    const random = new Random(seed, 5)
    this.#crawlers = Array.from({ length: 120 }, () => crawler(random))
    this.#insiders = Array.from({ length: 12 }, () => insider(random))
    this.#scripts = Array.from({ length: 60 }, () => script(random))
  }

  next(random: Random, atMs: number): Request {
    if (this.#pending.length > 0 && (this.#pending.length >= PENDING_MAX || random.chance(0.72))) {
      const at = random.below(this.#pending.length)
      const one = this.#pending[at]!
      const last = this.#pending.pop()!
      if (at < this.#pending.length) this.#pending[at] = last
      const what = one.kind === 'api' ? someCall(random) : someAsset(random)
      return this.#byPerson(one.client, what, one.referer, random, atMs)
    }
    if (random.chance(0.11)) return this.#byMachine(random)
    const client = this.#person(this.#ranks.pick(random))
    const page = somePage(random)
    const from = `https://${SHOP_HOST}${page.uri}${page.args && `?${page.args}`}`
    for (let count = random.between(1, 6); count > 0; count--) {
      this.#pending.push({ client, kind: random.chance(0.45) ? 'api' : 'asset', referer: from })
    }
    return this.#byPerson(client, page, referrer(random), random, atMs)
  }

  #person(rank: number): Client {
    let client = this.#people.get(rank)
    if (!client) {
      client = person(this.#seed, rank)
      this.#people.set(rank, client)
    }
    return client
  }

  #byPerson(client: Client, ask: Ask, referer: string, random: Random, atMs: number): Request {
    const acl = ask.kind === 'api' ? api : front
    const extra: Request['extra'] = referer ? [['referer', referer]] : []
    return { acl, client, ask, extra, verdict: verdictFor(acl, client, ask, random, atMs) }
  }

  #byMachine(random: Random): Request {
    const draw = random.fraction()
    if (draw < 0.62) {
      const { client, labels } = random.pick(this.#crawlers)
      const ask = random.chance(0.1) ? { ...somePage(random), uri: '/robots.txt', args: '' } : somePage(random)
      return { acl: front, client, ask, extra: [], verdict: allowed(front, { labels }) }
    }
    if (draw < 0.7) {
      const ask = random.chance(0.5)
        ? someCall(random)
        : { ...someCall(random), method: 'GET', uri: '/api/internal/stock/sync', args: `api_key=${random.base64(12)}` }
      return { acl: api, client: random.pick(this.#insiders), ask, extra: [], verdict: allowed(api) }
    }
    const client = random.pick(this.#scripts)
    if (draw < 0.78) {
      const ask: Ask = {
        kind: 'api',
        method: 'POST',
        uri: '/prod/feeds/products',
        args: '',
        bodyBytes: random.between(2000, 90_000),
      }
      const verdict =
        ask.bodyBytes > gateway.bodyInspectedMax
          ? ruleCounted(
              gateway,
              managed.COMMON,
              'SizeRestrictions_BODY',
              'awswaf:managed:aws:core-rule-set:SizeRestrictions_Body',
              true,
            )
          : allowed(gateway)
      return {
        acl: gateway,
        client,
        ask,
        extra: [['x-api-key', random.chance(0.5) ? 'REDACTED' : random.base64(20)]],
        verdict,
      }
    }
    const signal = [
      'awswaf:managed:aws:bot-control:bot:category:http_library',
      'awswaf:managed:aws:bot-control:bot:unverified',
    ]
    return {
      acl: front,
      client,
      ask: somePage(random),
      extra: [],
      verdict: groupCounted(front, managed.BOTS, 'CategoryHttpLibrary', signal),
    }
  }
}

function verdictFor(acl: Acl, client: Client, ask: Ask, random: Random, atMs: number): Verdict {
  if (ask.kind === 'asset') return passedAsStatic(acl)
  const token = `awswaf:managed:token:${client.token === 'expired' ? 'rejected:expired' : client.token}`
  const guarded = ask.method === 'POST' && (ask.uri === '/login' || ask.uri === '/api/coupons/redeem')
  if (guarded) {
    const solved = client.token === 'accepted' ? Math.floor(atMs / 1000) - random.between(3, 290) : undefined
    const failure = client.token === 'expired' ? 'TOKEN_EXPIRED' : 'TOKEN_MISSING'
    return ask.uri === '/login'
      ? tokenAsked(acl, 'CHALLENGE', 'challenge-login', solved, failure)
      : tokenAsked(acl, 'CAPTCHA', 'captcha-coupons', solved, failure)
  }
  if (ask.bodyBytes > acl.bodyInspectedMax) {
    return ruleCounted(
      acl,
      managed.COMMON,
      'SizeRestrictions_BODY',
      'awswaf:managed:aws:core-rule-set:SizeRestrictions_Body',
      false,
    )
  }
  if (acl === front && client.asn !== undefined && hostingAsns.has(client.asn)) {
    return groupCounted(acl, managed.ANONYMOUS, 'HostingProviderIPList', [
      'awswaf:managed:aws:anonymous-ip-list:HostingProviderIPList',
      token,
    ])
  }
  return allowed(acl, { labels: [token] })
}

const hostingAsns = new Set([16509, 14618, 23576])

const agents = [
  'python-requests/2.32.5',
  'Go-http-client/2.0',
  'curl/8.16.0',
  'Scrapy/2.13.3 (+https://scrapy.org)',
  'axios/1.12.2',
  'Apache-HttpClient/5.5 (Java/21.0.8)',
]

function script(random: Random): Client {
  const from = networkNamed(
    random.pick(['aws-seoul', 'aws-virginia', 'hetzner', 'alibaba-cn', 'naver-cloud', 'digitalocean-sg']),
  )
  const style = random.pick(['title', 'lower', 'mixed'] as const)
  return tool(
    from,
    random,
    [
      ['user-agent', random.pick(agents)],
      ['accept', '*/*'],
      ['accept-encoding', 'gzip, deflate'],
      ['connection', 'keep-alive'],
    ],
    { case: style },
  )
}

const referrers = [
  'https://www.google.com/',
  'https://search.naver.com/search.naver?query=%ED%95%B4%ED%83%9C%EC%83%B5',
  'https://m.search.naver.com/',
  'https://search.shopping.naver.com/',
  'https://www.instagram.com/',
  'https://l.kakao.com/',
]

function referrer(random: Random): string {
  if (random.chance(0.35)) return ''
  return random.chance(0.3) ? random.pick(referrers) : `https://${SHOP_HOST}/categories/food`
}
