import { describe, expect, test } from 'vitest'
import { modifierNames } from '../../../detections/sigma/modifiers.ts'
import { httpEvent, refusalOf, selects } from '../../support/sigma.ts'

const agent = (userAgent: string) => httpEvent({ userAgent })
const onAgent = (modifier: string, value: unknown, userAgent: string): boolean =>
  selects({ [`cs-user-agent${modifier}`]: value }, agent(userAgent))
const refusal = (selection: unknown) => refusalOf({ selection, condition: 'selection' })

describe('a value', () => {
  test.each([
    ['abc', 'ABC', true],
    ['abc', 'abcd', false],
    ['ab*', 'abcd', true],
    ['*cd', 'abcd', true],
    ['a*c?', 'abxcd', true],
    ['a?c', 'ac', false],
    ['a\\*c', 'a*c', true],
    ['a\\*c', 'abc', false],
    ['a\\?', 'a?', true],
    ['C:\\Windows', 'c:\\windows', true],
    ['a\\\\b', 'a\\b', true],
    ['a\\\\*', 'a\\bcd', true],
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    [200, '200', true],
    [true, 'true', true],
  ])('%j against %j: %s', (value, userAgent, wanted) => {
    expect(onAgent('', value, userAgent)).toBe(wanted)
  })

  test('null is the field that is not there, the empty text one that is', () => {
    expect(selects({ 'cs-user-agent': null }, httpEvent({}))).toBe(true)
    expect(selects({ 'cs-user-agent': null }, agent(''))).toBe(false)
    expect(selects({ 'cs-user-agent': '' }, httpEvent({}))).toBe(false)
  })

  test('case does not count, also beyond ASCII and where a letter has two small forms', () => {
    expect(onAgent('|contains', 'ΟΔΟΣ', 'οδος οδοσ')).toBe(true)
    expect(onAgent('|contains', 'straſſe', 'STRASSE')).toBe(true)
    expect(onAgent('|contains', '한글', '한글')).toBe(true)
    expect(onAgent('|contains', 'İ', 'i')).toBe(false)
  })
})

