/** User agents as their products send them in late 2026, with the headers and TLS fingerprints that go with them. */
import type { NetworkKind } from './networks.ts'

export interface Browser {
  readonly name: string
  readonly weights: Readonly<Record<NetworkKind, number>>
  readonly userAgents: readonly string[]
  /** Client hints; only Chromium sends them. */
  readonly hints: readonly (readonly [name: string, value: string])[]
  /** undefined: the engine shuffles its TLS extensions, so the JA3 differs from client to client. */
  readonly ja3: string | undefined
  readonly ja4: string
  readonly http3: boolean
  /** A shopping app or a crawler: no cookies from pages, other Accept headers. */
  readonly app: boolean
  /** How it writes header names over HTTP/1.1. */
  readonly case: 'title' | 'lower' | 'mixed'
}

const CHROME_JA4 = 't13d1516h2_8daaf6152771_d8a2da3f94cd'
const SAFARI_JA4 = 't13d2013h2_a09f3c656075_7f0f34a4126d'
const SAFARI_JA3 = '773906b0efdefa24a7f2b8eb6985bf37'
const chromium = (brand: string, version: number, platform: string, mobile: boolean): Browser['hints'] => [
  ['sec-ch-ua', `"Chromium";v="${version}", "${brand}";v="${version}", "Not/A)Brand";v="24"`],
  ['sec-ch-ua-mobile', mobile ? '?1' : '?0'],
  ['sec-ch-ua-platform', `"${platform}"`],
]
const desktop = { mobile: 0, office: 6, hosting: 4 } as const

