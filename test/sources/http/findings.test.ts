/** What EventBridge, Falcosidekick and Falco itself send, through the pipeline `ingest`, as they send it. */
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Event } from '../../../engine/contract.ts'
import { key } from '../../../enrichers/key.ts'
import { parseFalco } from '../../../enrichers/parse-falco.ts'
import { parseGuardduty } from '../../../enrichers/parse-guardduty.ts'
import type { JsonObject } from '../../../platform/ocsf/event.ts'
import { FakeClock } from '../../support/clock.ts'
import { testDeps } from '../../support/deps.ts'
import { falcoAlert } from '../../support/falco-alerts.ts'
import { KEY, post, type Running, startHttp } from '../../support/http-source.ts'

const fixture = (path: string): string => readFileSync(new URL(`../../fixtures/${path}`, import.meta.url), 'utf8')
const event = JSON.parse(fixture('guardduty/ssh-brute-force.json')) as JsonObject
const published = fixture('falco/published.ndjson')
  .trimEnd()
  .split('\n')
  .map(line => (JSON.parse(line) as { event: JsonObject }).event)
const deps = testDeps({ clock: new FakeClock() })

let running: Running
beforeEach(async () => {
  running = await startHttp({ kinds: ['waf', 'guardduty', 'falco'] })
})
afterEach(() => running.close())

const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

/** The titles of what a parse stage makes of everything received. */
async function titles(kind: 'guardduty' | 'falco'): Promise<unknown[]> {
  const stage = await (kind === 'falco' ? parseFalco : parseGuardduty).open({}, deps)
  const events = [...running.events]
  expect(events.every(each => each.kind === kind)).toBe(true)
  await stage.apply(events, (_event: Event, reason: string) => expect.fail(reason))
  return events.map(each => each.body.finding_info?.['title'])
}

describe('an EventBridge API destination', () => {
  // Headers as EventBridge documents them; the connection's authorisation is of the type API key or basic.
  const headers = {
    'Content-Type': 'application/json; charset=utf-8',
    'User-Agent': 'Amazon/EventBridge/ApiDestinations',
    Range: 'bytes=0-1048575',
    'Accept-Encoding': 'gzip,deflate',
  }

  it.each([
    ['an API key in a header of ours', { 'X-Amz-Firehose-Access-Key': KEY }],
    ['an API key as a bearer token', { Authorization: `Bearer ${KEY}` }],
    ['user name and password', { Authorization: basic('eventbridge', KEY) }],
  ])('delivers its envelope whole, with %s', async (_, authorisation) => {
    const body = JSON.stringify(event)
    const answer = await post(running.port, '/ingest/guardduty', body, { ...headers, ...authorisation })
    expect(answer).toMatchObject({ status: 200, body: { accepted: 1 } })
    expect(running.events[0]?.raw.toString()).toBe(body)
    expect(await titles('guardduty')).toEqual([(event['detail'] as JsonObject)['title']])
  })

  it('an event printed over many lines is one record', async () => {
    const body = JSON.stringify(event, undefined, 2)
    const answer = await post(running.port, '/ingest/guardduty', body, { ...headers, Authorization: `Bearer ${KEY}` })
    expect(answer).toMatchObject({ status: 200, body: { accepted: 1 } })
    expect(await titles('guardduty')).toHaveLength(1)
  })

  it('all states of one finding share a partition, by the resource', async () => {
    const stage = await key.open({}, deps)
    const detail = event['detail'] as JsonObject
    for (const count of [1, 2]) {
      const body = JSON.stringify({ ...event, id: `event-${count}`, detail: { ...detail, updatedAt: count } })
      await post(running.port, '/ingest/guardduty', body, { ...headers, Authorization: `Bearer ${KEY}` })
    }
    await stage.apply(running.events, () => expect.fail('key rejects nothing'))
    expect(running.events.map(each => each.key)).toEqual(['i-99999999', 'i-99999999'])
  })
})

describe('Falco', () => {
  // libcurl: user and password of the URL become basic authorisation; one alert a request.
  const headers = {
    'Content-Type': 'application/json',
    'User-Agent': 'falcosecurity/falco',
    Accept: '*/*',
    Authorization: basic('falco', KEY),
  }

  it('http_output with the key in its URL: one alert a request, as it is', async () => {
    const raw = JSON.stringify(falcoAlert()).replace('"NANOSECONDS"', '1763870400123456789')
    expect((await post(running.port, '/ingest/falco', raw, headers)).status).toBe(200)
    expect(running.events[0]?.raw.toString()).toBe(raw)
    expect(await titles('falco')).toEqual(['Terminal shell in container'])
  })

  it('with compress_uploads', async () => {
    const body = gzipSync(JSON.stringify(falcoAlert()))
    const zipped = { ...headers, 'Content-Encoding': 'gzip' }
    expect((await post(running.port, '/ingest/falco', body, zipped)).status).toBe(200)
    expect(await titles('falco')).toHaveLength(1)
  })

  it("Falcosidekick's webhook, with a custom header for the key", async () => {
    const headers = {
      'Content-Type': 'application/json; charset=utf-8',
      'User-Agent': 'Falcosidekick',
      Authorization: `Bearer ${KEY}`,
    }
    const alert = { uuid: 'fd3b9e1c-0c4e-4e1d-9d5e-8f0e7d6c5b4a', ...falcoAlert(), time: '2026-11-23T04:00:00.5Z' }
    // Go ends what it encodes with a line feed.
    expect((await post(running.port, '/ingest/falco', `${JSON.stringify(alert)}\n`, headers)).status).toBe(200)
    expect(await titles('falco')).toHaveLength(1)
  })

  it('every published alert is received whole, also several in one body', async () => {
    const body = published.map(each => JSON.stringify(each)).join('\n')
    const answer = await post(running.port, '/ingest/falco', body, headers)
    expect(answer.body.accepted).toBe(published.length)
    expect(running.events.map(each => JSON.parse(each.raw.toString()) as unknown)).toEqual(published)
  })
})

describe('the key as a password', () => {
  it.each([
    ['a wrong one', basic('falco', 'wrong')],
    ['none', basic('falco', '')],
    ['in the place of the user', basic(KEY, '')],
    ['without a colon', `Basic ${Buffer.from(KEY).toString('base64')}`],
    ['not in base64', `Basic falco:${KEY}`],
    ['of another scheme', `Digest ${KEY}`],
  ])('%s is refused, and nothing is read', async (_, authorization) => {
    const answer = await post(running.port, '/ingest/falco', '{}', { Authorization: authorization })
    expect(answer.status).toBe(401)
    expect(running.events).toHaveLength(0)
  })

  it('may hold colons', async () => {
    process.env['HAETAE_TEST_COLON'] = 'a:b:c'
    const other = await startHttp({ accessKey: { env: 'HAETAE_TEST_COLON' } })
    process.env['HAETAE_TEST_COLON'] = 'a:b:c'
    const answer = await post(other.port, '/ingest/falco', '{}', { Authorization: basic('falco', 'a:b:c') })
    expect(answer.status).toBe(200)
    await other.close()
  })
})
