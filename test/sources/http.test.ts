import { randomUUID } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { Delivery } from '../../engine/contract.ts'
import { http, openHttp } from '../../sources/http.ts'
import { testDeps } from '../support/deps.ts'
import {
  base64,
  firehoseBody,
  firehoseHeaders,
  KEY,
  post,
  postFirehose,
  postNdjson,
  type Running,
  startHttp,
  until,
} from '../support/http-source.ts'

let running: Running | undefined
afterEach(async () => {
  await running?.close()
  running = undefined
})

const raws = () => running!.events.map(event => event.raw.toString())

describe('the Firehose protocol', () => {
  it('answers 200 with the request id and a timestamp, and hands out the decoded records in order', async () => {
    running = await startHttp()
    const answer = await postFirehose(running.port, ['{"a":1}\n', ' {"a":2} ', '{"a":"한"}'], 'ed4acda5-034f')
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ requestId: 'ed4acda5-034f', timestamp: expect.any(Number) })
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(answer.headers.get('content-encoding')).toBeNull()
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(0)
    expect(raws()).toEqual(['{"a":1}', '{"a":2}', '{"a":"한"}'])
    expect(running.events.every(event => event.kind === 'waf' && event.origin === undefined)).toBe(true)
    expect(await running.metric('haetae_http_requests_total{route="firehose",status="200"}')).toBe(1)
    expect(await running.metric('haetae_http_records_total{route="firehose",result="taken"}')).toBe(3)
    expect(await running.metric('haetae_http_inflight_bytes')).toBe(0)
  })

  it('takes a gzip body', async () => {
    running = await startHttp()
    const body = gzipSync(firehoseBody(['{"a":1}', '{"a":2}'], 'zipped'))
    const headers = { ...firehoseHeaders('zipped'), 'Content-Encoding': 'gzip' }
    expect((await post(running.port, '/firehose/waf', body, headers)).status).toBe(200)
    expect(raws()).toEqual(['{"a":1}', '{"a":2}'])
  })

  it('answers an empty batch 200 without a delivery, and counts records without data', async () => {
    running = await startHttp()
    expect((await postFirehose(running.port, [])).status).toBe(200)
    expect(running.deliveries).toHaveLength(0)
    expect((await postFirehose(running.port, ['', ' \n', '{"a":1}'])).status).toBe(200)
    expect(raws()).toEqual(['{"a":1}'])
    expect(await running.metric('haetae_http_records_total{route="firehose",result="empty"}')).toBe(2)
  })

  it('takes 10,000 records in deliveries of at most 500, and refuses 10,001', async () => {
    running = await startHttp()
    const records = Array.from({ length: 10_000 }, (_, n) => `{"n":${n}}`)
    expect((await postFirehose(running.port, records)).status).toBe(200)
    expect(raws()).toEqual(records)
    expect(running.deliveries.map(delivery => delivery.batch.length)).toEqual(Array(20).fill(500))
    const answer = await postFirehose(running.port, [...records, '{}'])
    expect(answer.status).toBe(400)
    expect(answer.body.errorMessage).toMatch(/10001 records/)
    expect(running.events).toHaveLength(10_000)
  })

  it('cuts deliveries at 1 MiB', async () => {
    running = await startHttp()
    const records = Array.from({ length: 5 }, (_, n) => `{"n":${n},"x":"${'x'.repeat(400_000)}"}`)
    expect((await postFirehose(running.port, records)).status).toBe(200)
    expect(running.deliveries.map(delivery => delivery.batch.length)).toEqual([2, 2, 1])
  })

  it('answers 200 only after every delivery of the request was acked', async () => {
    const held: Delivery[] = []
    running = await startHttp({}, delivery => held.push(delivery))
    let answered = false
    const records = Array.from({ length: 1200 }, (_, n) => `{"n":${n}}`)
    const answer = postFirehose(running.port, records).finally(() => {
      answered = true
    })
    await until(() => held.length === 3)
    for (const delivery of [held[2]!, held[0]!]) {
      delivery.ack()
      await new Promise(resolve => setTimeout(resolve, 20))
      expect(answered).toBe(false)
    }
    expect(await running.metric('haetae_http_inflight_bytes')).toBeGreaterThan(0)
    held[1]!.ack()
    expect((await answer).status).toBe(200)
    await until(async () => (await running!.metric('haetae_http_inflight_bytes')) === 0)
  })

  it('answers 503 when the engine stops without storing', async () => {
    running = await startHttp({}, delivery => delivery.nack(new Error('draining')))
    const answer = await postFirehose(running.port, ['{"a":1}'], 'again')
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(answer.body).toEqual({
      requestId: 'again',
      timestamp: expect.any(Number),
      errorMessage: 'not stored: draining',
    })
  })
})

