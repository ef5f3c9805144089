import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { filter } from '../../enrichers/filter.ts'
import type { Condition } from '../../platform/condition.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import { eventOf, testDeps } from '../support/deps.ts'

const never = () => {
  throw new Error('a filter rejects nothing')
}
const body: OcsfEvent = {
  time: 1000,
  action: 'Allowed',
  is_alert: true,
  metadata: { version: '1.8.0', labels: ['bot', 'count'], product: { name: 'WAF', vendor_name: 'AWS' } },
  src_endpoint: { ip: '10.1.2.3', location: { country: 'KR', lat: 37.5 } },
  http_request: {
    url: { path: '/Static/app.js' },
    http_headers: [
      { name: 'Host', value: 'shop.example' },
      { name: 'Cookie', value: 'a=b' },
    ],
  },
  unmapped: { httpRequest: { country: 'US' }, flags: ['x', 'y'], deep: { on: true } },
}
const withBody = (given: OcsfEvent) => Object.assign(eventOf({}), { body: given })
const open = (settings: unknown) => filter.open(filter.config.parse(settings), testDeps())
/** Whether the condition holds for the event above. */
async function holds(condition: Condition, given = body): Promise<boolean> {
  const event = withBody(given)
  const kept = await (await open({ keep: condition })).apply([event], never)
  const left = await (await open({ drop: condition })).apply([event], never)
  expect(kept.length + left.length).toBe(1)
  return kept.length === 1
}
const problem = (settings: unknown) => {
  const result = filter.config.safeParse(settings)
  return result.success ? [] : result.error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`)
}

describe('filter conditions', () => {
  it.each<[Condition, boolean]>([
    [{ field: 'action', equals: 'Allowed' }, true],
    [{ field: 'action', equals: 'allowed' }, false],
    [{ field: 'action', equals: 'allowed', ignoreCase: true }, true],
    [{ field: 'disposition', equals: 'Allowed' }, false],
    [{ field: 'action', in: ['Denied', 'Allowed'] }, true],
    [{ field: 'action', in: ['ALLOWED'], ignoreCase: true }, true],
    [{ field: 'action', in: ['Denied'] }, false],
    [{ field: 'http_request.url.path', prefix: '/static/' }, false],
    [{ field: 'http_request.url.path', prefix: '/static/', ignoreCase: true }, true],
    [{ field: 'http_request.url.path', prefix: '/Static/', suffix: ['.css', '.js'] }, true],
    [{ field: 'http_request.url.path', prefix: '/Static/', suffix: ['.css'] }, false],
    [{ field: 'http_request.url.path', contains: ['nothing', 'app'] }, true],
    [{ field: 'http_request.user_agent', contains: 'x' }, false],
    [{ field: 'http_request.user_agent', exists: false }, true],
    [{ field: 'http_request.url.path', exists: true }, true],
    [{ field: 'http_request.url.path', exists: false }, false],
    [{ field: 'src_endpoint.ip', cidr: '10.0.0.0/8' }, true],
    [{ field: 'src_endpoint.ip', cidr: ['192.168.0.0/16', '10.1.2.3'] }, true],
    [{ field: 'src_endpoint.ip', cidr: ['192.168.0.0/16', '::/0'] }, false],
    [{ field: 'time', gte: 1000, lte: 1000 }, true],
    [{ field: 'time', gte: 1001 }, false],
    [{ field: 'src_endpoint.location.lat', lte: 37 }, false],
    [{ field: 'metadata.labels', equals: 'count' }, true],
    [{ field: 'metadata.labels', prefix: 'c', suffix: 't' }, true],
    [{ field: 'metadata.labels', prefix: 'b', suffix: 'nt' }, false], // one label must answer both
    [{ field: 'http_request.http_headers.name', equals: 'cookie', ignoreCase: true }, true],
    [{ field: 'http_request.http_headers.value', contains: 'secret' }, false],
    [{ field: 'unmapped.httpRequest.country', equals: 'US' }, true],
    [{ field: 'unmapped.flags', equals: 'y' }, true],
    [{ field: 'unmapped.deep.on', equals: true }, true],
    [{ field: 'unmapped.deep.off', exists: true }, false],
    [{ field: 'unmapped', exists: true }, true],
    [{ field: 'src_endpoint.location.geo', exists: false }, true],
    [
      {
        all: [
          { field: 'time', gte: 1 },
          { field: 'action', equals: 'Allowed' },
        ],
      },
      true,
    ],
    [
      {
        all: [
          { field: 'time', gte: 1 },
          { field: 'action', equals: 'Denied' },
        ],
      },
      false,
    ],
    [
      {
        any: [
          { field: 'time', lte: 1 },
          { field: 'action', equals: 'Allowed' },
        ],
      },
      true,
    ],
    [
      {
        not: {
          any: [
            { field: 'time', lte: 1 },
            { field: 'action', equals: 'Denied' },
          ],
        },
      },
      true,
    ],
  ])('%j holds: %s', async (condition, expected) => {
    expect(await holds(condition)).toBe(expected)
  })

  it('see nothing of prototypes: a record cannot smuggle values in, nor a field name reach out', async () => {
    const given = { unmapped: JSON.parse('{"__proto__": {"on": true}}') } as OcsfEvent
    expect(await holds({ field: 'unmapped.on', exists: true }, given)).toBe(false)
    expect(await holds({ field: 'unmapped.constructor', exists: true })).toBe(false)
    expect(await holds({ field: 'unmapped.toString.name', exists: true })).toBe(false)
  })

  it('hold for nothing in an event without a body, and never throw on values of wrong types', async () => {
    expect(await holds({ field: 'action', equals: 'Allowed' }, {})).toBe(false)
    const wrong = {
      http_request: 'x',
      metadata: { labels: { a: 1 } },
      src_endpoint: [null],
      unmapped: null,
    } as unknown as OcsfEvent
    for (const field of ['http_request.url.path', 'metadata.labels', 'src_endpoint.ip', 'unmapped.a.b']) {
      expect(await holds({ field, contains: 'x' }, wrong), field).toBe(false)
    }
  })

  it('keep and drop split any batch into two halves in order', () => {
    const tests = fc.constantFrom<Condition>(
      { field: 'http_response.code', gte: 400 },
      { not: { field: 'http_response.code', equals: 403 } },
      {
        any: [
          { field: 'http_response.code', lte: 200 },
          { field: 'http_response.code', exists: false },
        ],
      },
    )
    const codes = fc.array(fc.option(fc.constantFrom(200, 302, 403, 500), { nil: undefined }), { maxLength: 20 })
    return fc.assert(
      fc.asyncProperty(tests, codes, async (condition, list) => {
        const events = list.map(code => withBody(code === undefined ? {} : { http_response: { code } }))
        const kept = await (await open({ keep: condition })).apply(events, never)
        const left = await (await open({ drop: condition })).apply(events, never)
        expect(kept.length + left.length).toBe(events.length)
        expect(events.filter(event => kept.includes(event))).toEqual(kept)
        expect(events.filter(event => left.includes(event))).toEqual(left)
      }),
    )
  })
})

describe('filter configuration', () => {
  it.each<[unknown, RegExp]>([
    [{}, /either drop or keep/],
    [{ drop: { field: 'action', exists: true }, keep: { field: 'action', exists: true } }, /either drop or keep/],
    [{ drop: {} }, /^drop: a condition has exactly one of all, any, not, field/],
    [{ drop: { field: 'action', all: [{ field: 'action', exists: true }] } }, /exactly one/],
    [{ drop: { all: [] } }, /^drop.all: /],
    [{ drop: { field: 'acton', equals: 'x' } }, /^drop.field: there is no field acton in the event: it has time, /],
    [
      { drop: { field: 'http_request.uri', equals: 'x' } },
      /there is no field uri in http_request: it has http_method, /,
    ],
    [{ drop: { field: 'http_request.url', exists: true } }, /name one of its fields scheme, hostname/],
    [{ drop: { field: 'action.name', exists: true } }, /action has no fields/],
    [{ drop: { field: 'constructor', exists: true } }, /no field constructor/],
    [{ drop: { field: 'unmapped..x', exists: true } }, /unmapped has no fields/],
    [{ drop: { field: '', exists: true } }, /no field/],
    [{ drop: { field: 'action' } }, /say what about action/],
    [{ drop: { field: 'action', regex: '.*' } }, /[Uu]nrecognized key.*regex/],
    [{ drop: { all: [{ field: 'action', equals: 'x' }], equals: 'x' } }, /equals needs a field/],
    [{ drop: { field: 'time', equals: '1000' } }, /time is a number, and "1000" is not/],
    [{ drop: { field: 'time', contains: '1' } }, /time is a number: contains does not fit/],
    [{ drop: { field: 'action', gte: 5 } }, /action is a string: gte does not fit/],
    [{ drop: { field: 'action', in: ['x', 5] } }, /action is a string, and 5 is not/],
    [{ drop: { field: 'src_endpoint.ip', cidr: ['10.0.0.0/8', '10.0.0.1/8'] } }, /10.0.0.1\/8 is not a network/],
    [{ drop: { field: 'time', cidr: '10.0.0.0/8' } }, /time is not an address/],
    [{ drop: { field: 'src_endpoint.location.geo', equals: 'x' } }, /geo is an object: only exists fits/],
    [{ drop: { field: 'action', exists: true, equals: 'x' } }, /exists stands alone/],
    [{ drop: { not: { any: [{ field: 'nope', exists: true }] } } }, /^drop.not.any.0.field: there is no field nope/],
  ])('%j: %s', (settings, message) => {
    expect(problem(settings).join('\n')).toMatch(message)
  })

  it('refuses conditions nested past the bound', () => {
    let condition: Condition = { field: 'action', exists: true }
    for (let depth = 0; depth < 20; depth++) condition = { not: condition }
    expect(problem({ drop: condition }).join()).toMatch(/nested deeper than 16/)
  })

  it('accepts its own example', () => {
    expect(problem(parse(filter.example))).toEqual([])
  })
})
