/** AWS WAF log records for the tests: those that AWS prints, and made-up traffic. */
import { readFileSync } from 'node:fs'
import { generateWaf } from '../../bench/generate.ts'
import type { Json, JsonObject } from '../../platform/ocsf/event.ts'

interface Example {
  readonly example: string
  readonly log: JsonObject
}

/** Title and record of each example in the AWS WAF developer guide. */
export const awsExamples: readonly (readonly [title: string, record: JsonObject])[] = readFileSync(
  new URL('../fixtures/waf/logging-examples.ndjson', import.meta.url),
  'utf8',
)
  .trim()
  .split('\n')
  .map(line => JSON.parse(line) as Example)
  .map(({ example, log }) => [example, log])

/** Records of one day before the clock of the tests, with many attacks among them. */
export function wafTraffic(count: number, seed = 7): JsonObject[] {
  const startMs = Date.UTC(2026, 10, 22, 15)
  const options = { seed, count, startMs, durationMs: 86_400_000, people: 200, attackOdds: 20 }
  return Array.from(generateWaf(options), line => JSON.parse(line) as JsonObject)
}

/** A request that a rate rule blocked, with every field that the mapping knows; `more` replaces whole top-level fields. */
export function wafRecord(more: JsonObject = {}): JsonObject {
  return {
    timestamp: 1_795_000_000_123,
    formatVersion: 1,
    webaclId: 'arn:aws:wafv2:ap-northeast-2:123456789012:regional/webacl/shop/5933d6d9-9dde-4c82-a8aa-9c28aa900001',
    terminatingRuleId: 'rate-login',
    terminatingRuleType: 'RATE_BASED',
    action: 'BLOCK',
    terminatingRuleMatchDetails: [
      { conditionType: 'XSS', sensitivityLevel: 'LOW', location: 'BODY', matchedData: ['<', 'script'] },
    ],
    httpSourceName: 'ALB',
    httpSourceId: 'app/shop/abc',
    ruleGroupList: [],
    rateBasedRuleList: [
      { rateBasedRuleId: 'rate-1', rateBasedRuleName: 'rate-login', limitKey: 'IP', maxRateAllowed: 100 },
    ],
    nonTerminatingMatchingRules: [],
    responseCodeSent: 429,
    httpRequest: {
      clientIp: '203.0.113.9',
      country: 'KR',
      headers: [
        { name: 'Host', value: 'www.haetae-shop.example' },
        { name: 'USER-AGENT', value: 'Mozilla/5.0' },
        { name: 'Referer', value: 'https://www.haetae-shop.example/cart' },
        { name: 'X-Forwarded-For', value: '198.51.100.7, unknown, 2001:db8::1' },
      ],
      uri: '/login',
      args: 'next=%2Fcart&page=2',
      httpVersion: 'HTTP/2.0',
      httpMethod: 'POST',
      requestId: 'req-1',
      scheme: 'https',
      host: 'www.haetae-shop.example',
    },
    labels: [{ name: 'awswaf:managed:token:absent' }],
    ja3Fingerprint: 'e7d705a3286e19ea42f587b344ee6865',
    ja4Fingerprint: 't13d1516h2_8daaf6152771_02713d6af862',
    requestBodySize: 77,
    ...more,
  }
}

/** The same with other members of httpRequest. */
export function wafRequest(more: JsonObject, rest: JsonObject = {}): JsonObject {
  const record = wafRecord(rest)
  return { ...record, httpRequest: { ...(record['httpRequest'] as JsonObject), ...more } }
}

/** Every scalar in a value, as text, with its path; the empty text and null say nothing. */
export function leavesOf(value: Json, path = ''): (readonly [path: string, text: string])[] {
  if (value === null || value === '') return []
  if (typeof value !== 'object') return [[path, String(value)]]
  return Object.entries(value).flatMap(([key, item]) => leavesOf(item, `${path}/${key}`))
}
