import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { readRules, together } from '../../../detections/sigma/read.ts'
import { correlation, pathRule } from '../../support/correlations.ts'

function setOf(...documents: readonly object[]) {
  return together([readRules('rules/a.yml', documents.map(each => stringify(each)).join('---\n'))])
}

/** Why it does not run, as `reason: message`; undefined when it does. */
function refusal(about: object, ...others: readonly object[]): string | undefined {
  const made = correlation({ rules: ['login'], 'group-by': ['c-ip'], ...about })
  const { refused } = setOf(pathRule('login'), pathRule('cart'), ...others, made)
  const own = refused.find(({ id }) => id === made['id'])
  return own && `${own.reason}: ${own.message}`
}

describe('a correlation', () => {
  test('stands beside its rules, in the same file or another, and names them by name or id', () => {
    const rule = pathRule('login')
    const by = (reference: unknown) => correlation({ rules: [reference], 'group-by': ['c-ip'] })
    const files = [[by('login'), by(rule['id'])], [rule]].map((documents, at) =>
      readRules(`rules/${at}.yml`, documents.map(each => stringify(each)).join('---\n')),
    )
    const { correlations, refused, feeding } = together(files)
    expect(refused).toEqual([])
    expect(correlations.map(({ bases }) => bases[0]!.rule.id)).toEqual([rule['id'], rule['id']])
    expect([...feeding]).toEqual([rule['id']])
  })

  test('is counted where it is read only if its groups hold the client’s address', () => {
    const made = (...fields: string[]) => correlation({ rules: ['login'], 'group-by': fields })
    const { correlations } = setOf(
      pathRule('login'),
      made('c-ip'),
      made('cs-uri-stem', 'src_endpoint.ip'),
      made('haetae.client'),
      made('haetae.network24'),
      made('cs-uri-stem'),
      made(),
    )
    expect(correlations.map(({ inPlace }) => inPlace)).toEqual([true, true, true, false, false, false])
  })

  test.each([
    ['event_count', { condition: { gt: 9 } }, 10],
    ['event_count', { condition: { gte: 9, gt: 9 } }, 10],
    ['value_count', { condition: { field: 'cs-uri-stem', gte: 2 } }, 2],
    ['temporal', { rules: ['login', 'cart'], condition: undefined }, 2],
    ['temporal', { rules: ['login', 'cart'], condition: { gte: 1 } }, 1],
    ['temporal_ordered', { rules: ['login', 'cart'], condition: undefined }, 2],
  ])('of type %s may say %j', (type, about, atLeast) => {
    const { correlations } = setOf(
      pathRule('login'),
      pathRule('cart'),
      correlation({ rules: ['login'], 'group-by': ['c-ip'], ...about, type }),
    )
    expect(correlations.map(each => each.atLeast)).toEqual([atLeast])
  })

  test.each([
    [{ type: 'value_avg' }, /^correlation: of the types there are/],
    [{ condition: { lt: 3 } }, /^window: lt can still change/],
    [{ condition: { gte: 3, lte: 9 } }, /^window: lte/],
    [{ condition: { eq: 3 } }, /^window: eq/],
    [{ condition: { neq: 3 } }, /^window: neq/],
    [{ condition: { over: 3 } }, /^invalid: there is no operator over/],
    [{ condition: { gte: 0 } }, /^invalid: a count of nothing/],
    [{ condition: { gte: 1.5 } }, /^invalid: gte compares with a whole number/],
    [{ condition: { gte: 6_000 } }, /^bounds: .* up to 5000/],
    [{ condition: {} }, /^invalid: there is no count/],
    [{ condition: 'login and cart' }, /^correlation: a condition is a map/],
    [{ condition: { field: 'c-ip', gte: 3 } }, /^invalid: value_count, and it alone/],
    [{ type: 'value_count' }, /^invalid: value_count, and it alone/],
    [{ type: 'temporal', rules: ['login', 'cart'], condition: { gte: 3 } }, /^invalid: there are only 2 rules/],
    [
      { type: 'temporal_ordered', rules: ['login', 'cart'], condition: { gte: 1 } },
      /^correlation: in order, all rules/,
    ],
    [{ timespan: '5 minutes' }, /^invalid: 5 minutes is no time/],
    [{ timespan: '2d' }, /^bounds: a time span is at most 1d/],
    [{ rules: ['login', 'nobody'] }, /^reference: there is no rule nobody/],
    [{ rules: ['login', 'login'] }, /^invalid: a rule stands twice/],
    [{ 'group-by': ['sc-status'] }, /^absent: sc-status of login: WAF never logs sc-status/],
    [{ 'group-by': ['nothing.here'] }, /^field: nothing.here of login: there is no field nothing/],
    [
      { 'group-by': ['who'], aliases: { who: { cart: 'c-ip' } } },
      /^invalid: who of login: the alias who says no field/,
    ],
  ])('that says %j is refused by name with the reason', (about, said) => {
    expect(refusal(about)).toMatch(said)
  })

  test('of correlations is refused, and so is one of two with one name or id', () => {
    const first = correlation({ rules: ['login'], 'group-by': ['c-ip'] }, { name: 'many' })
    expect(refusal({ rules: ['many'] }, first)).toMatch(/^correlation: many is a correlation itself/)
    const { refused, correlations } = setOf(
      pathRule('login'),
      first,
      { ...correlation({ rules: ['login'] }), name: 'login' },
      first,
    )
    expect(refused.map(({ reason }) => reason)).toEqual(['duplicate', 'duplicate'])
    expect(correlations).toHaveLength(1)
  })

  test('that does not run leaves its rules silent: what is to be counted is not said one by one', () => {
    const rule = pathRule('login')
    const { feeding } = setOf(
      rule,
      correlation({ rules: ['login'], condition: { lt: 3 } }),
      correlation({ rules: ['login', 'nobody'] }),
    )
    expect([...feeding]).toEqual([rule['id']])
  })
})
