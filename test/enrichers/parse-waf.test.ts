import { describe, expect, it } from 'vitest'
import type { Event } from '../../engine/contract.ts'
import { parseWaf } from '../../enrichers/parse-waf.ts'
import type { Json, JsonObject } from '../../platform/ocsf/event.ts'
import { FakeClock } from '../support/clock.ts'
import { eventOf, testDeps } from '../support/deps.ts'
import { parser } from '../support/parse.ts'
import { awsExamples, leavesOf, wafRecord, wafRequest, wafTraffic } from '../support/waf-records.ts'

const stage = await parseWaf.open(parseWaf.config.parse({}), testDeps({ clock: new FakeClock() }))
const { mapped } = parser(stage, 'waf')

function parsed(record: unknown): Event {
  const event = eventOf(record, 'waf')
  expect(stage.apply([event], (_event, reason) => expect.fail(reason))).toHaveLength(1)
  return event
}

/** The event as it goes to a sink. */
function encoded(record: unknown): JsonObject {
  return JSON.parse(parsed(record).encode!().toString()) as JsonObject
}

const knownActions = new Set(['ALLOW', 'BLOCK', 'CAPTCHA', 'CHALLENGE'])

/** What of the record is not in its event. A known action is there as numbers with captions, see the verdicts. */
function lostOf(record: JsonObject, body: Json): string[] {
  const there = new Set(leavesOf(body).map(([, text]) => text))
  return leavesOf(record)
    .filter(([path, text]) => !there.has(text) && !(path === '/action' && knownActions.has(text)))
    .map(([path]) => path)
}

const labelsOf = (record: JsonObject): unknown => mapped(record).metadata?.labels
const wouldBlock = (record: JsonObject): string[] =>
  ((labelsOf(record) ?? []) as string[]).filter(label => label.startsWith('haetae:would-block:'))

describe('every record becomes a valid HTTP Activity and loses nothing', () => {
  it.each(awsExamples)("AWS's own: %s", (_title, record) => {
    expect(mapped(record)).toMatchObject({ class_uid: 4002, time: record['timestamp'] })
    expect(lostOf(record, encoded(record))).toEqual([])
    expect(lostOf(record, mapped(record) as Json)).toEqual([])
  })

  it('made-up traffic of a day', () => {
    const records = wafTraffic(300)
    expect(records.length).toBeGreaterThanOrEqual(300)
    for (const record of records) {
      const body = JSON.parse(JSON.stringify(mapped(record))) as JsonObject
      expect(lostOf(record, body)).toEqual([])
      expect(encoded(record)).toEqual(body)
    }
  })

  it('with every field that has a place', () => {
    const event = parsed(wafRecord())
    expect(event.body.metadata?.uid).toBe(event.id)
    expect(mapped(wafRecord())).toMatchObject({
      activity_id: 6,
      type_uid: 400_206,
      severity_id: 1,
      time: 1_795_000_000_123,
      metadata: { uid: event.id, log_version: '1', original_time: '1795000000123' },
      cloud: { provider: 'AWS', region: 'ap-northeast-2', account: { uid: '123456789012' } },
      src_endpoint: { ip: '203.0.113.9', location: { country: 'KR' } },
      dst_endpoint: { svc_name: 'ALB', uid: 'app/shop/abc', hostname: 'www.haetae-shop.example' },
      http_request: {
        http_method: 'POST',
        version: 'HTTP/2.0',
        uid: 'req-1',
        url: {
          scheme: 'https',
          hostname: 'www.haetae-shop.example',
          path: '/login',
          query_string: 'next=%2Fcart&page=2',
        },
        args: 'next=%2Fcart&page=2',
        user_agent: 'Mozilla/5.0',
        referrer: 'https://www.haetae-shop.example/cart',
        x_forwarded_for: ['198.51.100.7', '2001:db8::1'],
        body_length: 77,
        http_headers: (wafRecord()['httpRequest'] as JsonObject)['headers'],
      },
      http_response: { code: 429 },
      firewall_rule: {
        uid: 'rate-login',
        type: 'RATE_BASED',
        name: 'rate-login',
        rate_limit: 100,
        condition: 'XSS',
        match_location: 'BODY',
        match_details: ['<', 'script'],
        sensitivity: 'LOW',
      },
      ja4_fingerprint_list: [{ type: 'JA4', value: 't13d1516h2_8daaf6152771_02713d6af862' }],
      tls: { version: '1.3', ja3_hash: { value: 'e7d705a3286e19ea42f587b344ee6865' } },
      observables: [{ name: 'src_endpoint.ip', value: '203.0.113.9' }],
    })
  })

  it('equal bytes have one id, other bytes another', () => {
    const uid = (record: JsonObject): unknown => mapped(record).metadata?.uid
    expect(uid(wafRecord())).toBe(uid(wafRecord()))
    expect(uid(wafRecord({ requestBodySize: 78 }))).not.toBe(uid(wafRecord()))
  })
})

