import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DocumentReader } from '../../../platform/json/document.ts'
import type { Json, JsonObject } from '../../../platform/ocsf/event.ts'
import { redactDocument } from '../../../platform/redaction/document.ts'
import { redactLoose } from '../../../platform/redaction/loose.ts'
import { SecretNames } from '../../../platform/redaction/names.ts'
import { redactValue } from '../../../platform/redaction/plain.ts'

const R = '[redacted]'
const names = new SecretNames(['x-shop-session', '쿠폰'])
const reader = new DocumentReader()

function inDocument(json: string): Json {
  const document = reader.read(Buffer.from(json))
  if (typeof document === 'string') throw new Error(document)
  const isFound = redactDocument(document, names)
  const value = document.value(document.root) as Json
  const isChanged = JSON.stringify(value) !== JSON.stringify(JSON.parse(json))
  // What says so already, but with escapes, is replaced again.
  if (!json.includes('\\u')) expect(isFound).toBe(isChanged)
  else if (isChanged) expect(isFound).toBe(true)
  return value
}

/** In every form an event has: bytes with their tape, a plain object, text that nothing is known about. */
const forms: readonly (readonly [form: string, redacted: (value: Json) => Json])[] = [
  ['a document', value => inDocument(JSON.stringify(value))],
  ['a document with escapes everywhere', value => inDocument(escaped(JSON.stringify(value)))],
  ['a plain object', value => redactValue(value, names) as Json],
  ['loose text', value => JSON.parse(redactLoose(JSON.stringify(value), names)) as Json],
  ['loose text with white space', value => JSON.parse(redactLoose(JSON.stringify(value, undefined, 1), names)) as Json],
]