describe('modifiers', () => {
  test('contains, startswith, endswith', () => {
    expect(onAgent('|contains', 'qlm', 'SQLMap/1')).toBe(true)
    expect(onAgent('|startswith', 'sql', 'SQLMap/1')).toBe(true)
    expect(onAgent('|startswith', 'map', 'SQLMap/1')).toBe(false)
    expect(onAgent('|endswith', '/1', 'SQLMap/1')).toBe(true)
    expect(onAgent('|endswith', 'map', 'SQLMap/1')).toBe(false)
    expect(onAgent('|contains', 'a*c', 'xxabbcxx')).toBe(true)
  })

  test('all wants every value, its absence any', () => {
    expect(onAgent('|contains|all', ['a', 'b'], 'xbxax')).toBe(true)
    expect(onAgent('|contains|all', ['a', 'b'], 'xax')).toBe(false)
    expect(onAgent('|contains', ['a', 'b'], 'xax')).toBe(true)
  })

  test('cased compares exactly', () => {
    expect(onAgent('|contains|cased', 'SQL', 'SQLmap')).toBe(true)
    expect(onAgent('|contains|cased', 'SQL', 'sqlmap')).toBe(false)
    expect(onAgent('|cased', 'A*c', 'abc')).toBe(false)
  })

  test('neq wants none of the values', () => {
    expect(onAgent('|neq', ['a', 'b'], 'c')).toBe(true)
    expect(onAgent('|neq', ['a', 'b'], 'B')).toBe(false)
    expect(onAgent('|startswith|neq', 'Mozilla', 'mozilla/5.0')).toBe(false)
  })

  test('re searches, with case unless i is there; m and s as in Perl', () => {
    expect(onAgent('|re', 'b{2}', 'abba')).toBe(true)
    expect(onAgent('|re', 'B{2}', 'abba')).toBe(false)
    expect(onAgent('|re|i', 'B{2}', 'abba')).toBe(true)
    expect(onAgent('|re|i', 'K', '\u212a')).toBe(true)
    expect(onAgent('|re', '^b', 'a\nb')).toBe(false)
    expect(onAgent('|re|m', '^b', 'a\nb')).toBe(true)
    expect(onAgent('|re', 'a.b', 'a\nb')).toBe(false)
    expect(onAgent('|re|s', 'a.b', 'a\nb')).toBe(true)
  })

  test('cidr looks at addresses of both kinds', () => {
    const from = (client: string) => httpEvent({ client })
    expect(selects({ 'c-ip|cidr': '192.0.2.0/25' }, from('192.0.2.127'))).toBe(true)
    expect(selects({ 'c-ip|cidr': '192.0.2.0/25' }, from('192.0.2.128'))).toBe(false)
    expect(selects({ 'c-ip|cidr': ['10.0.0.0/8', '2001:db8::/32'] }, from('2001:DB8::1'))).toBe(true)
    expect(selects({ 'cs-user-agent|cidr': '10.0.0.0/8' }, agent('curl'))).toBe(false)
  })

  test('exists asks for the field, whatever is in it', () => {
    expect(onAgent('|exists', true, '')).toBe(true)
    expect(onAgent('|exists', false, '')).toBe(false)
    expect(selects({ 'cs-user-agent|exists': false }, httpEvent({ method: 'GET' }))).toBe(true)
  })

  test.each([
    ['gt', 5, false],
    ['gt', 4, true],
    ['gte', 5, true],
    ['lt', 5, false],
    ['lt', 5.5, true],
    ['lte', 5, true],
  ])('5 %s %d: %s', (operator, operand, wanted) => {
    const body = httpEvent({ bodyBytes: 5 })
    expect(selects({ [`http_request.body_length|${operator}`]: operand }, body)).toBe(wanted)
  })

  test('a text is no number', () => {
    expect(onAgent('|gte', 0, 'curl')).toBe(false)
    expect(onAgent('|lt', 9, '')).toBe(false)
  })

  test('fieldref compares two fields of one event', () => {
    const body = httpEvent({ host: 'Shop.example', referer: 'https://shop.example/cart', userAgent: 'shop.example' })
    expect(selects({ 'cs-user-agent|fieldref': 'cs-host' }, body)).toBe(true)
    expect(selects({ 'cs-user-agent|fieldref|cased': 'cs-host' }, body)).toBe(false)
    expect(selects({ 'cs-referer|fieldref|contains': 'cs-host' }, body)).toBe(true)
    expect(selects({ 'cs-referer|fieldref|startswith': 'cs-host' }, body)).toBe(false)
    expect(selects({ 'cs-referer|fieldref|neq': 'cs-host' }, body)).toBe(true)
  })

  test('windash takes any dash before a word, and no other', () => {
    for (const dash of ['-', '/', '–', '—', '―'])
      expect(onAgent('|windash|contains', ' -enc', `x ${dash}enc`)).toBe(true)
    expect(onAgent('|windash|contains', 'a-b', 'a/b')).toBe(false)
    expect(onAgent('|windash|contains', '-a -b', '/a –b')).toBe(true)
    expect(onAgent('|windash|contains', '-a*z', '/a...z')).toBe(true)
  })

  test('base64 encodes the value', () => {
    expect(onAgent('|base64|contains', 'foo', `x ${btoa('foo')}`)).toBe(true)
    expect(onAgent('|base64|contains', 'foo', 'foo')).toBe(false)
  })

  test('base64offset finds a value wherever it stood in what was encoded', () => {
    for (const before of ['', 'a', 'ab', 'abc']) {
      for (const after of ['', 'y', 'yz', 'xyz'])
        expect(onAgent('|base64offset|contains', 'jndi:ldap', btoa(`${before}jndi:ldap${after}`))).toBe(true)
    }
    expect(onAgent('|base64offset|contains', 'jndi:ldap', btoa('jndi:rmi'))).toBe(false)
  })

  test.each([
    ['wide', 'c\0m\0d\0'],
    ['utf16le', 'c\0m\0d\0'],
    ['utf16be', '\0c\0m\0d'],
    ['utf16', 'ÿþc\0m\0d\0'],
  ])('%s writes two bytes a character', (encoding, userAgent) => {
    expect(onAgent(`|${encoding}|contains`, 'cmd', userAgent)).toBe(true)
    expect(onAgent(`|${encoding}|contains`, 'cmd', 'cmd')).toBe(false)
  })

  test('wide and then base64offset, as PowerShell takes its commands', () => {
    const command = Buffer.from('x IEX (New-Object', 'utf16le').toString('base64')
    expect(onAgent('|wide|base64offset|contains', 'New-Object', `-enc ${command}`)).toBe(true)
  })

  test.each([
    ['expand', '%hosts%', 'modifier: expand'],
    ['expand', 7, 'invalid: expand'],
    ['hour', 3, 'modifier: hour'],
    ['near', 'a', 'modifier: there is no modifier "near"'],
    ['constructor', 'a', 'modifier: there is no modifier "constructor"'],
    ['contains|startswith', 'a', 'invalid: contains and startswith'],
    ['contains|contains', 'a', 'invalid: contains stands twice'],
    ['re|cidr', 'a', 'invalid: re and cidr'],
    ['re|contains', 'a', 'invalid: re and contains'],
    ['re|base64', 'a', 'invalid: re and base64'],
    ['i', 'a', 'invalid: i is about re'],
    ['gt', '5', 'invalid: gt compares with a number'],
    ['exists', 'yes', 'invalid: exists is true or false'],
    ['cidr', '10.0.0.0/99', 'invalid: 10.0.0.0/99 is no network'],
    ['re', '(?=a)b', 'pattern: '],
    ['re', '(a)\\1', 'pattern: '],
    ['re', '(', 'pattern: '],
    ['re', 'a'.repeat(1001), 'bounds: '],
    ['base64', 'a*b', 'invalid: a value with wildcards has no encoding'],
    ['windash', ' -a -b -c -d -e', 'bounds: windash'],
    ['contains', 'a'.repeat(4097), 'bounds: '],
    ['fieldref', 'nonsense', 'field: '],
    ['fieldref', 'sc-status', 'absent: '],
  ])('%s of %j is refused', (modifier, value, wanted) => {
    expect(refusal({ [`cs-user-agent|${modifier}`]: value })).toContain(wanted)
  })

  test('the names that run and those that are refused share none', () => {
    const { runs, refused } = modifierNames()
    expect(runs.filter(name => refused.includes(name))).toEqual([])
    expect(runs).toHaveLength(25)
  })
})

