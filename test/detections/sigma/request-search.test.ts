import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { loadRules, shippedRules } from '../../../detections/sigma/load.ts'
import { Matcher } from '../../../detections/sigma/matcher.ts'
import type { Event } from '../../../engine/contract.ts'
import { parseWaf } from '../../../enrichers/parse-waf.ts'
import type { JsonObject, OcsfEvent } from '../../../platform/ocsf/event.ts'
import { LazyBody } from '../../../platform/ocsf/lazy-body.ts'
import { eventOf, testDeps } from '../../support/deps.ts'
import { ruleOf } from '../../support/sigma.ts'
import { wafRecord, wafTraffic } from '../../support/waf-records.ts'

const stage = await parseWaf.open(parseWaf.config.parse({}), testDeps())

async function parsed(record: JsonObject | Buffer): Promise<Event> {
  const [event] = await stage.apply([eventOf(record)], (_, reason) => {
    throw new Error(reason)
  })
  return event!
}
const plain = ({ body }: Event): OcsfEvent => JSON.parse(JSON.stringify(body)) as OcsfEvent

/** What rules of the tests look for, and requests are made of. */
const pieces = [
  'a',
  'B',
  '/',
  '?',
  '+',
  '%61',
  '%2561',
  '%',
  '%2b',
  '"',
  '\\',
  'é',
  '\u212a',
  ' ',
  '=',
  '-',
  ':',
  '%C3%A9',
]
const text = fc.string({ unit: fc.constantFrom(...pieces), maxLength: 6 })
const headers = fc.array(
  fc.record({ name: fc.constantFrom('Referer', 'Cookie', 'x-a', 'User-Agent', 'Host', 'a'), value: text }),
  { maxLength: 4 },
)
const request = fc.record({ httpMethod: fc.constantFrom('GET', 'BREW', 'ba"'), uri: text, args: text, headers })
const labels = fc.array(fc.record({ name: text }), { maxLength: 3 })
const fields = [
  'cs-uri-query',
  'cs-uri-stem',
  'cs-referer',
  'cs-cookie',
  'cs-method',
  'cs-host',
  'cs-user-agent',
  'labels',
  '',
]
const item = fc.tuple(
  fc.constantFrom(...fields),
  fc.string({
    unit: fc.constantFrom('a', 'b', '/', '+', ' ', '=', 'é', 'k', '"', '\\\\', '-', ':', '%', '\\?'),
    minLength: 1,
    maxLength: 3,
  }),
  fc.constantFrom('|contains', '|startswith', '|endswith'),
)

describe('the search of a whole request', () => {
  test('wakes every rule that the fields by themselves wake: bytes and objects give the same matches', async () => {
    let matched = 0
    const property = fc.asyncProperty(
      fc.array(item, { minLength: 1, maxLength: 8 }),
      fc.array(fc.tuple(request, labels), { minLength: 1, maxLength: 4 }),
      async (items, requests) => {
        const rules = items.map(([field, value, place]) =>
          ruleOf({ selection: { [`${field}${field === '' ? '|contains' : place}`]: value }, condition: 'selection' }),
        )
        const matchers = [new Matcher(rules), new Matcher(rules, 1)]
        for (const [asked, given] of requests) {
          const base = wafRecord()
          const event = await parsed({
            ...base,
            labels: given,
            httpRequest: { ...(base['httpRequest'] as JsonObject), ...asked },
          })
          expect(LazyBody.behind(event.body)?.requestBytes()).toBeDefined()
          const fromObjects = matchers[0]!.match(plain(event)).map(({ id }) => id)
          for (const matcher of matchers) expect(matcher.match(event.body).map(({ id }) => id)).toEqual(fromObjects)
          matched += fromObjects.length
        }
      },
    )
    await fc.assert(property, { numRuns: 1000 })
    expect(matched).toBeGreaterThan(100)
  })

  test('gives the same on a day of traffic with all rules that come with Haetae', async () => {
    const matcher = new Matcher((await loadRules([shippedRules])).rules)
    let matched = 0
    for (const record of wafTraffic(4000)) {
      const event = await parsed(record)
      const fromObjects = matcher.match(plain(event)).map(({ title }) => title)
      expect(matcher.match(event.body).map(({ title }) => title)).toEqual(fromObjects)
      matched += fromObjects.length
    }
    expect(matched).toBeGreaterThan(50)
  })

  test('sees what a stage put in the place of the request', async () => {
    const matcher = new Matcher([ruleOf({ selection: { 'cs-uri-stem': '/other' }, condition: 'selection' })])
    const event = await parsed(wafRecord())
    expect(matcher.match(event.body)).toEqual([])
    event.body.http_request = { url: { path: '/other' } }
    expect(matcher.match(event.body)).toHaveLength(1)
  })

  test.each([
    ['RATE_BASED', {}, 1],
    ['RATE_BASED', { type: 'REGULAR' }, 0],
    ['REGULAR', { type: 'RATE_BASED' }, 1],
    ['REGULAR', {}, 0],
  ])('reads of what type the rule was that stopped a request: %s, then changed to %j', async (type, change, count) => {
    const matcher = new Matcher([ruleOf({ selection: { 'firewall_rule.type': 'RATE_BASED' }, condition: 'selection' })])
    const stopped = { action: 'BLOCK', terminatingRuleId: 'slow-down', terminatingRuleType: type }
    const event = await parsed({ ...wafRecord(), ...stopped })
    if ('type' in change) event.body.firewall_rule = { ...event.body.firewall_rule, ...change }
    expect(matcher.match(event.body)).toHaveLength(count)
    expect(matcher.match(plain(event))).toHaveLength(count)
  })

  test('reads escapes of JSON, whoever wrote them', async () => {
    const matcher = new Matcher([ruleOf({ selection: ['x-a: <script>'], condition: 'selection' })])
    const record = wafRecord()
    const asked = { ...(record['httpRequest'] as JsonObject), headers: [{ name: 'x-a', value: '<script>' }] }
    const written = JSON.stringify({ ...record, httpRequest: asked }).replace('<script>', '\\u003cscript\\u003e')
    expect(written).toContain('\\u003c')
    expect(matcher.match((await parsed(Buffer.from(written))).body)).toHaveLength(1)
  })
})
