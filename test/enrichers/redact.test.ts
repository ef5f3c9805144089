import { describe, expect, it } from 'vitest'
import type { Event } from '../../engine/contract.ts'
import { redact } from '../../enrichers/redact.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { FakeClock } from '../support/clock.ts'
import { encodedOf, eventOf, testDeps } from '../support/deps.ts'
import { ocsfErrors } from '../support/ocsf-validator.ts'
import { args, header, JWT, more, parse, parsed, plain, R, redacted, requestOf } from '../support/redact.ts'
import { awsExamples, wafRecord, wafRequest } from '../support/waf-records.ts'

describe('headers with credentials', () => {
  it.each([
    'authorization',
    'Authorization',
    'PROXY-AUTHORIZATION',
    'cookie',
    'Cookie',
    'Set-Cookie',
    'x-api-key',
    'X-API-KEY',
    'X_Api_Key',
    'x-amz-security-token',
    'X-Csrf-Token',
    'X-Forwarded-Authorization',
    'Authentication',
    'Cookie2',
  ])('%s is redacted as a whole', name => {
    expect(header(name, 'a=b; c d, e')).toBe(R)
  })

  it.each(['Accept', 'authorizations', 'x-cookie', 'cookie3', 'x-api-keys', 'Host'])('%s is not', name => {
    expect(header(name, 'a-b; c d, e')).toBe('a-b; c d, e')
  })

  it('a name with escapes or with its value before it is that name', () => {
    const raw = JSON.stringify(wafRequest({ headers: [{ value: 'hush-hush', name: 'cookie' }] })).replace(
      '"cookie"',
      '"\\u0063ookie"',
    )
    const event = eventOf(raw, 'waf')
    void parse.apply([event], (_event, reason) => expect.fail(reason))
    expect(JSON.stringify(redacted(event))).not.toContain('hush-hush')
  })

  it('what stands beside the name under another name goes too', () => {
    const event = parsed(wafRequest({ headers: [{ name: 'Cookie', myValue: 'hush-hush' }] }))
    expect(JSON.stringify(redacted(event))).not.toContain('hush-hush')
  })

  it('an empty value stays empty', () => {
    expect(header('Cookie', '')).toBe('')
  })

  it('the matched data of a rule that looked at such a header', () => {
    const details = [
      { conditionType: 'SQL_INJECTION', location: 'HEADER', matchedFieldName: 'cookie', matchedData: ['hush'] },
    ]
    const body = redacted(parsed(wafRecord({ terminatingRuleMatchDetails: details })))
    expect((body['unmapped'] as JsonObject)['terminatingRuleMatchDetails']).toMatchObject([{ matchedData: [R] }])
  })
})

