/** Events before and after the `redact` stage. */
import { expect } from 'vitest'
import type { Event } from '../../engine/contract.ts'
import { parseWaf } from '../../enrichers/parse-waf.ts'
import { redact } from '../../enrichers/redact.ts'
import type { Json, JsonObject, OcsfEvent } from '../../platform/ocsf/event.ts'
import { FakeClock } from './clock.ts'
import { encodedOf, eventOf, testDeps } from './deps.ts'
import { wafRequest } from './waf-records.ts'

const deps = testDeps({ clock: new FakeClock() })
export const parse = await parseWaf.open({}, deps)
const stage = await redact.open(redact.config.parse({}), deps)
export const more = await redact.open(redact.config.parse({ names: ['x-shop-session', 'voucher_code'] }), deps)

export const R = '[redacted]'
export const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl_-x'

export function parsed(record: JsonObject): Event {
  const event = eventOf(record, 'waf')
  void parse.apply([event], (_event, reason) => expect.fail(reason))
  return event
}

/** The event as a sink gets it after redaction. */
export function redacted(event: Event, by = stage): JsonObject {
  expect(by.apply([event], (_event, reason) => expect.fail(reason))).toEqual([event])
  const json = JSON.parse(encodedOf(event).json.toString()) as JsonObject
  expect(JSON.parse(JSON.stringify(event.body))).toEqual(json)
  return json
}

export const requestOf = (body: JsonObject): JsonObject => body['http_request'] as JsonObject
export const header = (name: string, value: string, by = stage): Json | undefined => {
  const event = parsed(wafRequest({ headers: [{ name, value }] }))
  return (requestOf(redacted(event, by))['http_headers'] as JsonObject[])[0]!['value']
}
export const args = (text: string, by = stage): Json | undefined =>
  requestOf(redacted(parsed(wafRequest({ args: text })), by))['args']

/** An event with a plain body, as parsers of other kinds make it. */
export function plain(body: JsonObject): Event {
  const event = eventOf({ any: 'record' }, 'falco')
  event.body = body as OcsfEvent
  return event
}
