/** What visitors of a Korean web shop ask for. Every path, query and referrer is plain ASCII, encoded as browsers send it. */
import type { Random } from './random.ts'
import { Weighted, zipf } from './random.ts'

export const SHOP_HOST = 'www.haetae-shop.example'
export const IMAGE_HOST = 'img.haetae-shop.example'
export const API_HOST = 'api.haetae-shop.example'

export interface Ask {
  readonly kind: 'page' | 'api' | 'asset'
  readonly method: string
  readonly uri: string
  /** Query string without the question mark. */
  readonly args: string
  /** 0: no body. */
  readonly bodyBytes: number
}

const PRODUCTS = 4000
const products = zipf(PRODUCTS, 12)
const words = [
  '한우 선물세트',
  '김치냉장고',
  '제주 감귤',
  '겨울 패딩',
  '무선 이어폰',
  '캠핑 의자',
  '홍삼정',
  '로봇청소기',
  '아기 물티슈',
  '등산화',
  '텀블러',
  '갤럭시 케이스',
  '전기장판',
  '수분크림',
  'airpods pro',
  'nike 운동화',
]
const searches = words.map(word => encodeURIComponent(word))
const categories = ['food', 'fashion', 'digital', 'living', 'beauty', 'kids', 'sports', 'books']
const slugs = [
  'hanwoo-gift-set',
  'winter-padding',
  'wireless-earbuds',
  'red-ginseng',
  'robot-cleaner',
  'camping-chair',
  'face-cream',
  'tumbler',
]
const campaigns = ['naver_brand', 'kakao_moment', 'google_pmax', 'push_1124', 'email_weekly']

const get = (kind: Ask['kind'], uri: string, args = ''): Ask => ({ kind, method: 'GET', uri, args, bodyBytes: 0 })
const send = (method: string, uri: string, bodyBytes: number): Ask => ({
  kind: 'api',
  method,
  uri,
  args: '',
  bodyBytes,
})

function product(random: Random): string {
  const rank = products.index(random)
  return `/products/${100_000 + rank * 7}/${slugs[rank % slugs.length]}`
}

type Make = (random: Random) => Ask
const pages = new Weighted<readonly [number, Make]>(
  [
    [10, random => get('page', '/', random.chance(0.3) ? `utm_source=${random.pick(campaigns)}&utm_medium=cpc` : '')],
    [
      38,
      random =>
        get(
          'page',
          product(random),
          random.chance(0.15) ? `utm_source=${random.pick(campaigns)}&gclid=${random.base64(30)}` : '',
        ),
    ],
    [
      17,
      random =>
        get(
          'page',
          '/search',
          `q=${random.pick(searches)}${random.chance(0.3) ? `&page=${random.between(2, 9)}` : ''}`,
        ),
    ],
    [
      12,
      random =>
        get(
          'page',
          `/categories/${random.pick(categories)}`,
          `sort=${random.pick(['popular', 'new', 'price_asc'])}&page=${random.between(1, 12)}`,
        ),
    ],
    [7, () => get('page', '/cart')],
    [4, () => get('page', '/checkout')],
    [4, () => get('page', '/login', 'returnUrl=%2Fmypage%2Forders')],
    [4, random => get('page', '/mypage/orders', `from=2026-${String(random.between(1, 11)).padStart(2, '0')}-01`)],
    [1, random => get('page', '/oauth/callback/kakao', `code=${random.base64(32)}&state=${random.base64(16)}`)],
    [
      0.4,
      random =>
        get(
          'page',
          '/password/reset',
          `token=${random.base64(24)}&email=user${random.between(1, 99_999)}%40example.com`,
        ),
    ],
    [2, () => get('page', '/events/black-friday-2026')],
    [0.6, random => get('page', `/reviews/${random.between(10_000, 99_999)}`, 'lang=ko&photo=%EC%9E%88%EC%9D%8C')],
  ],
  ([weight]) => weight,
)

const calls = new Weighted<readonly [number, Make]>(
  [
    [20, random => get('api', `/api/products/${100_000 + products.index(random) * 7}/stock`)],
    [12, random => get('api', '/api/recommendations', `limit=20&cursor=${random.base64(12)}`)],
    [10, () => get('api', '/api/cart')],
    [10, random => send('POST', '/api/cart/items', random.between(60, 180))],
    [8, random => send('POST', '/api/events', random.between(200, 3800))],
    [6, random => get('api', '/api/search/suggest', `q=${random.pick(searches)}`)],
    [4, random => get('api', '/api/orders', `page=${random.between(1, 5)}&size=20`)],
    [3, random => send('POST', '/api/orders', random.between(600, 2400))],
    [2, random => send('POST', '/login', random.between(70, 140))],
    [2, random => send('POST', '/api/auth/refresh', random.between(300, 700))],
    [1, random => send('PUT', `/api/cart/items/${random.between(1, 9)}`, random.between(20, 60))],
    [1, random => ({ ...send('DELETE', `/api/cart/items/${random.between(1, 9)}`, 0) })],
    [0.6, random => send('POST', '/api/coupons/redeem', random.between(40, 60))],
    [0.5, random => send('POST', '/api/reviews', random.between(20_000, 900_000))],
    [0.5, random => get('api', '/api/notifications/stream', `access_token=${random.base64(64)}`)],
    [0.3, () => ({ ...get('api', '/api/orders'), method: 'OPTIONS' })],
  ],
  ([weight]) => weight,
)

export const somePage: Make = random => pages.pick(random)[1](random)
export const someCall: Make = random => calls.pick(random)[1](random)

const bundles = ['app', 'vendor', 'product', 'cart', 'search'].map(
  (name, index) => `/static/js/${name}.${(0x3fa81c7b + index * 0x01f3).toString(16)}.js`,
)
export const someAsset: Make = random => {
  if (random.chance(0.3)) return get('asset', random.pick(bundles))
  const id = 100_000 + products.index(random) * 7
  return get(
    'asset',
    `/images/products/${id}/${random.between(1, 8)}.webp`,
    `w=${random.pick(['320', '640', '1080'])}&q=80`,
  )
}