export const browsers: readonly Browser[] = [
  {
    name: 'chrome-windows',
    weights: { ...desktop, home: 8, office: 9 },
    userAgents: [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36',
    ],
    hints: chromium('Google Chrome', 156, 'Windows', false),
    ja3: undefined,
    ja4: CHROME_JA4,
    http3: true,
    app: false,
    case: 'title',
  },
  {
    name: 'chrome-mac',
    weights: { ...desktop, home: 3, office: 4 },
    userAgents: [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36',
    ],
    hints: chromium('Google Chrome', 156, 'macOS', false),
    ja3: undefined,
    ja4: CHROME_JA4,
    http3: true,
    app: false,
    case: 'title',
  },
  {
    name: 'edge',
    weights: { ...desktop, home: 3, office: 6 },
    userAgents: [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0',
    ],
    hints: chromium('Microsoft Edge', 156, 'Windows', false),
    ja3: undefined,
    ja4: CHROME_JA4,
    http3: true,
    app: false,
    case: 'title',
  },
  {
    name: 'whale',
    weights: { ...desktop, home: 2, office: 3 },
    userAgents: [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/154.0.0.0 Whale/4.38.402.14 Safari/537.36',
    ],
    hints: chromium('Whale', 154, 'Windows', false),
    ja3: undefined,
    ja4: CHROME_JA4,
    http3: false,
    app: false,
    case: 'title',
  },
  {
    name: 'firefox',
    weights: { ...desktop, home: 1, office: 1 },
    userAgents: [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:151.0) Gecko/20100101 Firefox/151.0',
      'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    ],
    hints: [],
    ja3: '6f7889b9fb1a62a9577e685c1fcfa919',
    ja4: 't13d1717h2_5b57614c22b0_3cbfd9057e0d',
    http3: true,
    app: false,
    case: 'title',
  },
  {
    name: 'safari-mac',
    weights: { ...desktop, home: 2, office: 1 },
    userAgents: [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.4 Safari/605.1.15',
    ],
    hints: [],
    ja3: SAFARI_JA3,
    ja4: SAFARI_JA4,
    http3: true,
    app: false,
    case: 'title',
  },
  {
    name: 'chrome-android',
    weights: { home: 4, mobile: 6, office: 2, hosting: 1 },
    userAgents: [
      'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36',
    ],
    hints: chromium('Google Chrome', 156, 'Android', true),
    ja3: undefined,
    ja4: CHROME_JA4,
    http3: true,
    app: false,
    case: 'title',
  },
  {
    name: 'samsung-internet',
    weights: { home: 4, mobile: 8, office: 2, hosting: 0 },
    userAgents: [
      'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/30.0 Chrome/146.0.0.0 Mobile Safari/537.36',
      'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36',
    ],
    hints: chromium('Samsung Internet', 146, 'Android', true),
    ja3: undefined,
    ja4: CHROME_JA4,
    http3: true,
    app: false,
    case: 'title',
  },
  {
    name: 'safari-iphone',
    weights: { home: 4, mobile: 8, office: 2, hosting: 0 },
    userAgents: [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.4 Mobile/15E148 Safari/604.1',
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1',
    ],
    hints: [],
    ja3: SAFARI_JA3,
    ja4: SAFARI_JA4,
    http3: true,
    app: false,
    case: 'title',
  },
  {
    name: 'kakaotalk',
    weights: { home: 2, mobile: 5, office: 1, hosting: 0 },
    userAgents: [
      'Mozilla/5.0 (Linux; Android 16; SM-S938N Build/BP2A.250605.031; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/155.0.7712.43 Mobile Safari/537.36;KAKAOTALK 2610410',
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 KAKAOTALK/26.10.4 (INAPP)',
    ],
    hints: [],
    ja3: undefined,
    ja4: CHROME_JA4,
    http3: false,
    app: false,
    case: 'title',
  },
  {
    name: 'naver-app',
    weights: { home: 2, mobile: 5, office: 1, hosting: 0 },
    userAgents: [
      'Mozilla/5.0 (Linux; Android 16; SM-S928N Build/BP2A.250605.031; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/155.0.7712.43 Whale/1.0.0.0 Crosswalk/29.155.0.8 Mobile Safari/537.36 NAVER(inapp; search; 2100; 12.20.3)',
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.4 Mobile/15E148 Safari/605.1 NAVER(inapp; search; 2100; 12.20.3; 17PRO)',
    ],
    hints: [],
    ja3: undefined,
    ja4: CHROME_JA4,
    http3: false,
    app: false,
    case: 'title',
  },
  {
    name: 'shop-app-android',
    weights: { home: 2, mobile: 6, office: 1, hosting: 0 },
    userAgents: [
      'HaetaeShop/5.12.0 (Android 16; SM-S938N; ko_KR) okhttp/5.3.2',
      'HaetaeShop/5.11.3 (Android 15; SM-A546S; ko_KR) okhttp/5.3.2',
    ],
    hints: [],
    ja3: 'f79b6bad2ad0641e1921aef10262856b',
    ja4: 't13d1613h2_46e7e9700bed_eca864cca44a',
    http3: false,
    app: true,
    case: 'mixed',
  },
  {
    name: 'shop-app-ios',
    weights: { home: 2, mobile: 6, office: 1, hosting: 0 },
    userAgents: ['HaetaeShop/5.12.0 (iPhone; iOS 26.4; Scale/3.00) CFNetwork/3860.400.51 Darwin/25.4.0'],
    hints: [],
    ja3: SAFARI_JA3,
    ja4: SAFARI_JA4,
    http3: false,
    app: true,
    case: 'title',
  },
]

/** `pairs` as the inside of a JSON array of WAF headers. */
export function headerJson(pairs: readonly (readonly [name: string, value: string])[], style: Browser['case']): string {
  return pairs.map(([name, value]) => JSON.stringify({ name: styled(name, style), value })).join(',')
}

function styled(name: string, style: Browser['case']): string {
  switch (style) {
    case 'lower':
      return name
    case 'title':
      return name.replace(/(^|-)[a-z]/g, letter => letter.toUpperCase())
    case 'mixed':
      return name[0]!.toUpperCase() + name.slice(1)
  }
}