describe('what AWS WAF says about cookies', () => {
  const details = [
    { conditionType: 'XSS', location: 'COOKIE', matchedData: ['hush', '<script'], matchedFieldName: 'cart' },
    { conditionType: 'SQL_INJECTION', location: 'HEADER', matchedData: ['hush'], matchedFieldName: 'authorization' },
    { conditionType: 'SQL_INJECTION', location: 'HEADER', matchedData: ['shown'], matchedFieldName: 'user-agent' },
  ]
  const customValues = [
    { key: 'COOKIE', name: 'cart', value: 'hush' },
    { key: 'HEADER', name: 'x-api-key', value: 'hush' },
    { key: 'HEADER', name: 'dogname', value: 'shown' },
  ]
  const record = wafRecord({
    terminatingRuleMatchDetails: details,
    rateBasedRuleList: [{ rateBasedRuleName: 'rate-login', limitKey: 'CUSTOMKEYS', maxRateAllowed: 100, customValues }],
    nonTerminatingMatchingRules: [{ ruleId: 'count', action: 'COUNT', ruleMatchDetails: details }],
    ruleGroupList: [
      {
        ruleGroupId: 'g',
        terminatingRule: { ruleId: 'x', action: 'BLOCK', ruleMatchDetails: details },
        nonTerminatingMatchingRules: [],
      },
    ],
  })

  it.each([
    ['nobody looked', () => undefined],
    ['the rule was read before', (event: Event) => event.body.firewall_rule],
    ['all of it was read before', (event: Event) => JSON.stringify(event.body)],
  ])('is redacted in the rule and in what stays unmapped, when %s', (_when, look) => {
    const event = parsed(record)
    look(event)
    const body = redacted(event)
    expect(body['firewall_rule']).toMatchObject({ match_location: 'COOKIE', match_details: [R, R] })
    expect(JSON.stringify(body)).not.toContain('hush')
    expect(JSON.stringify(body).match(/"shown"/g)).toHaveLength(4)
    expect(ocsfErrors(body)).toEqual([])
  })

  it.each([
    ['authorization', R],
    ['user-agent', 'hush'],
  ])('details of the header %s, which OCSF does not name, follow the record: %s', (matchedFieldName, shown) => {
    const detail = { conditionType: 'SQL_INJECTION', location: 'HEADER', matchedData: ['hush', ''], matchedFieldName }
    for (const look of [false, true]) {
      const event = parsed(wafRecord({ terminatingRuleMatchDetails: [detail] }))
      if (look) expect(event.body.firewall_rule?.match_details).toEqual(['hush', ''])
      expect(redacted(event)['firewall_rule']).toMatchObject({ match_details: [shown, ''] })
    }
  })

  it('a member name with escapes is that member', () => {
    const raw = JSON.stringify(record).replaceAll('"location"', '"loc\\u0061tion"').replaceAll('"key"', '"\\u006bey"')
    expect(raw).toContain('\\u006bey')
    const event = eventOf(raw, 'waf')
    void parse.apply([event], (_event, reason) => expect.fail(reason))
    expect(JSON.stringify(redacted(event))).not.toContain('hush')
  })
})

describe('parameters', () => {
  it.each([
    ['token=abc&page=2', `token=${R}&page=2`],
    ['page=2&access_token=abc', `page=2&access_token=${R}`],
    ['accessToken=a&ACCESS-TOKEN=b', `accessToken=${R}&ACCESS-TOKEN=${R}`],
    ['%70assword=abc&x=1', `%70assword=${R}&x=1`],
    ['%2570assword=abc', `%2570assword=${R}`],
    ['user[password]=abc&user[name]=kim', `user[password]=${R}&user[name]=kim`],
    ['next=%2Fa%3Ftoken%3Dabc%26page%3D2', `next=%2Fa%3Ftoken%3D${R}%26page%3D2`],
    ['next=%252Fa%253Ftoken%253Dabc%2526page%253D2', `next=%252Fa%253Ftoken%253D${R}%2526page%253D2`],
    ['token=a=b==&c=d', `token=${R}&c=d`],
    ['code=abc&state=1', `code=${R}&state=1`],
    ['key=abc&pin=12', `key=${R}&pin=${R}`],
    ['user[pass]=abc&auth=x&access_key=y', `user[pass]=${R}&auth=${R}&access_key=${R}`],
  ])('%s', (before, after) => {
    expect(args(before)).toBe(after)
  })

  it.each([
    'tokens=abc',
    'page=2&sort=price',
    'token',
    'token=',
    'q=token',
    'q=100%25&r=%3D',
    'mytoken=1',
    'barcode=1&monkey=2&compass=n',
  ])('%s has no secret', text => {
    expect(args(text)).toBe(text)
  })

  it('are redacted in args, query string, referrer and the header it came from', () => {
    const headers = [{ name: 'Referer', value: 'https://shop.example/reset?token=hush-hush&page=2' }]
    const body = redacted(parsed(wafRequest({ args: 'sid=hush-hush&a=1', headers })))
    expect(requestOf(body)).toMatchObject({
      args: `sid=${R}&a=1`,
      url: { query_string: `sid=${R}&a=1` },
      referrer: `https://shop.example/reset?token=${R}&page=2`,
      http_headers: [{ value: `https://shop.example/reset?token=${R}&page=2` }],
    })
    expect(JSON.stringify(body)).not.toContain('hush-hush')
  })
})

