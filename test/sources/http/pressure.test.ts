import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import type { Delivery } from '../../../engine/contract.ts'
import { FakeClock } from '../../support/clock.ts'
import {
  firehoseBody,
  firehoseHeaders,
  postFirehose,
  postNdjson,
  type Running,
  startHttp,
  until,
} from '../../support/http-source.ts'
import { RawClient } from '../../support/raw-http.ts'

let running: Running | undefined
const held: Delivery[] = []
afterEach(async () => {
  for (const delivery of held.splice(0)) delivery.nack(new Error('the test is over'))
  await running?.close()
  running = undefined
})

const hold = (delivery: Delivery) => void held.push(delivery)
const inflight = () => running!.metric('haetae_http_inflight_bytes')
const many = (count: number) => Array.from({ length: count }, (_, n) => `{"n":${n}}`)

describe('an engine that cannot store', () => {
  it('answers 503 after answerMs; what it has goes on, and the repeat has the same markers', async () => {
    const clock = new FakeClock()
    running = await startHttp({ answerMs: 30_000, stallMs: 60_000 }, hold, { clock })
    const first = postFirehose(running.port, many(600), 'late')
    await until(() => held.length === 2)
    await clock.advance(29_000)
    expect(await running.metric('haetae_http_requests_total')).toBe(0)
    await clock.advance(1500)
    const answer = await first
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
    // The engine still has the bytes: they count until it is done with them.
    expect(await inflight()).toBeGreaterThan(0)
    for (const delivery of held.splice(0)) delivery.ack()
    await until(async () => (await inflight()) === 0)
    const repeat = postFirehose(running.port, many(600), 'late')
    await until(() => held.length === 2)
    for (const delivery of held.splice(0)) delivery.ack()
    expect((await repeat).status).toBe(200)
    const markers = running.deliveries.map(delivery => delivery.batch[0]!.marker)
    expect(markers.slice(2)).toEqual(markers.slice(0, 2))
  })

  it('answers new requests 503 at once while something is not stored for stallMs, and takes them again after', async () => {
    const clock = new FakeClock()
    running = await startHttp({ answerMs: 30_000, stallMs: 5000 }, hold, { clock })
    const stuck = postFirehose(running.port, ['{"a":1}'])
    await until(() => held.length === 1)
    await clock.advance(4900)
    const waiting = postFirehose(running.port, ['{"a":2}'])
    await until(() => held.length === 2)
    await clock.advance(200)
    const refused = await postFirehose(running.port, ['{"a":3}'])
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
    expect(refused.body.errorMessage).toMatch(/not stored yet/)
    expect(running.events).toHaveLength(2)
    for (const delivery of held.splice(0)) delivery.ack()
    expect([(await stuck).status, (await waiting).status]).toEqual([200, 200])
    const next = postFirehose(running.port, ['{"a":4}'])
    await until(() => held.length === 1)
    held.splice(0)[0]!.ack()
    expect((await next).status).toBe(200)
  })

  it('keeps refusing after the waiting requests got their 503, until what the engine has is stored', async () => {
    const clock = new FakeClock()
    running = await startHttp({ answerMs: 2000, stallMs: 1000 }, hold, { clock })
    const first = postFirehose(running.port, ['{"a":1}'])
    await until(() => held.length === 1)
    await clock.advance(2500)
    expect((await first).status).toBe(503)
    for (let round = 0; round < 3; round++) {
      await clock.advance(60_000)
      expect((await postFirehose(running.port, ['{"a":1}'])).status).toBe(503)
    }
    held.splice(0)[0]!.ack()
    const again = postFirehose(running.port, ['{"a":1}'])
    await until(() => held.length === 1)
    held.splice(0)[0]!.ack()
    expect((await again).status).toBe(200)
  })
})

describe('an engine that does not read', () => {
  it('is noticed too, and what nobody waits for any more is let go unread', async () => {
    const clock = new FakeClock()
    running = await startHttp({ answerMs: 2000, stallMs: 1000 }, 'never reads', { clock })
    const first = postFirehose(running.port, many(600))
    await until(async () => (await inflight()) > 0)
    await clock.advance(1200)
    expect((await postFirehose(running.port, ['{"a":1}'])).status).toBe(503)
    await clock.advance(1200)
    expect((await first).status).toBe(503)
    await until(async () => (await inflight()) === 0)
    // Nothing waits now, so a new request may try its luck.
    const second = postFirehose(running.port, ['{"a":1}'])
    await until(async () => (await inflight()) > 0)
    await running.stopReading()
    await running.source.read(AbortSignal.abort())
    expect((await second).body.errorMessage).toBe('stopping')
  })
})

