/** Who asks: people with a browser and a session, crawlers, tools. Each is fixed by (seed, stream, rank) alone. */
import type { Browser } from './browsers.ts'
import { browsers, headerJson } from './browsers.ts'
import type { Network } from './networks.ts'
import { addressIn, networkNamed, visitorNetworks } from './networks.ts'
import { Random, Weighted } from './random.ts'
import { type Acl, hostOf } from './rules.ts'

export interface Client {
  readonly ip: string
  /** ISO 3166-1 alpha-2, or `-` for an address without a place. */
  readonly country: string
  /** ISO 3166-2 of the subdivision, for the region label. */
  readonly region: string
  readonly asn: number | undefined
  readonly httpVersion: 'HTTP/1.1' | 'HTTP/2.0' | 'HTTP/3.0'
  readonly ja3: string | undefined
  readonly ja4: string | undefined
  readonly token: 'accepted' | 'absent' | 'expired'
  /** The inside of the headers array but for referer, by what is asked for; with cookies, credentials and commas. */
  headers(acl: Acl, kind: 'page' | 'api' | 'asset'): string
  readonly case: Browser['case']
}

const regions: Readonly<Record<string, readonly string[]>> = {
  KR: ['KR-11', 'KR-11', 'KR-41', 'KR-41', 'KR-26', 'KR-28', 'KR-27', 'KR-30', 'KR-48', 'KR-49'],
  JP: ['JP-13', 'JP-27', 'JP-14'],
  US: ['US-CA', 'US-NY', 'US-TX', 'US-WA'],
  CN: ['CN-GD', 'CN-BJ', 'CN-ZJ'],
}
const languages: Readonly<Record<string, string>> = {
  KR: 'ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7',
  JP: 'ja,en-US;q=0.9,en;q=0.8,ko;q=0.7',
  CN: 'zh-CN,zh;q=0.9,ko;q=0.8',
  TW: 'zh-TW,zh;q=0.9,en;q=0.8',
}
const byKind = {
  home: new Weighted(browsers, browser => browser.weights.home),
  mobile: new Weighted(browsers, browser => browser.weights.mobile),
  office: new Weighted(browsers, browser => browser.weights.office),
  hosting: new Weighted(browsers, browser => browser.weights.hosting),
}
const GATEWAYS = 40

/** A visitor. Mobile and office networks put many people behind few IPv4 addresses, as carrier and company NAT does. */
export function person(seed: number, rank: number): Client {
  const random = new Random(seed, 1_000_003 + rank)
  const from = visitorNetworks.pick(random)
  const shared = (from.kind === 'mobile' || from.kind === 'office') && random.chance(0.75)
  const gateway = 77 + from.asn * GATEWAYS + Math.floor(random.fraction() ** 2 * GATEWAYS)
  const ip = shared ? addressIn(from, new Random(seed, gateway), 4) : addressIn(from, random)
  const browser = byKind[from.kind].pick(random)
  return client(from, ip, browser, random, proxyHeader(from, random))
}

/** A crawler, tool or attacker with these headers and no session. */
export function tool(
  from: Network,
  random: Random,
  pairs: readonly (readonly [string, string])[],
  look: Partial<Client> = {},
): Client {
  const style = look.case ?? 'title'
  const rest = headerJson(pairs, style)
  return {
    ip: addressIn(from, random, 4),
    country: from.country,
    region: regionOf(from.country, random),
    asn: from.asn,
    httpVersion: 'HTTP/1.1',
    ja3: random.hex(8),
    ja4: `t13d${random.between(11, 39)}${random.between(10, 17)}h1_${random.hex(3)}_${random.hex(3)}`,
    token: 'absent',
    headers: (acl, kind) => `${headerJson([['host', hostOf(acl, kind)]], style)}${rest && `,${rest}`}`,
    case: style,
    ...look,
  }
}

/** Our own machines behind the load balancer: pod and VPC addresses, which have no country. */
export function insider(random: Random): Client {
  const ip = random.chance(0.5)
    ? `10.20.${random.between(0, 63)}.${random.between(4, 250)}`
    : `100.64.${random.between(0, 127)}.${random.between(4, 250)}`
  const pairs = [
    ['user-agent', 'HaetaeShop-Batch/2.3.1 (java-http-client/21)'],
    ['x-api-key', `hs_live_${random.base64(16)}`],
    ['accept', 'application/json'],
  ] as const
  return tool(networkNamed('aws-seoul'), random, pairs, {
    ip,
    country: '-',
    region: '',
    asn: undefined,
    case: 'lower',
    ja3: undefined,
    ja4: undefined,
  })
}