describe('tokens that show what they are, wherever they stand', () => {
  it.each([
    ['a JSON Web Token', `x ${JWT} y`, `x ${R} y`],
    ['two of them', `${JWT},${JWT}`, `${R},${R}`],
    ['an access key id', 'id AKIAIOSFODNN7EXAMPLE.', `id ${R}.`],
    ['a temporary access key id', 'ASIAIOSFODNN7EXAMPLE', R],
    ['user and password', 'Basic dXNlcjpodXNo', `Basic ${R}`],
    ['a bearer token', 'Bearer abcdef123456 end', `Bearer ${R} end`],
  ])('%s', (_name, before, after) => {
    expect(header('X-Anything', before)).toBe(after)
    expect(requestOf(redacted(parsed(wafRequest({ uri: before }))))).toMatchObject({ url: { path: after } })
  })

  it.each([
    'eyJhbGciOiJIUzI1NiJ9',
    'eyJ.x',
    'AKIA',
    'AKIA1234',
    'akiaiosfodnn7example',
    'bearer of news',
    'Visual Basic',
  ])('%s is none', text => {
    expect(header('X-Anything', text)).toBe(text)
  })
})

describe('names of one’s own', () => {
  it('are redacted too, in any spelling, and by nobody else', () => {
    expect(header('X-Shop-Session', 'abc', more)).toBe(R)
    expect(args('VoucherCode=abc&a=1', more)).toBe(`VoucherCode=${R}&a=1`)
    expect(args('VoucherCode=abc&a=1')).toBe('VoucherCode=abc&a=1')
    expect(header('Cookie', 'abc', more)).toBe(R)
  })

  it.each([{ names: ['x'] }, { names: ['y'.repeat(65)] }, { name: ['ab'] }])('%j is refused', config => {
    expect(redact.config.safeParse(config).success).toBe(false)
  })
})

it('counts the events in which a secret was replaced', async () => {
  const own = testDeps({ clock: new FakeClock() })
  const counting = await redact.open(redact.config.parse({}), own)
  for (const text of ['token=abc&sid=d', 'page=2', `q=${JWT}`]) {
    redacted(parsed(wafRequest({ args: text })), counting)
  }
  expect(await own.metrics.expose()).toMatch(/^haetae_redact_events_total\{pipeline="test"\} 2$/m)
})

describe('nothing else changes', () => {
  it.each(awsExamples)('%s', (_title, record) => {
    const before = encodedOf(parsed(record)).json.toString()
    const after = JSON.stringify(redacted(parsed(record)))
    if (after.includes(R)) expect(before).toMatch(/cookie/i)
    else expect(after).toBe(JSON.stringify(JSON.parse(before)))
    expect(ocsfErrors(JSON.parse(after))).toEqual([])
  })

  it('the bytes as received, the id and the verdict stay', () => {
    const event = parsed(wafRequest({ args: 'token=hush-hush', headers: [{ name: 'Cookie', value: 'hush-hush' }] }))
    const raw = Buffer.from(event.raw)
    const { id, timeMs } = event
    expect(redacted(event)).toMatchObject({ disposition: 'Blocked', metadata: { uid: id } })
    expect(event.raw.equals(raw)).toBe(true)
    expect(event).toMatchObject({ id, timeMs })
  })

  it('doing it again changes nothing', () => {
    const event = parsed(wafRequest({ args: `token=abc&q=${JWT}`, headers: [{ name: 'Cookie', value: 'a' }] }))
    expect(redacted(event)).toEqual(redacted(event))
  })
})

describe('plain bodies follow the same rules', () => {
  it('members, pairs and texts', () => {
    const body = {
      password: 'abc',
      sid: 7,
      token: ['a', 2, ''],
      session: { id: 'stays' },
      pair: { name: 'Authorization', value: 'abc' },
      cmdline: `curl --data secret=abc&x=1 ${JWT}`,
      count: 3,
      none: null,
    }
    expect(redacted(plain(body))).toEqual({
      password: R,
      sid: R,
      token: [R, R, ''],
      session: { id: 'stays' },
      pair: { name: 'Authorization', value: R },
      cmdline: `curl --data secret=${R}&x=1 ${R}`,
      count: 3,
      none: null,
    })
  })

  it('what is shared or frozen is copied, not changed', () => {
    const shared = Object.freeze({ name: 'Cookie', value: 'abc' })
    expect(redacted(plain({ unmapped: { shared } }))).toEqual({ unmapped: { shared: { name: 'Cookie', value: R } } })
    expect(shared.value).toBe('abc')
  })
})
