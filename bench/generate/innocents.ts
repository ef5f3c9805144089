/** People whom a third party, or the thousand others behind their address, make look like attackers. They must not be blocked. */
import { browsers } from './browsers.ts'
import { type Client, crawler, person, tool } from './clients.ts'
import { ask, type Episode, request } from './episode.ts'
import { addressIn, networkNamed } from './networks.ts'
import { Random } from './random.ts'
import type { Request } from './record.ts'
import { acls, allowed } from './rules.ts'
import { SHOP_HOST } from './shop.ts'

const [front, api] = acls
const HOSTILE = 'https://free-webtoon.example'
const absent = { labels: ['awswaf:managed:token:absent'] }

/** What a page of somebody else embeds: each looks like the request of a scanner. */
const baits: readonly (readonly [uri: string, args: string])[] = [
  ['/.env', ''],
  ['/.git/config', ''],
  ['/.aws/credentials', ''],
  ['/backup/shop.sql', ''],
  ['/wp-config.php.bak', ''],
  ['/search', `q=${encodeURIComponent('<script>alert(document.cookie)</script>')}`],
  ['/search', `q=${encodeURIComponent("1' UNION SELECT NULL,NULL,version()-- -")}`],
  ['/download', 'file=../../../../etc/passwd'],
]

interface Visitor {
  readonly client: Client
  /** What it says of who made it ask. */
  readonly told: Request['extra']
}

/** A browser of today, one of some years ago, or a mail reader: the last two do not say from where a request comes. */
function visitor(random: Random): Visitor {
  const from = networkNamed(random.pick(['skt', 'kt-mobile', 'lg-dacom', 'bt', 'telekom']))
  const draw = random.fraction()
  const language = ['accept-language', 'ko-KR,ko;q=0.9'] as const
  if (draw < 0.15) {
    const agent = 'Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.18129; Pro)'
    return { client: tool(from, random, [['user-agent', agent]]), told: [] }
  }
  if (draw < 0.3) {
    const agent =
      'Mozilla/5.0 (iPhone; CPU iPhone OS 15_8 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6 Mobile/15E148 Safari/604.1'
    return { client: tool(from, random, [['user-agent', agent], language], { case: 'lower' }), told: [] }
  }
  const browser = random.pick(browsers.filter(({ app }) => !app))
  const pairs = [...browser.hints, ['user-agent', random.pick(browser.userAgents)], language] as const
  const client = tool(from, random, pairs, { httpVersion: 'HTTP/2.0', case: 'lower', ja4: browser.ja4 })
  return { client, told: [['sec-fetch-site', 'cross-site']] }
}

/** A page or mail makes its readers' browsers ask the shop for what scanners ask for, and log in again and again. */
export function hostilePage(seed: number): Episode {
  const random = new Random(seed, 91)
  const visitors = Array.from({ length: 60 }, () => visitor(random))
  return {
    name: 'hostile-page',
    hostile: false,
    forced: true,
    from: 0.82,
    to: 0.85,
    share: 0.3,
    make(each, progress) {
      const { client, told } = visitors[Math.min(visitors.length - 1, Math.floor(progress * 58) + each.below(3))]!
      if (each.chance(0.35)) {
        const form = [['origin', HOSTILE] as const, ['content-type', 'application/x-www-form-urlencoded'] as const]
        const what = { ...ask('POST', '/login', '', 40), kind: 'api' } as const
        return request(client, what, allowed(api, absent), api, [...told, ...form])
      }
      const [uri, args] = each.pick(baits)
      // A link to a search: the shop's own page repeats the query in what it asks for then.
      if (args !== '' && told.length > 0 && each.chance(0.3)) {
        const what = { ...ask('GET', '/api/search/suggest', args), kind: 'api' } as const
        const own = [
          ['sec-fetch-site', 'same-site'] as const,
          ['referer', `https://${SHOP_HOST}/search?${args}`] as const,
        ]
        return request(client, what, allowed(api), api, own)
      }
      const embedded = told.length > 0 ? ([['sec-fetch-mode', 'no-cors']] as const) : []
      return request(client, ask('GET', uri, args), allowed(front), front, [...told, ...embedded])
    },
  }
}

/** Links with attacks in them, put where crawlers and the previews of messengers find them; the web ACL has no Bot Control. */
export function baited(seed: number): Episode {
  const random = new Random(seed, 92)
  const crawlers = Array.from({ length: 5 }, () => crawler(random).client)
  return {
    name: 'baited',
    hostile: false,
    forced: true,
    from: 0.27,
    to: 0.29,
    share: 0.25,
    make(each) {
      const [uri, args] = each.pick(baits)
      return request(each.pick(crawlers), ask('GET', uri, `${args}${args && '&'}n=${each.below(1e6)}`), allowed(front))
    },
  }
}

/** One in the afternoon: over a thousand customers of a carrier behind one address, in browsers and the app, where no rule challenges. */
export function carrier(seed: number): Episode {
  const ip = addressIn(networkNamed('skt'), new Random(seed, 93), 4)
  const place = { ip, country: 'KR', region: 'KR-11', asn: 9644, token: 'absent' } as const
  const customers = Array.from(
    { length: 1_200 },
    (_, index): Client => ({ ...person(seed, 800_000 + index), ...place }),
  )
  return {
    name: 'carrier',
    hostile: false,
    from: 0.6,
    to: 0.612,
    share: 0.6,
    make(random) {
      const client = random.pick(customers)
      const draw = random.fraction()
      const call = (uri: string, args = '') =>
        request(client, { ...ask('POST', uri, args, 90), kind: 'api' }, allowed(api, absent), api)
      if (draw < 0.5) return call(random.pick(['/login', '/api/auth/login']))
      if (draw < 0.7) return call('/api/coupons/redeem', `code=BF26${random.hex(3).toUpperCase()}`)
      return request(client, ask('GET', '/search', `q=${random.base64(4)}`), allowed(front))
    },
  }
}
