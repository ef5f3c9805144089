import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseWaf } from '../../enrichers/parse-waf.ts'
import { parseAddress } from '../../platform/address.ts'
import type { Json, JsonObject } from '../../platform/ocsf/event.ts'
import { FakeClock } from '../support/clock.ts'
import { eventOf, testDeps } from '../support/deps.ts'
import { junk, placesOf, replaced } from '../support/mutate.ts'
import { ocsfErrors } from '../support/ocsf-validator.ts'
import { awsExamples, wafRecord, wafTraffic } from '../support/waf-records.ts'

const stage = await parseWaf.open(parseWaf.config.parse({}), testDeps({ clock: new FakeClock() }))
const records = [wafRecord(), ...awsExamples.map(([, record]) => record), ...wafTraffic(60, 11)]
const reasons = /^(not_waf|time_out_of_range|too_deep|too_many_keys|oversize)(: .+)?$/

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const textIn = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined)
const rendered = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** A record with up to three of its values replaced. */
const mutants: fc.Arbitrary<JsonObject> = fc
  .tuple(fc.constantFrom(...records), fc.array(fc.tuple(fc.nat(), junk), { minLength: 1, maxLength: 3 }))
  .map(([record, changes]) => {
    let changed: Json = record
    for (const [at, by] of changes) {
      const places = placesOf(changed)
      changed = replaced(changed, places[at % places.length]!, by)
    }
    return changed as JsonObject
  })

const dispositions: ReadonlyMap<string, string> = new Map([
  ['ALLOW', 'Allowed'],
  ['BLOCK', 'Blocked'],
  ['CAPTCHA', 'Captcha'],
  ['CHALLENGE', 'Challenge'],
])

/** The main fields, written down plainly from what the mapping promises. */
function reference(record: JsonObject): JsonObject {
  const request = record['httpRequest'] as JsonObject
  const ip = textIn(request['clientIp'])
  const isKnown = ip !== undefined && ip.length <= 40 && parseAddress(ip) !== undefined
  const action = textIn(record['action'])
  const rule = textIn(record['terminatingRuleId'])
  const list = Array.isArray(request['headers']) ? request['headers'] : []
  const pairs = list
    .filter(isObject)
    .map(item => ({ name: item['name']!, value: item['value']! }))
    .filter(({ name, value }) => typeof name === 'string' && typeof value === 'string')
  const named = (wanted: string): Json | undefined =>
    pairs.find(({ name }) => (name as string).toLowerCase() === wanted)?.value
  const code = record['responseCodeSent']
  return rendered({
    time: record['timestamp'],
    disposition: action === undefined ? 'Unknown' : (dispositions.get(action) ?? 'Other'),
    ip: isKnown ? ip : undefined,
    path: textIn(request['uri']),
    args: textIn(request['args']),
    userAgent: named('user-agent'),
    referrer: named('referer'),
    headers: pairs.length > 0 ? pairs.map(({ name }) => name) : undefined,
    rule: rule === '' || rule === 'Default_Action' ? undefined : rule,
    // A status is written in digits: a negative number is a wrong value, which stays unmapped.
    code: Number.isSafeInteger(code) && (code as number) >= 0 && (code as number) < 1e15 ? code : undefined,
  }) as JsonObject
}

/** The same fields of an event. */
function mainFields(body: JsonObject): JsonObject {
  const part = (name: string): JsonObject => (body[name] ?? {}) as JsonObject
  const request = part('http_request')
  const headers = request['http_headers'] as JsonObject[] | undefined
  return rendered({
    time: body['time'],
    disposition: body['disposition'],
    ip: part('src_endpoint')['ip'],
    path: (request['url'] as JsonObject | undefined)?.['path'],
    args: request['args'],
    userAgent: request['user_agent'],
    referrer: request['referrer'],
    headers: headers && headers.length > 0 ? headers.map(header => header['name']) : undefined,
    rule: part('firewall_rule')['uid'],
    code: part('http_response')['code'],
  }) as JsonObject
}

describe('whatever a record says', () => {
  it('it is refused with a known reason, or its event is valid, is encoded as it reads, and has the fields of the record', () => {
    let kept = 0
    fc.assert(
      fc.property(mutants, record => {
        const event = eventOf(record, 'waf')
        const refused: string[] = []
        const batch = stage.apply([event], (_event, reason) => void refused.push(reason)) as unknown[]
        expect(batch.length + refused.length).toBe(1)
        if (refused[0] !== undefined) {
          expect(refused[0]).toMatch(reasons)
          return
        }
        kept++
        const untouched = event.encode!()
        expect(untouched.equals(Buffer.from(untouched.toString()))).toBe(true)
        const body = JSON.parse(untouched.toString()) as JsonObject
        expect(isDeepStrictEqual(rendered(event.body), body)).toBe(true)
        expect(isDeepStrictEqual(JSON.parse(event.encode!().toString()), body)).toBe(true)
        expect(ocsfErrors(body)).toEqual([])
        expect((body['metadata'] as JsonObject)['uid']).toBe(event.id)
        expect(mainFields(body)).toEqual(reference(record))
      }),
      { numRuns: 600 },
    )
    expect(kept).toBeGreaterThan(200)
  })

  it('its neighbours come out as they do alone, in their order', () => {
    const alone = (record: JsonObject): string => {
      const event = eventOf(record, 'waf')
      void stage.apply([event], (_event, reason) => expect.fail(reason))
      return event.encode!().toString()
    }
    const pair = fc.tuple(fc.constantFrom(...records), mutants, fc.constantFrom(...records))
    fc.assert(
      fc.property(pair, ([before, mutant, after]) => {
        const batch = [before, mutant, after].map(record => eventOf(record, 'waf'))
        const kept = stage.apply(batch, () => undefined) as unknown[]
        expect(kept.filter(event => event !== batch[1])).toEqual([batch[0], batch[2]])
        expect([batch[2]!, batch[0]!].map(event => event.encode!().toString())).toEqual([alone(after), alone(before)])
      }),
      { numRuns: 200 },
    )
  })

  it('any bytes at all are refused or mapped, never thrown', () => {
    const texts = records.map(record => Buffer.from(JSON.stringify(record)))
    const broken = fc
      .tuple(
        fc.constantFrom(...texts),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
      )
      .map(([bytes, changes]) => {
        const copy = Buffer.from(bytes)
        for (const [at, byte] of changes) copy[at % copy.length] = byte
        return copy
      })
    fc.assert(
      fc.property(
        fc.oneof(
          broken,
          fc.uint8Array({ maxLength: 60 }).map(bytes => Buffer.from(bytes)),
        ),
        bytes => {
          const event = eventOf(bytes, 'waf')
          const refused: string[] = []
          const kept = stage.apply([event], (_event, reason) => void refused.push(reason)) as unknown[]
          expect(kept.length + refused.length).toBe(1)
          if (refused[0] === undefined) expect(ocsfErrors(JSON.parse(event.encode!().toString()))).toEqual([])
        },
      ),
      { numRuns: 600 },
    )
  })
})
