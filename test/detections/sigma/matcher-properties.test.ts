import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fold } from '../../../detections/sigma/fold.ts'
import type { Place } from '../../../detections/sigma/formula.ts'
import { matchesGlob, parseGlob } from '../../../detections/sigma/glob.ts'
import { LiteralSearch } from '../../../detections/sigma/literals.ts'
import { Matcher } from '../../../detections/sigma/matcher.ts'
import { type Asked, type Condition, httpEvent, type Item, reference, ruleOf, written } from '../../support/sigma.ts'

/** Few characters, so that texts and patterns meet; of those beyond ASCII some fold into ASCII. */
const letters = ['a', 'A', 'b', 'k', 'K', 's', '/', '.', 'ſ', '\u212a', 'Σ', 'ς', 'σ', '가', 'ß', 'ẞ']
const text = (max: number) => fc.string({ unit: fc.constantFrom(...letters, '%', '+', '?', '\\'), maxLength: max })
const value = fc.oneof(
  { weight: 5, arbitrary: fc.string({ unit: fc.constantFrom(...letters), maxLength: 4 }) },
  { weight: 2, arbitrary: fc.string({ unit: fc.constantFrom(...letters, '*', '?', '\\'), maxLength: 6 }) },
  { weight: 1, arbitrary: fc.constantFrom('', '*', '??', '%61', '%', 'a*k', '\\*', '\\\\') },
)
const event = fc.record(
  {
    method: fc.constantFrom('GET', 'POST', 'a'),
    path: text(8).map(rest => `/${rest}`),
    args: text(8),
    userAgent: text(8),
    referer: text(8),
    host: text(4),
    client: fc.constantFrom('192.0.2.1', '192.0.2.200', '2001:db8::1'),
    labels: fc.array(text(4), { maxLength: 3 }),
    bodyBytes: fc.nat(9),
    headers: fc.dictionary(fc.constantFrom('Cookie', 'content-type', 'a'), text(6), { noNullPrototype: true }),
  },
  { requiredKeys: [] },
)
const fields = [
  'cs-uri-query',
  'cs-uri-stem',
  'cs-user-agent',
  'cs-method',
  'cs-host',
  'cs-cookie',
  'labels',
  'cs-referer',
  '',
]

const textItem = fc
  .tuple(
    fc.constantFrom(...fields),
    fc.constantFrom('', '|contains', '|startswith', '|endswith'),
    fc.constantFrom('', '|cased', '|neq'),
    fc.constantFrom('', '|all'),
    fc.oneof(
      value,
      fc.array(fc.oneof({ weight: 9, arbitrary: value }, { weight: 1, arbitrary: fc.constant(null) }), {
        minLength: 1,
        maxLength: 4,
      }),
    ),
  )
  .map(([field, place, more, all, operand]): [string, unknown] => [
    `${field}${field === '' ? '' : place}${more}${all}` || '|contains',
    operand,
  ])
const otherItem = fc.constantFrom<[string, unknown]>(
  ['cs-user-agent|exists', false],
  ['cs-cookie|exists', true],
  ['c-ip|cidr', ['192.0.2.0/25', '2001:db8::/32']],
  ['http_request.body_length|gt', 4],
  ['http_request.body_length|lte', 2],
  ['http_request.http_headers.name', 'COOKIE'],
  ['cs-user-agent|re', 'a.*[bk]'],
  ['cs-uri-query|re|i', '^/a+'],
)
const selection = fc
  .array(fc.oneof({ weight: 4, arbitrary: textItem }, { weight: 1, arbitrary: otherItem }), {
    minLength: 1,
    maxLength: 3,
  })
  .map((items): Item => Object.fromEntries(items))
const { condition } = fc.letrec<{ condition: Condition }>(tie => ({
  condition: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<Condition>('one', 'two', 'three'),
    fc.record({ and: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ or: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('condition') }),
  ),
}))
const drawn = fc.record({ selections: fc.record({ one: selection, two: selection, three: selection }), condition })

describe('the compiled rules', () => {
  test('answer as the naive evaluation of each rule by itself does', () => {
    let matched = 0
    let missed = 0
    const property = fc.property(
      fc.array(drawn, { minLength: 1, maxLength: 6 }),
      fc.array(event, { minLength: 1, maxLength: 6 }),
      (given, events) => {
        const rules = given.map(each => ruleOf({ ...each.selections, condition: written(each.condition) }))
        const matcher = new Matcher(rules)
        for (const asked of events) {
          const body = httpEvent(asked as Asked)
          const wanted = rules.filter((_, at) => reference(given[at]!.selections, given[at]!.condition, body))
          expect(matcher.match(body).map(({ id }) => id)).toEqual(wanted.map(({ id }) => id))
          matched += wanted.length
          missed += rules.length - wanted.length
        }
      },
    )
    fc.assert(property, { numRuns: 1500 })
    // The property must have looked at both answers, often.
    expect(Math.min(matched, missed)).toBeGreaterThan(1000)
  })
})

describe('the search for literals', () => {
  const places: readonly Place[] = ['whole', 'start', 'end', 'inside']
  const literal = fc.tuple(
    fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 4 }),
    fc.constantFrom(...places),
  )

  test('finds exactly what a look for each one finds, in its place and whatever the case', () => {
    const property = fc.property(fc.array(literal, { minLength: 1, maxLength: 12 }), text(16), (given, haystack) => {
      const literals = given.map(([each, place], id) => ({ id, text: fold(each), place }))
      const found = new Set<number>()
      new LiteralSearch(literals).search(haystack, id => found.add(id))
      const folded = fold(haystack)
      const wanted = literals.filter(({ text: wantedText, place }) => {
        if (place === 'whole') return folded === wantedText
        if (place === 'start') return folded.startsWith(wantedText)
        return place === 'end' ? folded.endsWith(wantedText) : folded.includes(wantedText)
      })
      expect([...found].sort((a, b) => a - b)).toEqual(wanted.map(({ id }) => id))
    })
    fc.assert(property, { numRuns: 2000 })
  })

  test('refuses more literals than its table may hold', () => {
    const literals = Array.from({ length: 4000 }, (_, id) => {
      return {
        id,
        text: Array.from({ length: 90 }, (__, at) => String.fromCharCode(0x4e00 + ((id * 31 + at * 7) % 3000))).join(
          '',
        ),
        place: 'inside' as const,
      }
    })
    expect(() => new LiteralSearch(literals)).toThrow(/load fewer/)
  })
})

test('a glob matches what the same regular expression matches', () => {
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '\\'), maxLength: 8 })
  const property = fc.property(
    pattern,
    fc.string({ unit: fc.constantFrom('a', 'b', '\\', '*'), maxLength: 10 }),
    (written_, given) => {
      const tokens = parseGlob(written_)
      const source = tokens.map(token =>
        token === 0 ? '[^]*' : token === 1 ? '[^]' : token.replace(/[\\*?]/g, '\\$&'),
      )
      expect(matchesGlob(tokens, given)).toBe(new RegExp(`^${source.join('')}$`).test(given))
    },
  )
  fc.assert(property, { numRuns: 5000 })
})