const tools = new Weighted<readonly [weight: number, network: string, ua: string, http2: boolean]>(
  [
    [
      30,
      'google',
      'Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.7744.20 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
      true,
    ],
    [28, 'yeti', 'Mozilla/5.0 (compatible; Yeti/1.1; +https://naver.me/spd)', false],
    [
      18,
      'bing',
      'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/136.0.0.0 Safari/537.36',
      true,
    ],
    [6, 'kakao', 'facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984', false],
    [
      5,
      'apple',
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)',
      true,
    ],
    [5, 'facebook', 'facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)', true],
    [4, 'yandex', 'Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)', false],
  ],
  ([weight]) => weight,
)

const crawlerLabels: Readonly<Record<string, readonly [category: string, name: string, organization: string]>> = {
  google: ['search_engine', 'googlebot', 'google'],
  yeti: ['search_engine', 'yeti', 'naver'],
  bing: ['search_engine', 'bingbot', 'microsoft'],
  kakao: ['link_checker', 'kakaotalk_scrap', 'kakao'],
  apple: ['search_engine', 'applebot', 'apple'],
  facebook: ['social_media', 'facebook_external_hit', 'facebook'],
  yandex: ['search_engine', 'yandexbot', 'yandex'],
}

/** A well-behaved crawler and the labels Bot Control gives it. */
export function crawler(random: Random): { client: Client; labels: readonly string[] } {
  const [, network, ua, http2] = tools.pick(random)
  const [category, name, organization] = crawlerLabels[network]!
  const pairs = [
    ['accept', '*/*'],
    ['user-agent', ua],
    ['accept-encoding', 'gzip, deflate, br'],
    ...(network === 'google' ? ([['from', 'googlebot(at)googlebot.com']] as const) : []),
  ] as const
  const bot = 'awswaf:managed:aws:bot-control:bot'
  return {
    client: tool(networkNamed(network), random, pairs, http2 ? { httpVersion: 'HTTP/2.0', case: 'lower' } : {}),
    labels: [
      `${bot}:category:${category}`,
      `${bot}:name:${name}`,
      `${bot}:organization:${organization}`,
      `${bot}:verified`,
    ],
  }
}

function client(
  from: Network,
  ip: string,
  browser: Browser,
  random: Random,
  proxy: readonly (readonly [string, string])[],
): Client {
  const ua = random.pick(browser.userAgents)
  const http3 = browser.http3 && random.chance(0.35)
  const httpVersion = random.chance(0.06) ? 'HTTP/1.1' : http3 ? 'HTTP/3.0' : 'HTTP/2.0'
  const style = httpVersion === 'HTTP/1.1' ? browser.case : 'lower'
  const language = languages[from.country] ?? 'en-US,en;q=0.9,ko;q=0.6'
  const token = random.chance(0.82) ? 'accepted' : random.chance(0.8) ? 'absent' : 'expired'
  const cookies = browser.app ? [] : cookieHeaders(sessionCookies(random, token !== 'absent'), httpVersion, random)
  const device = browser.app && random.chance(0.3) ? random.pick(deviceNames) : undefined
  const bearer = browser.app || random.chance(0.35) ? `Bearer ${fakeJwt(random)}` : undefined
  const made = new Map<string, string>()
  return {
    ip,
    country: from.country,
    region: regionOf(from.country, random),
    asn: from.asn,
    httpVersion,
    ja3: browser.ja3 ?? random.hex(8),
    ja4: http3 ? browser.ja4.replace(/^t/, 'q').replace('h2', 'h3') : browser.ja4,
    token,
    case: style,
    headers(acl, kind) {
      const key = `${acl.name}/${kind}`
      const known = made.get(key)
      if (known !== undefined) return known
      const pairs = [['host', hostOf(acl, kind)], ...proxy, ...pairsOf(browser, ua, kind, language)] as (readonly [
        string,
        string,
      ])[]
      if (device) pairs.push(['x-device-name', device])
      if (kind === 'api' && bearer) pairs.push(['authorization', bearer])
      if (kind !== 'asset') pairs.push(...cookies.map(crumb => ['cookie', crumb] as const))
      const json = headerJson(pairs, style)
      made.set(key, json)
      return json
    },
  }
}