describe('selections', () => {
  test('a map wants all of its items, a list of maps any', () => {
    const body = httpEvent({ method: 'POST', path: '/a', userAgent: 'curl' })
    expect(selects({ 'cs-method': 'POST', 'cs-uri-stem': '/a' }, body)).toBe(true)
    expect(selects({ 'cs-method': 'POST', 'cs-uri-stem': '/b' }, body)).toBe(false)
    expect(selects([{ 'cs-uri-stem': '/b' }, { 'cs-method': 'POST' }], body)).toBe(true)
  })

  test('keywords are searched in request line and headers, any of them unless all is said', () => {
    const body = httpEvent({ method: 'GET', path: '/a', args: 'x=%7Bjndi', headers: { 'X-Api': 'secret agent' } })
    expect(selects(['nowhere', '{JNDI'], body)).toBe(true)
    expect(selects(['GET /a'], body)).toBe(true)
    expect(selects('x-api: SECRET', body)).toBe(true)
    expect(selects({ '|all': ['jndi', 'agent'] }, body)).toBe(true)
    expect(selects({ '|all': ['jndi', 'nowhere'] }, body)).toBe(false)
    expect(selects({ '|re': 'a[g]ent' }, body)).toBe(true)
    expect(selects(['nowhere'], body)).toBe(false)
  })

  test.each([
    [{}, 'invalid: an empty map'],
    [[], 'invalid: an empty list'],
    [{ 'cs-method': [] }, 'invalid: an empty list'],
    [{ 'cs-method': { a: 1 } }, 'invalid: a value is'],
    [{ nonsense: 1 }, 'field: nonsense'],
    [{ __proto__x: 1 }, 'field: '],
    [{ constructor: 1 }, 'field: '],
    [{ '|endswith': 'a' }, 'invalid: keywords'],
    [{ 'cs-method': Array.from({ length: 5001 }, () => 'a') }, 'bounds: '],
    [[[[[[[[[[['deep']]]]]]]]]], 'bounds: '],
    [{ 'sc-status': 200 }, 'absent: it cannot decide without sc-status'],
    [{ 'sc-status|nonsense': 200 }, 'modifier: '],
  ])('%j is refused', (selection, wanted) => {
    expect(refusal(selection)).toContain(wanted)
  })
})
