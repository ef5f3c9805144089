import { beforeAll, describe, expect, it } from 'vitest'
import { Random, zipf } from '../../bench/generate/random.ts'
import { generateWaf, ndjson, type WafOptions } from '../../bench/generate.ts'

interface WafRecord {
  timestamp: number
  formatVersion: number
  webaclId: string
  terminatingRuleId: string
  terminatingRuleType: string
  action: string
  terminatingRuleMatchDetails: { conditionType: string; matchedData: string[] | null }[]
  httpSourceName: string
  httpSourceId: string
  ruleGroupList: {
    ruleGroupId: string
    terminatingRule: { ruleId: string; action: string; ruleMatchDetails: { conditionType: string }[] | null } | null
    nonTerminatingMatchingRules: { ruleId: string; action: string; overriddenAction?: string }[]
    excludedRules: { exclusionType: string; ruleId: string }[] | null
  }[]
  rateBasedRuleList: { rateBasedRuleName: string; limitValue: string; evaluationWindowSec: string }[]
  nonTerminatingMatchingRules: {
    ruleId: string
    action: string
    captchaResponse?: object
    challengeResponse?: object
  }[]
  requestHeadersInserted?: object[] | null
  responseCodeSent?: number | null
  httpRequest: {
    clientIp: string
    country: string
    headers: { name: string; value: string }[]
    uri: string
    args: string
    httpVersion: string
    httpMethod: string
    requestId: string
  }
  labels?: { name: string }[]
  captchaResponse?: { responseCode: number; solveTimestamp: number; failureReason: string }
  challengeResponse?: { responseCode: number; solveTimestamp: number; failureReason: string }
  ja3Fingerprint?: string
  ja4Fingerprint?: string
  oversizeFields?: string[] | string
  requestBodySize?: number
  requestBodySizeInspectedByWAF?: number
  clientAsn?: number
}

const day: WafOptions = { seed: 7, count: 30_000, startMs: Date.UTC(2026, 10, 23), durationMs: 86_400_000 }
const linesOf = (options: WafOptions): string[] => [...generateWaf(options)]
const share = (records: readonly WafRecord[], wanted: (record: WafRecord) => boolean): number =>
  records.filter(wanted).length / records.length

let lines: string[]
let records: WafRecord[]
beforeAll(() => {
  lines = linesOf(day)
  records = lines.map(line => JSON.parse(line) as WafRecord)
})

