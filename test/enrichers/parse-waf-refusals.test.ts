import { describe, expect, it } from 'vitest'
import { EVENT_BYTES_MAX } from '../../engine/contract.ts'
import { parseWaf } from '../../enrichers/parse-waf.ts'
import { FakeClock } from '../support/clock.ts'
import { eventOf, testDeps } from '../support/deps.ts'
import { parser } from '../support/parse.ts'
import { wafRecord, wafRequest } from '../support/waf-records.ts'

const NOW_MS = Date.UTC(2026, 10, 24)
const DAY_MS = 86_400_000
const stage = await parseWaf.open(parseWaf.config.parse({}), testDeps({ clock: new FakeClock(NOW_MS) }))
const { outcome, mapped } = parser(stage, 'waf')

const text = JSON.stringify(wafRecord())
const inside = (member: string): string => text.replace('{', `{${member},`)
const nested = (levels: number): string => inside(`"deep":${'['.repeat(levels)}1${']'.repeat(levels)}`)
const keys = (count: number): string => Array.from({ length: count }, (_, at) => `"k${at}":${at}`).join(',')
const without = (field: string): unknown => {
  const { [field]: _, ...rest } = wafRecord()
  return rest
}

/** A record of exactly so many bytes. */
function sized(bytes: number): string {
  const empty = inside('"pad":""')
  return inside(`"pad":"${'x'.repeat(bytes - empty.length)}"`)
}

describe('refused with a reason', () => {
  it.each<readonly [string, unknown, RegExp]>([
    ['an empty record', '', /^not_json/],
    ['no JSON', 'hello', /^not_json/],
    ['truncated JSON', text.slice(0, 700), /^not_json/],
    ['two records in one', `${text} ${text}`, /^not_json/],
    ['a comma too many', inside('"a":1,'), /^not_json/],
    ['a raw NUL byte in a text', inside('"a":"b\0c"'), /^not_json/],
    ['a NUL byte behind the record', `${text}\0`, /^not_json/],
    ['NaN', text.replace(':77', ':NaN'), /^not_json/],
    ['a half escape', inside('"a":"\\u12"'), /^not_json/],
    ['invalid UTF-8', Buffer.from(text.replace('Mozilla', 'M\xffzilla'), 'latin1'), /^invalid_utf8/],
    ['a UTF-8 text that was cut', Buffer.from(text.replace('Mozilla', '\xe2\x82'), 'latin1'), /^invalid_utf8/],
    ['an overlong form', Buffer.from(text.replace('Mozilla', '\xc0\xaf'), 'latin1'), /^invalid_utf8/],
    ['an array', `[${text}]`, /^not_waf/],
    ['a string', '"waf"', /^not_waf/],
    ['null', 'null', /^not_waf/],
    ['an empty object', '{}', /^not_waf/],
    ['no web ACL', without('webaclId'), /^not_waf/],
    ['no request', without('httpRequest'), /^not_waf/],
    ['a request that is a list', wafRecord({ httpRequest: [] }), /^not_waf/],
    ['a request that is null', wafRecord({ httpRequest: null }), /^not_waf/],
    ['a record in a subscription envelope', { logEvents: [{ message: text }] }, /^not_waf/],
    ['too deep', nested(64), /^too_deep/],
    ['far too deep', nested(100_000), /^too_deep/],
    ['too many keys', inside(keys(2_000)), /^too_many_keys/],
    ['a byte over 1 MiB', sized(EVENT_BYTES_MAX + 1), /^oversize/],
    ['no time', without('timestamp'), /^time_out_of_range/],
    ['a time that is null', wafRecord({ timestamp: null }), /^time_out_of_range/],
    ['a time in a text', wafRecord({ timestamp: '1795000000123' }), /^time_out_of_range/],
    ['a time in a list', wafRecord({ timestamp: [1] }), /^time_out_of_range/],
    ['a time with a fraction', wafRecord({ timestamp: 1_795_000_000_123.5 }), /^time_out_of_range/],
    ['before 1970', wafRecord({ timestamp: -1 }), /^time_out_of_range/],
    ['1970', wafRecord({ timestamp: 0 }), /^time_out_of_range/],
    ['seconds', wafRecord({ timestamp: 1_795_000_000 }), /^time_out_of_range: before 2017, or not in milliseconds$/],
    ['the last millisecond of 2016', wafRecord({ timestamp: Date.UTC(2017, 0, 1) - 1 }), /^time_out_of_range/],
    ['a time that is no double', text.replace('1795000000123', '1e999'), /^time_out_of_range/],
    ['nanoseconds', wafRecord({ timestamp: 1_795_000_000_123_000_000 }), /^time_out_of_range/],
    ['more than a day ahead', wafRecord({ timestamp: NOW_MS + DAY_MS + 1 }), /^time_out_of_range/],
  ])('%s', (_name, record, reason) => {
    expect(outcome(record)).toMatch(reason)
  })

  it('while its neighbours go on, in their order', () => {
    const batch = [wafRecord(), '{', wafRecord({ action: 'ALLOW' }), 'null', wafRequest({ uri: '/x' })].map(record =>
      eventOf(record, 'waf'),
    )
    const refused: unknown[] = []
    expect(stage.apply(batch, event => void refused.push(event))).toEqual([batch[0], batch[2], batch[4]])
    expect(refused).toEqual([batch[1], batch[3]])
    expect(batch[2]!.body.disposition).toBe('Allowed')
    expect(batch[4]!.body.http_request).toMatchObject({ url: { path: '/x' } })
    expect(batch[0]!.body.disposition).toBe('Blocked')
  })

  it('and keeps its bytes and its time of arrival', () => {
    const event = eventOf(wafRecord({ timestamp: -1 }), 'waf')
    const raw = Buffer.from(event.raw)
    const { timeMs } = event
    void stage.apply([event], () => undefined)
    expect(event.raw.equals(raw)).toBe(true)
    expect(event).toMatchObject({ timeMs, body: {}, encode: undefined })
  })
})

describe('not refused', () => {
  it.each<readonly [string, unknown]>([
    ['just a day ahead', wafRecord({ timestamp: NOW_MS + DAY_MS })],
    ['the first millisecond of 2017', wafRecord({ timestamp: Date.UTC(2017, 0, 1) })],
    ['exactly 1 MiB', sized(EVENT_BYTES_MAX)],
    ['63 levels', nested(63)],
    ['many keys', inside(keys(1_900))],
    ['many keys with one twice', inside(`${keys(900)},${keys(900)}`)],
    ['white space everywhere', JSON.stringify(wafRecord(), undefined, '\r\n\t')],
    ['a NUL that is escaped', inside('"a":"b\\u0000c"')],
    ['half of a pair of surrogates', inside('"a":"\\ud800"')],
  ])('%s', (_name, record) => {
    const body = mapped(record)
    const event = eventOf(record, 'waf')
    void stage.apply([event], (_event, reason) => expect.fail(reason))
    expect(JSON.parse(event.encode!().toString())).toEqual(JSON.parse(JSON.stringify(body)))
  })

  it('a time that is written in another way', () => {
    expect(mapped(text.replace('1795000000123', '1.795e12')).time).toBe(1_795_000_000_000)
  })

  it('the only configuration is none', () => {
    expect(parseWaf.config.safeParse({ strict: true }).success).toBe(false)
  })
})