describe('the bound on bodies', () => {
  it('answers 503 past it, and takes requests again when memory came back', async () => {
    running = await startHttp({ bodyBytesMax: 100_000, inflightBytesMax: 150_000 }, hold)
    const large = `{"a":"${'x'.repeat(90_000)}"}`
    const first = postNdjson(running.port, large)
    await until(() => held.length === 1)
    expect(await inflight()).toBeGreaterThan(90_000)
    const refused = await postNdjson(running.port, large)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    const small = postNdjson(running.port, '{"small":1}')
    await until(() => held.length === 2)
    for (const delivery of held.splice(0)) delivery.ack()
    expect([(await first).status, (await small).status]).toEqual([200, 200])
    await until(async () => (await inflight()) === 0)
    const next = postNdjson(running.port, large)
    await until(() => held.length === 1)
    held.splice(0)[0]!.ack()
    expect((await next).status).toBe(200)
  })

  it('counts the positions of many small records as well as their bytes', async () => {
    running = await startHttp({ bodyBytesMax: 400_000, inflightBytesMax: 600_000 }, hold)
    const refused = await postNdjson(running.port, '{}\n'.repeat(100_000))
    expect(refused.status).toBe(503)
    expect(running.deliveries).toHaveLength(0)
    await until(async () => (await inflight()) === 0)
  })

  it('refuses a body that grows past what is left, and lets go of it', async () => {
    running = await startHttp({ bodyBytesMax: 400_000, inflightBytesMax: 600_000 }, hold)
    const first = postNdjson(running.port, `{"a":"${'x'.repeat(350_000)}"}`)
    await until(() => held.length === 1)
    const client = new RawClient(running.port)
    const headers = Object.entries({ ...firehoseHeaders('grows'), 'Transfer-Encoding': 'chunked', Host: 'localhost' })
    await client.send(`POST /ingest/waf HTTP/1.1\r\n${headers.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`)
    for (let sent = 0; sent < 300_000; sent += 50_000) await client.send(`c350\r\n${'x'.repeat(0xc350)}\r\n`)
    expect((await client.answer()).status).toBe(503)
    client.socket.destroy()
    held.splice(0)[0]!.ack()
    expect((await first).status).toBe(200)
    await until(async () => (await inflight()) === 0)
  })

  it('also bounds how many small requests may wait', async () => {
    running = await startHttp({}, hold)
    const text = firehoseBody(['{}'], 'small')
    const headers = Object.entries({ ...firehoseHeaders('small'), 'Content-Length': text.length, Host: 'localhost' })
    const message = `POST /firehose/waf HTTP/1.1\r\n${headers.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n${text}`
    const client = new RawClient(running.port)
    await client.send(message.repeat(1030))
    await until(() => held.length === 1024)
    await until(async () => (await running!.metric('haetae_http_requests_total{route="firehose",status="503"}')) === 6)
    expect(held).toHaveLength(1024)
    for (const delivery of held.splice(0)) delivery.ack()
    for (let answered = 0; answered < 1024; answered++) expect((await client.answer()).status).toBe(200)
    expect((await client.answer()).status).toBe(503)
    await client.closed()
  })
})

describe('a client that goes away while its request waits', () => {
  it('loses what the engine has not read; what it has is settled as usual', async () => {
    running = await startHttp({}, hold)
    const text = firehoseBody(many(5), 'gone')
    const headers = Object.entries({ ...firehoseHeaders('gone'), 'Content-Length': text.length, Host: 'localhost' })
    const client = new RawClient(running.port)
    await client.send(`POST /firehose/waf HTTP/1.1\r\n${headers.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n${text}`)
    await until(() => held.length === 1)
    client.reset()
    await until(async () => (await running!.metric('haetae_http_requests_total{route="firehose",status="499"}')) === 1)
    expect(await inflight()).toBeGreaterThan(0)
    held.splice(0)[0]!.ack()
    await until(async () => (await inflight()) === 0)
    expect((await postOnce()).status).toBe(200)
  })

  async function postOnce() {
    const answer = postFirehose(running!.port, ['{"b":1}'], randomUUID())
    await until(() => held.length === 1)
    held.splice(0)[0]!.ack()
    return answer
  }
})