function pairsOf(
  browser: Browser,
  ua: string,
  kind: 'page' | 'api' | 'asset',
  language: string,
): (readonly [string, string])[] {
  if (browser.app)
    return [
      ['user-agent', ua],
      ['accept', kind === 'asset' ? 'image/webp,*/*' : 'application/json'],
      ['accept-language', language],
      ['accept-encoding', 'gzip'],
    ]
  const common = [
    ['user-agent', ua],
    ['accept-encoding', 'gzip, deflate, br, zstd'],
    ['accept-language', language],
  ] as const
  switch (kind) {
    case 'page':
      return [
        ...browser.hints,
        ['upgrade-insecure-requests', '1'],
        ...common,
        ['accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'],
        ['sec-fetch-site', 'same-origin'],
        ['sec-fetch-mode', 'navigate'],
        ['sec-fetch-user', '?1'],
        ['sec-fetch-dest', 'document'],
        ['priority', 'u=0, i'],
      ]
    case 'api':
      return [
        ...browser.hints,
        ...common,
        ['accept', 'application/json, text/plain, */*'],
        ['content-type', 'application/json'],
        ['origin', 'https://www.haetae-shop.example'],
        ['sec-fetch-site', 'same-site'],
        ['sec-fetch-mode', 'cors'],
        ['sec-fetch-dest', 'empty'],
        ['priority', 'u=1, i'],
      ]
    case 'asset':
      return [
        ...browser.hints,
        ...common,
        ['accept', 'image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8'],
        ['sec-fetch-site', 'same-origin'],
        ['sec-fetch-mode', 'no-cors'],
        ['sec-fetch-dest', 'image'],
        ['priority', 'i'],
      ]
  }
}

/** Some come through a proxy that tells where from: a company's own address or a carrier's (RFC 6598). */
function proxyHeader(from: Network, random: Random): (readonly [string, string])[] {
  if (from.kind === 'office' && random.chance(0.3))
    return [['x-forwarded-for', `10.${random.between(0, 254)}.${random.between(0, 254)}.${random.between(1, 254)}`]]
  if (from.kind === 'mobile' && random.chance(0.08))
    return [
      [
        'x-forwarded-for',
        `100.${random.between(64, 127)}.${random.between(0, 254)}.${random.between(1, 254)}, ${addressIn(from, random, 4)}`,
      ],
    ]
  return []
}

function regionOf(country: string, random: Random): string {
  const known = regions[country]
  return known ? random.pick(known) : ''
}

function sessionCookies(random: Random, withToken: boolean): string {
  const analytics = `_ga=GA1.1.${random.next() % 2_000_000_000}.17${random.between(60, 79)}${random.between(100_000, 999_999)}`
  const wafToken = withToken ? `; aws-waf-token=${random.uuid()}:${random.base64(8)}:${random.base64(64)}` : ''
  const member = random.chance(0.6)
    ? `; SHOPSESSID=${random.base64(20)}; member_no=${random.between(100_000, 4_999_999)}`
    : ''
  return `${analytics}; cart_id=${random.uuid()}; recent=${random.between(100_000, 128_000)}%2C${random.between(100_000, 128_000)}${member}${wafToken}`
}

/** Sent as they are, in UTF-8, by an app that does not encode its headers. */
const deviceNames = ['지수의 Galaxy S26', '민준이 아이폰', '우리집 태블릿 📱']

/** HTTP/2 and 3 may split the cookies over several header fields (RFC 9113 §8.2.3), so names repeat. */
function cookieHeaders(cookies: string, httpVersion: Client['httpVersion'], random: Random): readonly string[] {
  return httpVersion !== 'HTTP/1.1' && random.chance(0.15) ? cookies.split('; ') : [cookies]
}

/** Three parts in the alphabet of a JSON Web Token; the signature is noise, so it is nobody's credential. */
export function fakeJwt(random: Random): string {
  const header = Buffer.from('{"alg":"RS256","typ":"JWT","kid":"shop-2026-10"}').toString('base64url')
  const payload = Buffer.from(
    JSON.stringify({
      iss: 'https://auth.haetae-shop.example',
      sub: `member-${random.between(100_000, 4_999_999)}`,
      scope: 'shop',
    }),
  ).toString('base64url')
  return `${header}.${payload}.${random.base64(86)}`
}