describe('the verdict comes from the top-level action alone', () => {
  it.each([
    ['ALLOW', 'Allowed', 'Allowed', 'Success'],
    ['BLOCK', 'Denied', 'Blocked', 'Failure'],
    ['CAPTCHA', 'Denied', 'Captcha', 'Failure'],
    ['CHALLENGE', 'Denied', 'Challenge', 'Failure'],
    ['NEW_ONE', 'NEW_ONE', 'Other', 'Other'],
    ['block', 'block', 'Other', 'Other'],
  ])('%s', (given, action, disposition, status) => {
    expect(mapped(wafRecord({ action: given }))).toMatchObject({ action, disposition, status })
  })

  it('and is unknown without one', () => {
    const { action: _, ...silent } = wafRecord()
    expect(mapped(silent)).toMatchObject({ action_id: 0, disposition_id: 0, status_id: 0 })
    expect(mapped(wafRecord({ action: 7 }))).toMatchObject({ action_id: 0, unmapped: { action: 7 } })
  })

  const group = {
    ruleGroupId: 'AWS#AWSManagedRulesCommonRuleSet',
    terminatingRule: { ruleId: 'SizeRestrictions_BODY', action: 'BLOCK', ruleMatchDetails: null },
    nonTerminatingMatchingRules: [],
    excludedRules: null,
  }
  const letThrough = { action: 'ALLOW', terminatingRuleId: 'Default_Action', terminatingRuleType: 'REGULAR' }

  it('a group that would have blocked but was overridden to count does not make it denied', () => {
    const record = wafRecord({ ...letThrough, ruleGroupList: [group] })
    expect(mapped(record)).toMatchObject({ action: 'Allowed', disposition: 'Allowed', status: 'Success' })
    expect(mapped(record).firewall_rule).toBeUndefined()
    expect(wouldBlock(record)).toEqual(['haetae:would-block:SizeRestrictions_BODY'])
  })

  it('the group that gave the verdict has no would-block label', () => {
    const ended = { terminatingRuleId: 'common', terminatingRuleType: 'MANAGED_RULE_GROUP', ruleGroupList: [group] }
    expect(mapped(wafRecord(ended)).disposition).toBe('Blocked')
    expect(wouldBlock(wafRecord(ended))).toEqual([])
  })

  it('counted, overridden and excluded rules have one, behind the labels of the record, each once', () => {
    const record = wafRecord({
      ...letThrough,
      labels: [{ name: 'mine' }],
      nonTerminatingMatchingRules: [
        { ruleId: 'counted', action: 'COUNT' },
        { ruleId: 'counted', action: 'COUNT' },
        { ruleId: 'allowed', action: 'ALLOW' },
        { ruleId: 'challenged', action: 'COUNT', overriddenAction: 'CHALLENGE' },
        { ruleId: 'really-allow', action: 'COUNT', overriddenAction: 'ALLOW' },
      ],
      ruleGroupList: [
        {
          ruleGroupId: 'g',
          terminatingRule: null,
          nonTerminatingMatchingRules: [{ ruleId: 'inside', action: 'COUNT', overriddenAction: 'BLOCK' }],
          excludedRules: [{ exclusionType: 'EXCLUDED_AS_COUNT', ruleId: 'excluded' }],
        },
      ],
    })
    expect(labelsOf(record)).toEqual([
      'mine',
      'haetae:would-block:counted',
      'haetae:would-block:challenged',
      'haetae:would-block:inside',
      'haetae:would-block:excluded',
    ])
  })

  it('their number and length are bounded', () => {
    const rules = Array.from({ length: 40 }, (_, at) => ({ ruleId: `${at}`.padEnd(300, 'x'), action: 'COUNT' }))
    const found = wouldBlock(wafRecord({ ...letThrough, nonTerminatingMatchingRules: rules }))
    expect(found).toHaveLength(16)
    expect(new Set(found.map(label => label.length))).toEqual(new Set(['haetae:would-block:'.length + 128]))
  })
})

