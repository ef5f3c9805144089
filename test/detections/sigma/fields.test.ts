import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodings } from '../../../detections/sigma/decode.ts'
import { fieldNames, readField, resolveField } from '../../../detections/sigma/fields.ts'
import { fold } from '../../../detections/sigma/fold.ts'
import { PATTERN_TEXT_CHARS_MAX, Pattern } from '../../../detections/sigma/pattern.ts'
import { httpEvent, selects } from '../../support/sigma.ts'

const read = (name: string, body: ReturnType<typeof httpEvent>): readonly string[] => {
  const field = resolveField(name)
  if (!('read' in field)) throw new Error(`${name} is no field`)
  return readField(field, body)
}

describe('a field of the webserver taxonomy', () => {
  const body = httpEvent({
    method: 'GET',
    path: '/a',
    args: 'b=1',
    userAgent: 'curl',
    referer: 'https://x/%41',
    host: 'shop.example',
    client: '192.0.2.1',
    labels: ['awswaf:managed:aws:bot-control:bot:verified'],
    headers: { Cookie: 'id=%31', 'Content-Type': 'text/html' },
  })

  test.each([
    ['cs-method', ['GET']],
    ['cs-uri', ['/a?b=1']],
    ['cs-uri-query', ['/a?b=1', 'b=1']],
    ['cs-uri-stem', ['/a']],
    ['cs-user-agent', ['curl']],
    ['c-useragent', ['curl']],
    ['cs-referer', ['https://x/%41', 'https://x/A']],
    ['cs-referrer', ['https://x/%41', 'https://x/A']],
    ['cs-host', ['shop.example']],
    ['cs-cookie', ['id=%31', 'id=1']],
    ['cs-content-type', ['text/html']],
    ['c-ip', ['192.0.2.1']],
    ['labels', ['awswaf:managed:aws:bot-control:bot:verified']],
    ['http_request.url.path', ['/a']],
    ['http_request.http_headers.value', ['id=%31', 'text/html']],
    ['src_endpoint.location.country', []],
    ['http_request.version', []],
  ])('%s reads %j', (name, wanted) => {
    expect(read(name, body)).toEqual(wanted)
  })

  test('none is there in an event without a request', () => {
    for (const name of fieldNames().known) expect(read(name, {}), name).toEqual([])
  })

  test('two names of one thing are one field', () => {
    expect(resolveField('cs-user-agent')).toBe(resolveField('http_request.user_agent'))
    expect(resolveField('http_request.url.path')).toBe(resolveField('http_request.url.path'))
  })

  test('what WAF never logs and what nobody knows are told apart', () => {
    for (const name of fieldNames().absent) expect(resolveField(name)).toEqual({ absent: name })
    expect(resolveField('cs-colour')).toMatchObject({ unknown: expect.stringContaining('there is no field') as string })
    expect(resolveField('__proto__')).toHaveProperty('unknown')
  })

  test('numbers and names of the record can be asked for by their path', () => {
    expect(selects({ 'http_request.body_length': 5 }, httpEvent({ bodyBytes: 5 }))).toBe(true)
    expect(selects({ 'unmapped.a.b': 'x' }, { unmapped: { a: { b: 'x' } } })).toBe(true)
    expect(selects({ 'unmapped.__proto__': 'x' }, { unmapped: { a: 1 } })).toBe(false)
  })
})

describe('URL encoding', () => {
  test.each([
    ['/a', 'url', ['/a']],
    ['/%61', 'url', ['/%61', '/a']],
    ['/%2561', 'url', ['/%2561', '/%61', '/a']],
    ['/%252561', 'url', ['/%252561', '/%2561', '/%61']],
    ['/a+b?c+d', 'url', ['/a+b?c+d', '/a+b?c d']],
    ['/a%2Bb?c%2Bd', 'url', ['/a%2Bb?c%2Bd', '/a+b?c+d', '/a+b?c d']],
    ['a+b', 'query', ['a+b', 'a b']],
    ['a+b', 'text', ['a+b']],
    ['%', 'url', ['%']],
    ['%zz%4', 'url', ['%zz%4']],
    ['%ed%95%9c', 'text', ['%ed%95%9c', '한']],
    ['..%c0%af', 'text', ['..%c0%af', '..À¯']],
  ] as const)('%s as %s reads %j', (text, is, wanted) => {
    expect(decodings(text, is)).toEqual(wanted)
  })

  test('of anything gives at most three texts, the first as it came', () => {
    const property = fc.property(fc.string({ unit: fc.constantFrom('%', '2', '5', 'a', '+', '?', 'f') }), text => {
      const variants = decodings(text, 'url')
      expect(variants[0]).toBe(text)
      expect(variants.length).toBeLessThanOrEqual(3)
      expect(new Set(variants).size).toBe(variants.length)
    })
    fc.assert(property)
  })

  test('hides nothing from a rule', () => {
    const finds = (path: string, args = '') =>
      selects({ 'cs-uri-query|contains': '../etc/passwd' }, httpEvent({ path, args }))
    expect(finds('/../etc/passwd')).toBe(true)
    expect(finds('/%2e%2e%2fetc/passwd')).toBe(true)
    expect(finds('/x', 'f=%252e%252e%252fetc%252fpasswd')).toBe(true)
    expect(finds('/x', 'f=etc/passwd')).toBe(false)
  })
})

describe('folding', () => {
  test('makes of every character one that Unicode’s simple case folding takes for the same', () => {
    const wrong: string[] = []
    for (let code = 0; code < 0x20000; code++) {
      if (code >= 0xd800 && code < 0xe000) continue
      const char = String.fromCodePoint(code)
      const folded = fold(char)
      const escaped = `\\u{${code.toString(16)}}`
      if (folded.length !== char.length || !new RegExp(`^${escaped}$`, 'iu').test(folded)) wrong.push(char)
    }
    expect(wrong).toEqual([])
  })

  test('brings small and capital letters together', () => {
    for (const [a, b] of ['aA', 'éÉ', 'σς', 'σΣ', 'ßẞ', 'k\u212a', 'sſ', 'яЯ', 'ﬀﬀ'].map(pair => pair.split('')))
      expect(fold(a!), a).toBe(fold(b!))
    expect(fold('𐐀')).toBe(fold('𐐨'))
  })
})

describe('a pattern', () => {
  test('that would keep a backtracking engine busy for ever answers at once', () => {
    for (const source of ['^(a+)+$', '(a|aa)*b', '(.*a){20}', '([a-z]+)*\\d']) {
      expect(new Pattern(source, '').finds(`${'a'.repeat(50_000)}!`), source).toBe(source.startsWith('(.*a)'))
    }
  })

  test('sees the first characters of a text, however long it is', () => {
    expect(new Pattern('b', '').finds(`${'a'.repeat(PATTERN_TEXT_CHARS_MAX)}b`)).toBe(false)
    expect(new Pattern('b', '').finds(`${'a'.repeat(PATTERN_TEXT_CHARS_MAX - 1)}b`)).toBe(true)
  })

  test('gives the same answer the second time, also after many others', () => {
    const pattern = new Pattern('^a\\d*5$', '')
    const answers = () => Array.from({ length: 2_000 }, (_, at) => pattern.finds(`a${at}`))
    expect(answers()).toEqual(answers())
    expect(answers().filter(Boolean)).toHaveLength(200)
  })

  test.each(['(a{1000}){1000}', '(?<=a)b', '\\1', '[', '*a'])('%s is refused', source => {
    expect(() => new Pattern(source, '')).toThrow()
  })
})