describe('records that cannot be events', () => {
  it('go to the dead letter before the answer, and their neighbours go through', async () => {
    running = await startHttp()
    const body = JSON.stringify({
      requestId: 'mixed',
      records: [
        { data: base64('{"a":1}') },
        { data: 'not base64!' },
        { data: base64(`{"big":"${'x'.repeat(1024 * 1024)}"}`) },
        { data: base64('{"a":2}') },
      ],
    })
    expect((await post(running.port, '/firehose/waf', body, firehoseHeaders('mixed'))).status).toBe(200)
    expect(raws()).toEqual(['{"a":1}', '{"a":2}'])
    const [bad, big] = running.deps.dead
    expect(running.deps.dead).toHaveLength(2)
    expect(bad).toMatchObject({ reason: 'bad_base64', stage: 'http', kind: 'waf', pipeline: 'test', origin: undefined })
    expect(bad!.raw.toString()).toBe('not base64!')
    expect(big).toMatchObject({ reason: 'oversize' })
    expect(big!.raw.length).toBe(65_535)
    expect(big!.raw.toString().startsWith('{"big":"xxx')).toBe(true)
    expect(await running.metric('haetae_http_records_total{route="firehose",result="bad_base64"}')).toBe(1)
  })

  it('are written last, once, and 503 tells that the dead letter cannot be written', async () => {
    let tries = 0
    running = await startHttp({}, delivery => delivery.ack(), {
      deadLetter: () => {
        tries++
        return tries === 1 ? Promise.reject(new Error('disk full')) : Promise.resolve()
      },
    })
    const body = JSON.stringify({ requestId: 'twice', records: [{ data: '!' }, { data: base64('{"a":1}') }] })
    const answer = await post(running.port, '/firehose/waf', body, firehoseHeaders('twice'))
    expect(answer.status).toBe(503)
    expect(answer.body.errorMessage).toMatch(/dead letter cannot be written: disk full/)
    expect((await post(running.port, '/firehose/waf', body, firehoseHeaders('twice'))).status).toBe(200)
    expect(tries).toBe(2)
    const [first, second] = running.deliveries
    expect(second!.batch[0]!.marker).toBe(first!.batch[0]!.marker)
  })

  it('does not touch the dead letter while other records of the request are not stored', async () => {
    running = await startHttp({}, delivery => delivery.nack(new Error('no')))
    const body = JSON.stringify({ requestId: 'nack', records: [{ data: '!' }, { data: base64('{"a":1}') }] })
    expect((await post(running.port, '/firehose/waf', body, firehoseHeaders('nack'))).status).toBe(503)
    expect(running.deps.dead).toHaveLength(0)
  })
})

describe('markers', () => {
  const markersOf = async (records: readonly string[], requestId: string, change?: (body: string) => string) => {
    running = await startHttp()
    const body = change?.(firehoseBody(records, requestId)) ?? firehoseBody(records, requestId)
    expect((await post(running.port, '/firehose/waf', body, firehoseHeaders(requestId))).status).toBe(200)
    const markers = running.deliveries.map(delivery => {
      expect(new Set(delivery.batch.map(event => event.marker)).size).toBe(1)
      return delivery.batch[0]!.marker
    })
    await running.close()
    running = undefined
    return markers
  }
  const records = Array.from({ length: 700 }, (_, n) => `{"n":${n}}`)

  it('are the same for a repeat, whatever the envelope looks like', async () => {
    const first = await markersOf(records, 'same')
    expect(first).toHaveLength(2)
    expect(new Set(first).size).toBe(2)
    expect(first[0]).toMatch(/^waf\/same\/0\/[0-9a-f]{32}$/)
    expect(await markersOf(records, 'same')).toEqual(first)
    expect(await markersOf(records, 'same', body => body.replace('1578090901599', '1578090999999'))).toEqual(first)
    const spaced = (body: string) => JSON.stringify(JSON.parse(body), undefined, 2)
    expect(await markersOf(records, 'same', spaced)).toEqual(first)
    expect(await markersOf(records, 'same', body => body.replaceAll('"data"', '"d\\u0061ta"'))).toEqual(first)
  })

  it('differ for another request, for other records, and for the same bytes cut otherwise', async () => {
    const [first] = await markersOf(['{"a":1}', '{"b":2}'], 'one')
    expect((await markersOf(['{"a":1}', '{"b":2}'], 'two'))[0]).not.toBe(first)
    expect((await markersOf(['{"a":1}', '{"b":3}'], 'one'))[0]).not.toBe(first)
    expect((await markersOf(['{"a":1}{"b":2}'], 'one'))[0]).not.toBe(first)
  })
})

