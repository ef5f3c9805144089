import { Refused } from './refusal.ts'

/** Values that differ from shop to shop, by the name that rules give them: `cs-uri-stem|expand: '%login_paths%'`. */
export type Placeholders = Readonly<Record<string, readonly string[]>>

/** Those of the shop that Haetae comes with; the detector's `placeholders` takes the place of any. */
export const defaultPlaceholders: Placeholders = {
  login_paths: ['/login', '/api/login', '/api/auth/login', '/signin', '/api/signin', '/api/v1/login', '/oauth/token'],
  checkout_paths: ['/checkout', '/api/checkout', '/api/orders', '/api/payments'],
  coupon_paths: ['/coupon', '/coupons', '/api/coupons', '/api/coupons/redeem', '/api/coupon/redeem', '/api/gift-cards'],
  product_paths: ['/products/*', '/api/products/*', '/p/*'],
  search_paths: ['/search', '/api/search', '/api/search/*'],
}

const VALUES_MAX = 1_000
const PLACEHOLDER = /%([A-Za-z0-9_]{1,64})%/

/** The value with each placeholder replaced by each of its texts, which are taken as they are. */
export function expanded(value: string, placeholders: Placeholders): readonly string[] {
  let values = ['']
  // Every second piece is a name.
  for (const [at, piece] of value.split(PLACEHOLDER).entries()) {
    const texts = at % 2 === 0 ? [piece] : textsOf(piece, placeholders)
    values = values.flatMap(start => texts.map(text => start + text))
    if (values.length > VALUES_MAX) throw new Refused('bounds', `expand makes more than ${VALUES_MAX} values`)
  }
  return values
}

function textsOf(name: string, placeholders: Placeholders): readonly string[] {
  const texts = Object.hasOwn(placeholders, name) ? placeholders[name]! : []
  if (texts.length === 0) throw new Refused('modifier', `expand: there are no values for %${name}%`)
  return texts
}