/** The same JSON with every letter written as \uXXXX, outside of escapes and literals. */
function escaped(json: string): string {
  return json.replace(/"(?:[^"\\]|\\.)*"/g, string =>
    string.replace(/\\(?:u.{4}|.)|[a-zA-Z]/g, part =>
      part.length > 1 ? part : `\\u${part.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  )
}

/** Given, and what is left of it. */
const gaps: readonly (readonly [what: string, before: JsonObject, after: JsonObject])[] = [
  ...['COOKIE', 'COOKIES', 'SINGLE_COOKIE', 'Cookie'].flatMap((location): [string, JsonObject, JsonObject][] => [
    [
      `what AWS WAF matched in ${location}`,
      { conditionType: 'XSS', location, matchedData: ['<', 'script'], matchedFieldName: 'sid' },
      { conditionType: 'XSS', location, matchedData: [R, R], matchedFieldName: 'sid' },
    ],
    [
      `firewall_rule of a match in ${location}`,
      { match_details: ['<', 'script'], match_location: location, uid: 'r' },
      { match_details: [R, R], match_location: location, uid: 'r' },
    ],
  ]),
  [
    'what AWS WAF matched in a secret header',
    { matchedData: ['a', 'b'], location: 'HEADER', matchedFieldName: 'x-api-key' },
    { matchedData: [R, R], location: 'HEADER', matchedFieldName: 'x-api-key' },
  ],
  [
    'what it matched elsewhere',
    { matchedData: ['a', 'b'], location: 'HEADER', matchedFieldName: 'user-agent' },
    { matchedData: ['a', 'b'], location: 'HEADER', matchedFieldName: 'user-agent' },
  ],
  [
    'the cookie by which a rate rule counts',
    { key: 'COOKIE', name: 'cart', value: 'abc' },
    { key: 'COOKIE', name: 'cart', value: R },
  ],
  [
    'the header by which it counts',
    { value: 'abc', key: 'HEADER', name: 'Authorization' },
    { value: R, key: 'HEADER', name: 'Authorization' },
  ],
  [
    'the address by which it counts',
    { key: 'IP', value: '192.0.2.7', name: 'dogname' },
    { key: 'IP', value: '192.0.2.7', name: 'dogname' },
  ],
  ['a number before its name', { value: 1234, name: 'pin' }, { value: R, name: 'pin' }],
  ['lists in lists', { token: [['a'], [[7]]], n: [[1]] }, { token: [[R], [[R]]], n: [[1]] }],
  [
    'an object as the value of a cookie, after its name and before it',
    {
      a: { name: 'cookie', value: { a: 'S', b: [7, { c: 'T' }], d: null } },
      b: { value: { a: { b: 'S' } }, name: 'sid' },
    },
    { a: { name: 'cookie', value: { a: R, b: [R, { c: R }], d: null } }, b: { value: { a: { b: R } }, name: 'sid' } },
  ],
  [
    'cookies as members of an object',
    { headers: { cookie: { cart: 'S', 'user-agent': 'T' }, Accept: 'text/html' } },
    { headers: { cookie: { cart: R, 'user-agent': R }, Accept: 'text/html' } },
  ],
  ['a list of names', { name: ['a', ['Cookie']], value: 'S' }, { name: ['a', ['Cookie']], value: R }],
  ['a list of names after its value', { value: ['S'], name: ['cookie'] }, { value: [R], name: ['cookie'] }],
  [
    'a list of places',
    { location: ['URI', 'COOKIE'], matchedData: ['S'] },
    { location: ['URI', 'COOKIE'], matchedData: [R] },
  ],
  ['a list of names that mean nothing', { name: ['a', 'b'], value: 'S' }, { name: ['a', 'b'], value: 'S' }],
  ...['authorization ', ' authorization', 'X-Api-Key\t', '\u0000cookie\r\n', `cookie${' '.repeat(200)}`].flatMap(
    (name): [string, JsonObject, JsonObject][] => [
      [`a header named ${JSON.stringify(name)}`, { name, value: 'S' }, { name, value: R }],
      [`a member named ${JSON.stringify(name)}`, { [name]: 'S' }, { [name]: R }],
    ],
  ),
  [
    'a match in some header, of which OCSF does not keep the name',
    { match_location: 'HEADER', match_details: ['S'], condition: 'SQL_INJECTION' },
    { match_location: 'HEADER', match_details: [R], condition: 'SQL_INJECTION' },
  ],
  [
    'a match in the arguments',
    { match_location: 'ALL_QUERY_ARGS', match_details: ['1', 'OR', 'token=S'] },
    { match_location: 'ALL_QUERY_ARGS', match_details: ['1', 'OR', `token=${R}`] },
  ],
  ['a parameter with a blank behind its name', { args: 'a=1&password%20=S&b=2' }, { args: `a=1&password%20=${R}&b=2` }],
  [
    'an object in a secret’s place that OCSF has there',
    { session: { id: 'a', pwd: 'b' } },
    { session: { id: 'a', pwd: R } },
  ],
  ['several namings in one object', { name: 'a', key: 'sid', myValue: 'x' }, { name: 'a', key: 'sid', myValue: R }],
  ['a name of one’s own in other letters', { 쿠폰: 'abc' }, { 쿠폰: R }],
  ...['X-Forwarded-Authorization', 'Authentication', 'Cookie2', 'Set-Cookie2', 'X-Shop-Session'].map(
    (name): [string, JsonObject, JsonObject] => [name, { name, value: 'abc' }, { name, value: R }],
  ),
  ...['code', 'auth', 'pass', 'accesskey', 'access_key', 'pin', 'key'].flatMap(
    (name): [string, JsonObject, JsonObject][] => [
      [`parameter ${name}`, { args: `a=1&${name}=abc&b=2` }, { args: `a=1&${name}=${R}&b=2` }],
      [`a pair named ${name}`, { name, value: 'abc' }, { name, value: R }],
      [`encoded parameter ${name}`, { q: `u=%3F${name}%3Dabc%26b%3D2` }, { q: `u=%3F${name}%3D${R}%26b%3D2` }],
    ],
  ),
  ...['auth', 'pass', 'accesskey', 'access_key', 'pin'].map((name): [string, JsonObject, JsonObject] => {
    return [`member ${name}`, { [name]: 'abc' }, { [name]: R }]
  }),
  ['code and key as members are no secrets', { code: 429, key: 'COUNT' }, { code: 429, key: 'COUNT' }],
  ...[
    'country-code=KR',
    'encode=1',
    'passive=1',
    'compass=n',
    'author=kim',
    'oauth2=x',
    'pinned=1',
    'spin=2',
    'keyword=hat',
    'monkey=1',
    'key_id=1',
    'error_code=5',
  ].map((args): [string, JsonObject, JsonObject] => [args, { args }, { args }]),
  ['Basic', { x: 'Basic dXNlcjpodXNo' }, { x: `Basic ${R}` }],
  ['basic, encoded', { x: 'basic%20dXNlcjpodXNo' }, { x: `basic%20${R}` }],
  ['Basic with little behind it', { x: 'Basic hushhush' }, { x: `Basic ${R}` }],
  [
    'Basic inside a command line',
    { x: 'curl -H "Authorization: Basic dXNlcjpodXNo" /' },
    { x: `curl -H "Authorization: Basic ${R}" /` },
  ],
  ['Basic anywhere, when it is a pair', { x: 'with Basic dXNlcjpodXNo.' }, { x: `with Basic ${R}` }],
  ['basic as a word', { x: 'the basic training, basics' }, { x: 'the basic training, basics' }],
]

describe.each(forms)('%s', (_form, redacted) => {
  it.each(gaps)('%s', (_what, before, after) => {
    expect(redacted(before)).toEqual(after)
    expect(redacted([{ inside: before }])).toEqual([{ inside: after }])
  })
})

describe('the three agree', () => {
  const keys = fc.constantFrom(
    ...['name', 'key', 'Name', 'matchedFieldName', 'location', 'match_location', 'matchLocation', 'value', 'myValue'],
    ...[
      'matchedData',
      'match_details',
      'cookie',
      'cookie ',
      ' name',
      'X-Api-Key',
      'code',
      'pin',
      'args',
      'a',
      '쿠폰',
      'session',
      '해태',
    ],
  )
  const texts = fc.oneof(
    fc.constantFrom(
      'COOKIE',
      'HEADER',
      'cookie',
      'Cookie  ',
      'code',
      'key',
      'Authorization',
      'dogname',
      'SINGLE_COOKIE',
      '',
    ),
    fc.constantFrom(
      'a=1&token=x',
      'Basic dXNlcjpodXNo',
      'the basics',
      'pin=1&key=2',
      '%63ode=1',
      'q=\\"x"',
      'null',
      '7',
    ),
    fc.string({ unit: 'binary', maxLength: 8 }).map(text => text.toWellFormed()),
  )
  const { value } = fc.letrec<{ value: Json; object: JsonObject; list: Json[] }>(tie => ({
    value: fc.oneof(
      { maxDepth: 4 },
      texts,
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(number => number + 0),
      fc.constantFrom(null, true, false),
      tie('object'),
      tie('list'),
    ),
    object: fc.dictionary(keys, tie('value'), { maxKeys: 5, noNullPrototype: true }),
    list: fc.array(tie('value'), { maxLength: 3 }),
  }))

  it('on a secret at any place in a string, whatever four bytes it falls into, also at the very end of a document', () => {
    const secrets = ['pin=1', '%2570in=1', 'Bearer abcdef', 'Basic dXNlcjpodXNo', 'ASIAIOSFODNN7EXAMPLE', 'eyJa.b.c']
    for (const secret of secrets) {
      for (let before = 0; before < 9; before++) {
        for (const text of [`${' '.repeat(before)}${secret}`, `${'"'.repeat(before)}?${secret} b`]) {
          const expected = redactValue(text, names)
          expect(expected).toContain(R)
          for (const [form, redacted] of forms) expect({ form, is: redacted(text) }).toEqual({ form, is: expected })
        }
      }
    }
  })

  it('on every JSON value, and doing it again changes nothing', () => {
    fc.assert(
      fc.property(value, given => {
        const expected = redactValue(given, names)
        for (const [form, redacted] of forms) {
          expect({ form, is: redacted(given) }).toEqual({ form, is: expected })
          expect({ form, is: redacted(expected as Json) }).toEqual({ form, is: expected })
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('and no spelling of a secret’s name shows what it names, whatever shape the value has', () => {
    const blanks = fc.string({ unit: fc.constantFrom(' ', '\t', '\r', '\n', '\u0000'), maxLength: 90 })
    const spelt = fc
      .tuple(
        blanks,
        fc.constantFrom('cookie', 'Set-Cookie', 'AUTHORIZATION', 'x-api-key', 'X_Amz_Security_Token', 'password'),
        blanks,
      )
      .map(parts => parts.join(''))
    const { named } = fc.letrec<{ named: Json }>(tie => ({
      named: fc.oneof({ maxDepth: 2 }, spelt, fc.array(tie('named'), { minLength: 1, maxLength: 2 })),
    }))
    const secret = 'hush-9f3a71'
    const { shaped } = fc.letrec<{ shaped: Json }>(tie => ({
      shaped: fc.oneof(
        { maxDepth: 3 },
        fc.constant(secret),
        fc.array(tie('shaped'), { minLength: 1, maxLength: 2 }),
        fc.dictionary(keys, tie('shaped'), { minKeys: 1, maxKeys: 3, noNullPrototype: true }),
      ),
    }))
    const record = fc.oneof(
      fc.tuple(named, shaped).map(([name, value]) => ({ name, value })),
      fc.tuple(named, shaped).map(([name, myValue]) => ({ myValue, x: 1, name })),
      fc.tuple(spelt, shaped).map(([name, value]) => ({ [name]: value })),
      shaped.map(matchedData => ({ matchedData, location: ['URI', 'SINGLE_COOKIE'] })),
      shaped.map(match_details => ({ match_details, match_location: 'HEADER' })),
    )
    fc.assert(
      fc.property(record, given => {
        for (const [form, redacted] of forms) {
          expect({ form, is: JSON.stringify(redacted([given] as Json)) }).not.toMatchObject({
            is: expect.stringContaining('hush'),
          })
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('and no cut of a record with its names first shows what they name', () => {
    const secret = 'hush-9f3a71'
    const records = fc
      .constantFrom<JsonObject>(
        { key: 'COOKIE', name: 'cart', value: secret },
        { location: 'COOKIES', matchedData: ['x', secret, { name: 'pin', value: secret }] },
        { matchedFieldName: 'code', matchedData: [secret] },
        { accessKey: [secret, [secret]], n: 5 },
      )
      .chain(record => fc.tuple(fc.constant(JSON.stringify({ list: [record, record] })), fc.nat(), fc.string()))
    fc.assert(
      fc.property(records, ([json, at, junk]) => {
        const cut = json.slice(0, at % (json.length + 1))
        expect(redactLoose(cut + junk.replaceAll('u', ''), names)).not.toContain('hu')
      }),
      { numRuns: 1000 },
    )
  })
})