describe('what a client or an administrator writes', () => {
  it.each(['X.X.X.X', 'REDACTED', '-', '', '1.2.3', '203.0.113.9:80'])('an address %j is none', clientIp => {
    const body = mapped(wafRequest({ clientIp }))
    expect(body.src_endpoint).toBeUndefined()
    expect(body.observables).toBeUndefined()
    expect(body.unmapped).toMatchObject({ httpRequest: { clientIp, country: 'KR' } })
  })

  it('IPv6 addresses are addresses', () => {
    expect(mapped(wafRequest({ clientIp: '2001:db8::7' })).src_endpoint).toMatchObject({ ip: '2001:db8::7' })
  })

  it('Korean text and emoji come out as UTF-8, written as such or escaped', () => {
    const uri = '/상품/해태🦁'
    const plain = parsed(wafRequest({ uri }))
    expect(plain.encode!().includes(Buffer.from(`"path":"${uri}"`))).toBe(true)
    const escaped = JSON.stringify(wafRequest({ uri })).replace(
      /[^\x20-\x7e]/g,
      char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
    expect(escaped).not.toContain(uri)
    expect(encoded(escaped)).toMatchObject({ http_request: { url: { path: uri } } })
  })

  it('prototype keys neither become prototypes nor vanish', () => {
    const raw = JSON.stringify(wafRecord()).replace(
      '"httpRequest":{',
      '"__proto__":{"polluted":1},"constructor":"c","httpRequest":{"__proto__":{"polluted":2},',
    )
    mapped(raw)
    expect(({} as JsonObject)['polluted']).toBeUndefined()
    const unmapped = encoded(raw)['unmapped'] as JsonObject
    expect(Object.keys(unmapped)).toEqual(expect.arrayContaining(['__proto__', 'constructor']))
    expect(JSON.stringify(unmapped)).toContain('{"polluted":2}')
    expect('polluted' in unmapped).toBe(false)
  })

  it('of a name that is there twice the last one counts', () => {
    const raw = JSON.stringify(wafRecord()).replace('"action":"BLOCK"', '"action":"BLOCK","action":"ALLOW"')
    expect(mapped(raw).disposition).toBe('Allowed')
    expect(encoded(raw)['disposition']).toBe('Allowed')
  })

  it('a name with escapes is that name', () => {
    const raw = JSON.stringify(wafRecord()).replace('"clientIp"', '"\\u0063lientIp"')
    expect(mapped(raw).src_endpoint).toMatchObject({ ip: '203.0.113.9' })
  })

  it('a host with a port keeps it, a host that is none is no host', () => {
    const withPort = mapped(wafRequest({ host: 'shop.example:8443' }))
    expect(withPort).toMatchObject({ dst_endpoint: { hostname: 'shop.example' } })
    expect(withPort.unmapped).toMatchObject({ httpRequest: { host: 'shop.example:8443' } })
    const headers = [{ name: 'host', value: '"><script>' }]
    const none = mapped(wafRequest({ host: '<script>', headers }))
    expect(none.dst_endpoint).not.toHaveProperty('hostname')
    expect(none.unmapped).toMatchObject({ httpRequest: { host: '<script>' } })
  })

  it('headers that are no pair of texts stay as they are, the others are mapped', () => {
    const headers = [{ name: 'a', value: 'b' }, { name: 'c', myValue: 'd' }, 7, { name: 'e', value: 1 }]
    const body = mapped(wafRequest({ headers }))
    expect(body.http_request).toMatchObject({ http_headers: [{ name: 'a', value: 'b' }] })
    expect(body.unmapped).toMatchObject({ httpRequest: { headers } })
  })

  it('a method that OCSF does not know stays, as another one', () => {
    const body = mapped(wafRequest({ httpMethod: 'PROPFIND' }))
    expect(body).toMatchObject({ activity_id: 99, unmapped: { httpRequest: { httpMethod: 'PROPFIND' } } })
    expect(body.http_request).not.toHaveProperty('http_method')
  })

  it('a web ACL that is no ARN names no account and no region', () => {
    const unknown = { region: 'unknown', account: { uid: 'unknown' } }
    expect(mapped(wafRecord({ webaclId: '3e4a-classic' })).cloud).toMatchObject(unknown)
    expect(mapped(wafRecord({ webaclId: 'arn:aws:wafv2:../x:a/b:w' })).cloud).toMatchObject(unknown)
  })
})

describe('wrong types lose neither the field nor its neighbours', () => {
  const wrong: Json[] = [null, true, 7, -1, 1.5, 1e300, '', '7', 'text', [], [7], [null], {}, { a: [{ b: 'c' }] }]
  const record = wafRecord()

  it.each(Object.keys(record).filter(field => field !== 'timestamp' && field !== 'httpRequest'))('%s', field => {
    for (const value of wrong) {
      const changed = { ...record, [field]: value }
      expect(lostOf(changed, JSON.parse(JSON.stringify(mapped(changed))) as Json)).toEqual([])
      expect(lostOf(changed, encoded(changed))).toEqual([])
    }
  })

  it.each(Object.keys(record['httpRequest'] as JsonObject))('httpRequest.%s', field => {
    for (const value of wrong) {
      const changed = wafRequest({ [field]: value })
      expect(lostOf(changed, JSON.parse(JSON.stringify(mapped(changed))) as Json)).toEqual([])
      expect(lostOf(changed, encoded(changed))).toEqual([])
    }
  })
})

describe('the headers of the request', () => {
  it('read as a list that nobody can change, of what is a header in the record', () => {
    const record = wafRequest({ headers: [{ name: 'Host', value: 'shop' }, 7, { name: 'a', value: 'é', more: 1 }] })
    const headers = parsed(record).body.http_request!.http_headers!
    expect(Array.isArray(headers)).toBe(true)
    expect(() => headers.push({ name: 'x', value: 'y' })).toThrow(TypeError)
    expect(() => headers.splice(0)).toThrow(TypeError)
    expect([...headers]).toEqual([
      { name: 'Host', value: 'shop' },
      { name: 'a', value: 'é' },
    ])
    expect(headers.find(({ name }) => name === 'a')).toEqual({ name: 'a', value: 'é' })
    expect([headers.length, Object.isFrozen(headers), Object.isFrozen(headers[0])]).toEqual([2, true, true])
    expect('http_headers' in parsed(wafRequest({ headers: [7] })).body.http_request!).toBe(false)
  })
})
