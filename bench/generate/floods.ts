/** Attacks that show only in the sum of many harmless requests: credential stuffing, floods, coupon guessing. */
import { fakeJwt } from './clients.ts'
import { ask, CHROME, type Episode, many, request } from './episode.ts'
import { Random } from './random.ts'
import type { Request } from './record.ts'
import { acls, allowed, rateLimited, tokenAsked } from './rules.ts'
import type { Ask } from './shop.ts'

const [front, api] = acls

/** Stolen passwords tried slowly from hundreds of addresses in four networks, all with the same TLS fingerprint. */
export function stuffing(seed: number): Episode {
  const same = { ja3: '8d9f7747675e24454cd9b7ed35c58707', ja4: 't13d1812h1_85036bcba153_b26ce05bbdd6' }
  const clients = many(['tencent-cn', 'vnpt', 'rostelecom', 'frantech'], 420, seed, 51, CHROME, same)
  return {
    name: 'stuffing',
    hostile: true,
    from: 0.72,
    to: 0.79,
    share: 0.2,
    make(random, progress) {
      const client = random.pick(clients)
      const what: Ask = {
        kind: 'api',
        method: 'POST',
        uri: random.chance(0.7) ? '/login' : '/api/auth/login',
        args: '',
        bodyBytes: random.between(68, 132),
      }
      const extra: Request['extra'] = [
        ['content-type', 'application/json'],
        ['origin', 'https://www.haetae-shop.example'],
      ]
      if (progress > 0.35 && random.chance(0.55))
        return request(client, what, tokenAsked(api, 'CHALLENGE', 'challenge-login', undefined), api, extra)
      if (progress > 0.2 && random.chance(0.3))
        return request(client, what, rateLimited(api, 'rate-login', 100, client.ip, true), api, extra)
      return request(client, what, allowed(api, { labels: ['awswaf:managed:token:absent'] }), api, extra)
    },
  }
}

/** A flood of searches that no cache can answer. */
export function burst(seed: number): Episode {
  const clients = many(['vnpt', 'viettel', 'telkom', 'jio', 'claro-br', 'pldt'], 160, seed, 61, CHROME, {
    httpVersion: 'HTTP/2.0',
    case: 'lower',
    ja4: 't13d3112h2_e8f1e7e78f70_6bebaf5329ac',
  })
  return {
    name: 'burst',
    hostile: true,
    from: 0.871,
    to: 0.877,
    share: 0.85,
    make(random, progress) {
      const client = random.pick(clients)
      const what = ask('GET', '/search', `q=${random.base64(4)}&nocache=${random.next()}`)
      const limited = progress > 0.15 && random.chance(0.88)
      return request(
        client,
        what,
        progress > 0.1 ? rateLimited(front, 'rate-per-address', 2000, client.ip, limited) : allowed(front),
      )
    },
  }
}

/** Guessing coupon codes with bought accounts, from Korean hosting: nothing in the request looks wrong. */
export function coupons(seed: number): Episode {
  const clients = many(
    ['vultr-seoul', 'aws-seoul', 'naver-cloud'],
    24,
    seed,
    71,
    'HaetaeShop/5.12.0 (Android 16; SM-S938N; ko_KR) okhttp/5.3.2',
    { httpVersion: 'HTTP/2.0', case: 'lower' },
  )
  const tokens = clients.map((_, index) => fakeJwt(new Random(seed, 7100 + index)))
  return {
    name: 'coupons',
    hostile: true,
    from: 0.625,
    to: 0.68,
    share: 0.06,
    make(random, _progress, atMs) {
      const who = random.below(clients.length)
      const what: Ask = {
        kind: 'api',
        method: 'POST',
        uri: '/api/coupons/redeem',
        args: `code=BF26${random.hex(1).toUpperCase()}${random.hex(1).toUpperCase()}`,
        bodyBytes: 44,
      }
      const extra: Request['extra'] = [['authorization', `Bearer ${tokens[who]!}`]]
      const solved = random.chance(0.25) ? Math.floor(atMs / 1000) - random.between(5, 280) : undefined
      if (random.chance(0.4)) return request(clients[who]!, what, allowed(api), api, extra)
      return request(
        clients[who]!,
        what,
        tokenAsked(api, 'CAPTCHA', 'captcha-coupons', solved, random.chance(0.3) ? 'TOKEN_EXPIRED' : 'TOKEN_MISSING'),
        api,
        extra,
      )
    },
  }
}