describe('generated WAF records', () => {
  it('are the same bytes for the same options', () => {
    expect(linesOf({ ...day, count: 3000 })).toEqual(linesOf({ ...day, count: 3000 }))
  })

  it('are others for another seed', () => {
    const other = new Set(linesOf({ ...day, count: 2000, seed: 8 }))
    expect(linesOf({ ...day, count: 2000 }).filter(line => other.has(line))).toEqual([])
  })

  it('come in the number asked for, each one JSON object without line feed', () => {
    expect(lines).toHaveLength(day.count)
    expect(lines.filter(line => line.includes('\n'))).toEqual([])
    expect(linesOf({ ...day, count: 0 })).toEqual([])
  })

  it('all carry the fields AWS always writes, with their types', () => {
    const checks: Record<string, (record: WafRecord) => boolean> = {
      formatVersion: record => record.formatVersion === 1,
      webaclId: record =>
        /^arn:aws:wafv2:[a-z0-9-]+:(123456789012|111122223333):(regional|global)\/webacl\//.test(record.webaclId),
      action: record => ['ALLOW', 'BLOCK', 'CAPTCHA', 'CHALLENGE'].includes(record.action),
      type: record => ['REGULAR', 'RATE_BASED', 'GROUP', 'MANAGED_RULE_GROUP'].includes(record.terminatingRuleType),
      source: record => ['CF', 'ALB', 'APIGW'].includes(record.httpSourceName),
      version: record => ['HTTP/1.1', 'HTTP/2.0', 'HTTP/3.0'].includes(record.httpRequest.httpVersion),
      uri: record => /^\/\S*$/.test(record.httpRequest.uri),
      requestId: record => /^[\w=-]{16,56}$/.test(record.httpRequest.requestId),
      headers: record => record.httpRequest.headers.every(h => h.name !== '' && typeof h.value === 'string'),
      lists: record =>
        [record.ruleGroupList, record.rateBasedRuleList, record.nonTerminatingMatchingRules].every(Array.isArray),
      ja3: record => /^[0-9a-f]{32}$/.test(record.ja3Fingerprint ?? '0'.repeat(32)),
      ja4: record =>
        /^[tq]13d\d{4}h[123]_[0-9a-f]{12}_[0-9a-f]{12}$/.test(
          record.ja4Fingerprint ?? 't13d0000h1_000000000000_000000000000',
        ),
    }
    const broken = Object.entries(checks).flatMap(([name, holds]) => records.filter(r => !holds(r)).map(r => [name, r]))
    expect(broken.slice(0, 3)).toEqual([])
  })

  it('are as long as real ones: 1.2 to 4 KB, about 2 on average', () => {
    const bytes = lines.map(line => Buffer.byteLength(line))
    const mean = bytes.reduce((sum, each) => sum + each, 0) / bytes.length
    expect(mean).toBeGreaterThan(1900)
    expect(mean).toBeLessThan(2500)
    expect(Math.min(...bytes)).toBeGreaterThan(1100)
    expect(Math.max(...bytes)).toBeLessThan(4200)
  })

  it('fill the stretch of time and are not sorted', () => {
    const times = records.map(record => record.timestamp)
    expect(Math.min(...times)).toBeGreaterThanOrEqual(day.startMs)
    expect(Math.max(...times)).toBeLessThan(day.startMs + day.durationMs)
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(day.durationMs * 0.99)
    const backwards = times.filter((time, index) => index > 0 && time < times[index - 1]!).length
    expect(backwards).toBeGreaterThan(day.count / 20)
  })

  it('are mostly let through, as at a real shop', () => {
    expect(share(records, record => record.action === 'BLOCK')).toBeGreaterThan(0.02)
    expect(share(records, record => record.action === 'BLOCK')).toBeLessThan(0.15)
    expect(share(records, record => record.action === 'CHALLENGE')).toBeGreaterThan(0.002)
    expect(share(records, record => record.action === 'CAPTCHA')).toBeGreaterThan(0.0005)
  })

  it('come from few busy and very many quiet addresses', () => {
    const counts = new Map<string, number>()
    for (const { httpRequest } of records) counts.set(httpRequest.clientIp, (counts.get(httpRequest.clientIp) ?? 0) + 1)
    const ranked = [...counts.values()].sort((a, b) => b - a)
    const head = ranked.slice(0, 20).reduce((sum, each) => sum + each, 0)
    expect(head / day.count).toBeGreaterThan(0.1)
    expect(head / day.count).toBeLessThan(0.4)
    expect(ranked.length).toBeGreaterThan(2000)
    expect(ranked.filter(each => each <= 2).length / ranked.length).toBeGreaterThan(0.2)
  })

  it('write header names as each protocol and client does', () => {
    const names = (version: string): Set<string> =>
      new Set(
        records.filter(r => r.httpRequest.httpVersion === version).flatMap(r => r.httpRequest.headers.map(h => h.name)),
      )
    expect([...names('HTTP/2.0')].filter(name => name !== name.toLowerCase())).toEqual([])
    expect([...names('HTTP/1.1')]).toEqual(expect.arrayContaining(['User-Agent', 'user-agent', 'User-agent']))
  })
})