describe('NDJSON', () => {
  it('answers how many records were stored', async () => {
    running = await startHttp()
    const answer = await postNdjson(running.port, '{"a":1}\r\n\n{"a":2}\n')
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ requestId: expect.any(String), timestamp: expect.any(Number), accepted: 2 })
    expect(raws()).toEqual(['{"a":1}', '{"a":2}'])
    expect(running.events[0]!.marker).toBeUndefined()
  })

  it('takes one object a request for another kind, under the Firehose header too, and gzip', async () => {
    running = await startHttp()
    const headers = { 'X-Amz-Firehose-Access-Key': KEY, 'Content-Encoding': 'gzip' }
    const body = gzipSync(JSON.stringify({ rule: 'Terminal shell in container' }, undefined, 2))
    const answer = await post(running.port, '/ingest/falco', body, headers)
    expect(answer.body.accepted).toBe(1)
    expect(running.events.map(event => event.kind)).toEqual(['falco'])
  })

  it('makes a repeat under the same Idempotency-Key recognisable, quoted or not', async () => {
    running = await startHttp()
    for (const key of ['"8e03978e"', '8e03978e']) {
      const answer = await postNdjson(running.port, '{"a":1}\n', { 'Idempotency-Key': key })
      expect(answer.body.requestId).toBe('8e03978e')
    }
    await postNdjson(running.port, '{"a":2}\n', { 'Idempotency-Key': '8e03978e' })
    const [first, second, third] = running.events.map(event => event.marker)
    expect(first).toMatch(/^waf\/8e03978e\/0\/[0-9a-f]{32}$/)
    expect(second).toBe(first)
    expect(third).not.toBe(first)
  })

  it('sets a line over 1 MiB aside; its neighbours are taken', async () => {
    running = await startHttp()
    const answer = await postNdjson(running.port, `{"a":1}\n\n{"x":"${'x'.repeat(1024 * 1024)}"}\n{"a":2}\n`)
    expect(answer.status).toBe(200)
    expect(running.events.map(({ raw }) => raw.toString())).toEqual(['{"a":1}', '{"a":2}'])
    expect(running.deps.dead).toMatchObject([{ reason: 'oversize' }])
    expect(running.deps.dead[0]!.raw.length).toBe(64 * 1024)
  })

  it('takes an empty body as no records', async () => {
    running = await startHttp()
    const answer = await postNdjson(running.port, '')
    expect([answer.status, answer.body.accepted]).toEqual([200, 0])
  })
})

describe('configuration', () => {
  it('has an example that uses every key', () => {
    const example = http.config.parse(parse(http.example))
    expect(Object.keys(example).sort()).toEqual(Object.keys(parse(http.example) as object).sort())
    expect(Object.keys(example).sort()).toEqual(Object.keys(http.config.shape).sort())
  })

  it('refuses a bound that no largest body could pass, unknown keys and a literal key', () => {
    const accessKey = { env: 'HAETAE_TEST_KEY' }
    const wrong = [
      { accessKey, inflightBytesMax: 64 * 1024 * 1024 },
      { accessKey, prot: 1 },
      { accessKey: 'literal' },
      { accessKey, answerMs: 180_000 },
      { accessKey, kinds: ['vpc'] },
      {},
    ]
    for (const config of wrong) expect(http.config.safeParse(config).success).toBe(false)
  })

  it('says that the address is taken, the key missing, the certificate unreadable', async () => {
    running = await startHttp()
    const accessKey = { env: 'HAETAE_TEST_KEY' }
    const open = (config: object) => openHttp(http.config.parse({ accessKey, port: 0, ...config }), testDeps())
    await expect(open({ port: running.port })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: expect.stringContaining('HAETAE_INGEST_PORT'),
    })
    await expect(open({ accessKey: { env: 'HAETAE_NOT_SET' } })).rejects.toMatchObject({ code: 'SECRET_MISSING' })
    const tls = { certFile: '/nowhere/tls.crt', keyFile: '/nowhere/tls.key' }
    await expect(open({ tls })).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE' })
  })
})

describe('stopping', () => {
  it('answers 503 to what the engine has not read, 200 to what it still settles, and then refuses connections', async () => {
    const held: Delivery[] = []
    running = await startHttp({}, delivery => held.push(delivery))
    const first = postFirehose(running.port, ['{"a":1}'])
    await until(() => held.length === 1)
    const { source, port } = running
    await running.stopReading()
    expect((await postFirehose(port, ['{"a":2}'])).status).toBe(503)
    held[0]!.ack()
    expect((await first).status).toBe(200)
    await running.close()
    running = undefined
    await expect(postFirehose(port, ['{"a":3}'])).rejects.toThrow()
    expect(await source.read(new AbortController().signal)).toBeUndefined()
  })

  it('answers 503 to a request that waits unread, and to the unread rest of one', async () => {
    process.env['HAETAE_TEST_KEY'] = KEY
    const source = await openHttp(http.config.parse({ port: 0, accessKey: { env: 'HAETAE_TEST_KEY' } }), testDeps())
    const records = Array.from({ length: 600 }, (_, n) => `{"n":${n}}`)
    const answers = [postFirehose(source.port, records, randomUUID()), postFirehose(source.port, ['{}'], randomUUID())]
    const stop = new AbortController()
    const part = await source.read(stop.signal)
    expect(part!.batch.length).toBeLessThanOrEqual(500)
    stop.abort()
    expect(await source.read(stop.signal)).toBeUndefined()
    part!.ack()
    await source.close()
    for (const answer of answers) expect([200, 503]).toContain((await answer).status)
    expect((await answers[0]!).status).toBe(503)
  })
})