describe('what detections and redaction need is there:', () => {
  const some = (what: string, wanted: (record: WafRecord) => unknown): void => {
    it(what, () => expect(records.some(record => wanted(record))).toBe(true))
  }
  const label = (name: string) => (record: WafRecord) => record.labels?.some(each => each.name.startsWith(name))
  const header = (name: string, value: RegExp) => (record: WafRecord) =>
    record.httpRequest.headers.some(each => each.name.toLowerCase() === name && value.test(each.value))
  const inGroup = (record: WafRecord) => record.ruleGroupList.flatMap(group => group.terminatingRule ?? [])

  some('labels of the country', label('awswaf:clientip:geo:country:KR'))
  some('labels of the core rules', label('awswaf:managed:aws:core-rule-set:'))
  some('labels of Bot Control', label('awswaf:managed:aws:bot-control:bot:verified'))
  some('records without labels', record => record.labels === undefined)
  some('records without the optional response fields', record => record.responseCodeSent === undefined)
  some(
    'a group counted though its rule says BLOCK',
    record => record.action === 'ALLOW' && inGroup(record)[0]?.action === 'BLOCK',
  )
  some('a rule of a group overridden to count', record =>
    record.ruleGroupList.some(g => g.nonTerminatingMatchingRules.some(rule => rule.overriddenAction === 'BLOCK')),
  )
  some('an excluded rule', record =>
    record.ruleGroupList.some(g => g.excludedRules?.[0]?.exclusionType === 'EXCLUDED_AS_COUNT'),
  )
  some(
    'a rate rule that ended the request',
    record => record.terminatingRuleType === 'RATE_BASED' && record.action === 'BLOCK',
  )
  some(
    'a rate rule listed though the request passed',
    record => record.action === 'ALLOW' && record.rateBasedRuleList.length > 0,
  )
  some(
    'an own rule in count mode',
    record => record.action === 'ALLOW' && record.nonTerminatingMatchingRules.some(r => r.action === 'COUNT'),
  )
  some(
    'an unsolved CAPTCHA',
    record => record.captchaResponse?.failureReason === 'TOKEN_EXPIRED' && record.responseCodeSent === 405,
  )
  some(
    'an unsolved Challenge',
    record => record.challengeResponse?.solveTimestamp === 0 && record.responseCodeSent === 202,
  )
  some('a solved Challenge inside its rule', record =>
    record.nonTerminatingMatchingRules.some(rule => rule.challengeResponse),
  )
  some(
    'match details without matched data',
    record => inGroup(record)[0]?.ruleMatchDetails?.[0]?.conditionType === 'XSS',
  )
  some('oversize fields as an array', record => Array.isArray(record.oversizeFields))
  some('oversize fields as a bare string', record => record.oversizeFields === 'REQUEST_BODY')
  some(
    'bodies cut at the inspection limit',
    record => (record.requestBodySize ?? 0) > (record.requestBodySizeInspectedByWAF ?? 0),
  )
  some('the client ASN where the web ACL asks for it', record => record.clientAsn === 9644)
  some('IPv6 clients', record => record.httpRequest.clientIp.includes(':'))
  some(
    'private addresses without a country',
    record => record.httpRequest.clientIp.startsWith('10.') && record.httpRequest.country === '-',
  )
  some(
    'carrier NAT addresses in X-Forwarded-For',
    header('x-forwarded-for', /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./),
  )
  some('cookies', header('cookie', /aws-waf-token=/))
  some('bearer tokens', header('authorization', /^Bearer eyJ/))
  some('API keys', header('x-api-key', /^hs_live_/))
  some('redacted values', header('x-api-key', /^REDACTED$/))
  some('tokens in query strings', record => record.httpRequest.args.includes('access_token='))
  some('Hangul in query strings', record => record.httpRequest.args.includes('%ED%95%9C'))
  some('Hangul in a header, unencoded', header('x-device-name', /[가-힣]/))
  some('repeated header names', record => record.httpRequest.headers.filter(each => each.name === 'cookie').length > 2)
  some('KakaoTalk', header('user-agent', /KAKAOTALK/))
  some('NAVER', header('user-agent', /NAVER\(inapp/))
  some('Googlebot', header('user-agent', /Googlebot/))
  some('Yeti', header('user-agent', /Yeti/))
})

describe('episodes', () => {
  const during = (from: number, to: number): WafRecord[] =>
    records.filter(({ timestamp }) => {
      const at = (timestamp - day.startMs) / day.durationMs
      return at >= from && at < to
    })

  it('a scanner asks for many paths that do not exist from few addresses', () => {
    const hits = during(0.118, 0.152).filter(r =>
      /^\/(\.|wp-|actuator|phpmyadmin|cgi-bin|vendor)/.test(r.httpRequest.uri),
    )
    expect(hits.length).toBeGreaterThan(50)
    expect(new Set(hits.map(r => r.httpRequest.clientIp)).size).toBeLessThan(40)
  })

  it('SQL injection is blocked by the managed group and by an own rule, counted by another, and sometimes passes', () => {
    const hits = during(0.303, 0.334).filter(r => /sqlmap/.test(JSON.stringify(r.httpRequest.headers)))
    expect(hits.filter(r => r.terminatingRuleId === 'AWS-AWSManagedRulesSQLiRuleSet').length).toBeGreaterThan(10)
    expect(hits.some(r => r.terminatingRuleMatchDetails[0]?.conditionType === 'SQL_INJECTION')).toBe(true)
    expect(hits.some(r => r.nonTerminatingMatchingRules[0]?.ruleId === 'shop-sqli-watch')).toBe(true)
    expect(hits.some(r => r.action === 'ALLOW' && r.nonTerminatingMatchingRules.length === 0)).toBe(true)
  })

  it('cross-site scripting and path traversal have their hour', () => {
    expect(
      during(0.455, 0.477).some(r => r.labels?.some(l => l.name.endsWith('CrossSiteScripting_QueryArguments'))),
    ).toBe(true)
    expect(during(0.561, 0.579).some(r => r.httpRequest.uri.includes('..%252f'))).toBe(true)
  })

  it('credential stuffing comes from hundreds of IPv4 addresses of four networks with one JA4', () => {
    const tries = during(0.72, 0.79).filter(r => r.ja4Fingerprint === 't13d1812h1_85036bcba153_b26ce05bbdd6')
    expect(tries.every(r => r.httpRequest.httpMethod === 'POST' && r.httpRequest.uri.endsWith('/login'))).toBe(true)
    expect(new Set(tries.map(r => r.httpRequest.clientIp)).size).toBeGreaterThan(150)
    expect(new Set(tries.map(r => r.clientAsn)).size).toBe(4)
    expect(new Set(tries.map(r => r.action))).toEqual(new Set(['ALLOW', 'BLOCK', 'CHALLENGE']))
  })

  it('the burst is many times the traffic of the same hour', () => {
    expect(during(0.871, 0.877).length).toBeGreaterThan(4 * during(0.861, 0.867).length)
  })

  it('coupon abuse guesses a new code each time from few addresses', () => {
    const tries = during(0.625, 0.68).filter(r => r.httpRequest.args.startsWith('code=BF26'))
    expect(new Set(tries.map(r => r.httpRequest.args)).size).toBe(tries.length)
    expect(new Set(tries.map(r => r.httpRequest.clientIp)).size).toBeLessThanOrEqual(24)
    expect(tries.length).toBeGreaterThan(20)
  })
})

describe('repeats', () => {
  it('are the same bytes as a record before them, about as many as asked for', () => {
    const options = { ...day, count: 20_000, repeatsPerMillion: 20_000 }
    const all = linesOf(options)
    const repeats = all.length - new Set(all).size
    expect(repeats).toBe(all.length - options.count)
    expect(repeats).toBeGreaterThan(250)
    expect(repeats).toBeLessThan(550)
  })
})

describe('the parts', () => {
  it('NDJSON chunks hold every record once, in order', () => {
    expect([...ndjson(lines)].join('') === `${lines.join('\n')}\n`).toBe(true)
    expect([...ndjson(lines)].length).toBeGreaterThan(10)
    expect([...ndjson([])]).toEqual([])
  })

  it('random streams of one seed are unrelated and ranges are kept', () => {
    const draws = (stream: number): number[] => {
      const random = new Random(3, stream)
      return Array.from({ length: 100 }, () => random.next())
    }
    expect(draws(1)).not.toEqual(draws(2))
    expect(draws(1)).toEqual(draws(1))
    const random = new Random(9)
    const values = Array.from({ length: 5000 }, () => random.between(3, 7))
    expect(new Set(values)).toEqual(new Set([3, 4, 5, 6, 7]))
    expect(random.hex(6)).toMatch(/^[0-9a-f]{24}$/)
    expect(random.base64(27)).toMatch(/^[\w-]{54}$/)
    expect(random.uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  it('zipf draws rank 0 most often, in proportion', () => {
    const random = new Random(4)
    const ranks = zipf(1000, 1)
    const counts = new Uint32Array(1000)
    for (let i = 0; i < 50_000; i++) counts[ranks.pick(random)]!++
    expect(counts[0]! / counts[9]!).toBeGreaterThan(7)
    expect(counts[0]! / counts[9]!).toBeLessThan(14)
  })
})
