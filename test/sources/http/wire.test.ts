import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { firehoseBody, firehoseHeaders, KEY, type Running, startHttp, until } from '../../support/http-source.ts'
import { RawClient } from '../../support/raw-http.ts'

let running: Running | undefined
const clients: RawClient[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy()
  await running?.close()
  running = undefined
})

function client(): RawClient {
  const made = new RawClient(running!.port)
  clients.push(made)
  return made
}

interface HeadOptions {
  readonly method?: string
  readonly path?: string
  readonly length?: number | undefined
  readonly drop?: readonly string[]
  readonly more?: Readonly<Record<string, string>>
}

function head({ method = 'POST', path = '/firehose/waf', length, drop = [], more = {} }: HeadOptions = {}): string {
  const headers: Record<string, string> = { Host: 'localhost:7078', ...firehoseHeaders('wire'), ...more }
  for (const name of drop) delete headers[name]
  if (length !== undefined) headers['Content-Length'] = String(length)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

const body = firehoseBody(['{"a":1}'], 'wire')
const idle = async () => (await running!.metric('haetae_http_inflight_bytes')) === 0

describe('what is wrong in the head is answered before the body is read', () => {
  const wrong: readonly (readonly [string, HeadOptions, number, RegExp])[] = [
    ['no key', { drop: ['X-Amz-Firehose-Access-Key'] }, 401, /access key/],
    ['another key of the same length', { more: { 'X-Amz-Firehose-Access-Key': 'b-test-key' } }, 401, /access key/],
    ['a longer key', { more: { 'X-Amz-Firehose-Access-Key': `${KEY}${KEY}` } }, 401, /access key/],
    ['the beginning of the key', { more: { 'X-Amz-Firehose-Access-Key': KEY.slice(0, 4) } }, 401, /access key/],
    ['another protocol version', { more: { 'X-Amz-Firehose-Protocol-Version': '2.0' } }, 400, /Protocol-Version/],
    ['no protocol version', { drop: ['X-Amz-Firehose-Protocol-Version'] }, 400, /Protocol-Version/],
    ['no request id', { drop: ['X-Amz-Firehose-Request-Id'] }, 400, /Request-Id is missing/],
    ['a request id of 129 characters', { more: { 'X-Amz-Firehose-Request-Id': 'r'.repeat(129) } }, 400, /request id/],
    ['a request id with a blank', { more: { 'X-Amz-Firehose-Request-Id': 'a b' } }, 400, /request id/],
    ['another content type', { more: { 'Content-Type': 'text/plain' } }, 400, /Content-Type/],
    ['an encoding we do not know', { more: { 'Content-Encoding': 'br' } }, 415, /Content-Encoding/],
    ['an Origin', { more: { Origin: 'https://evil.example' } }, 403, /Origin/],
    ['the name of another host', { more: { Host: 'evil.example:7078' } }, 403, /Host/],
    ['a kind that is not configured', { path: '/firehose/guardduty' }, 404, /\/firehose\/waf/],
    ['a path we do not have', { path: '/' }, 404, /no such path/],
    ['a prototype key as kind', { path: '/firehose/constructor' }, 404, /no such path/],
    ['another method', { method: 'PUT' }, 405, /POST/],
    ['a body that is announced as too large', { length: 64 * 1024 * 1024 + 1 }, 400, /larger than 67108864 bytes/],
  ]

  it.each(wrong)('%s', async (_, options, status, message) => {
    running = await startHttp()
    const sender = client()
    // The body never comes: the answer must not wait for it.
    await sender.send(head({ length: 1000, ...options }))
    const answer = await sender.answer()
    expect(answer.status).toBe(status)
    expect(answer.headers).toMatchObject({ 'content-type': 'application/json', connection: 'close' })
    const parsed = JSON.parse(answer.body)
    expect(parsed).toEqual({
      requestId: expect.any(String),
      timestamp: expect.any(Number),
      errorMessage: expect.stringMatching(message),
    })
    if (!JSON.stringify(options).includes('Request-Id')) expect(parsed.requestId).toBe('wire')
    expect(running.events).toHaveLength(0)
    expect(await idle()).toBe(true)
  })

  it('accepts addresses, localhost and configured names as Host, with any port', async () => {
    running = await startHttp({ hosts: ['Ingest.Example.com'] })
    for (const host of ['localhost', '127.0.0.1:7078', '[::1]:443', '10.0.0.7', 'ingest.example.COM:443']) {
      const sender = client()
      await sender.send(head({ length: body.length, more: { Host: host } }) + body)
      expect([host, (await sender.answer()).status]).toEqual([host, 200])
    }
  })

  it('accepts a head as large as Firehose may make it', async () => {
    running = await startHttp()
    const attributes = Array.from({ length: 50 }, (_, n) => [String(n).padEnd(256, 'k'), 'v'.repeat(1024)])
    const more = {
      'X-Amz-Firehose-Common-Attributes': JSON.stringify({ commonAttributes: Object.fromEntries(attributes) }),
    }
    const sender = client()
    await sender.send(head({ length: body.length, more }) + body)
    expect((await sender.answer()).status).toBe(200)
  })

  it('lets a client read the refusal that first sends its whole body', async () => {
    running = await startHttp()
    for (const more of [{ 'X-Amz-Firehose-Access-Key': 'wrong' }, { 'X-Amz-Firehose-Protocol-Version': '0' }]) {
      const sender = client()
      const large = Buffer.alloc(900_000, 'x')
      await sender.send(head({ length: large.length, more }))
      for (let at = 0; at < large.length; at += 100_000) await sender.send(large.subarray(at, at + 100_000))
      expect((await sender.answer()).status).toBeGreaterThanOrEqual(400)
      expect(await sender.closed()).toBe('')
    }
  })

  it('does not read more than a little of an endless body after refusing the key', async () => {
    running = await startHttp()
    const sender = client()
    await sender.send(head({ length: 60 * 1024 * 1024, more: { 'X-Amz-Firehose-Access-Key': 'wrong' } }))
    expect((await sender.answer()).status).toBe(401)
    let sent = 0
    while (!sender.socket.destroyed && sender.socket.writable && sent < 60 * 1024 * 1024) {
      await sender.send(Buffer.alloc(64 * 1024))
      sent += 64 * 1024
    }
    await sender.closed().catch(() => undefined)
    // 1 MiB is read; the rest of what could be sent sits in socket buffers.
    expect(sent).toBeLessThan(30 * 1024 * 1024)
  })
})

describe('Expect: 100-continue', () => {
  it('is answered only when the head is right', async () => {
    running = await startHttp()
    const good = client()
    await good.send(head({ length: body.length, more: { Expect: '100-continue' } }))
    expect((await good.answer()).status).toBe(100)
    await good.send(body)
    expect((await good.answer()).status).toBe(200)
    const stranger = client()
    await stranger.send(
      head({ length: body.length, more: { Expect: '100-continue', 'X-Amz-Firehose-Access-Key': 'wrong' } }),
    )
    expect((await stranger.answer()).status).toBe(401)
  })

  it('is refused in any other form', async () => {
    running = await startHttp()
    const sender = client()
    await sender.send(head({ length: body.length, more: { Expect: 'something' } }))
    const answer = await sender.answer()
    expect(answer.status).toBe(417)
    expect(JSON.parse(answer.body).errorMessage).toMatch(/Expect/)
  })
})

describe('bodies', () => {
  const send = async (data: Buffer | string, more: Record<string, string>, path = '/firehose/waf') => {
    const sender = client()
    await sender.send(head({ length: Buffer.byteLength(data as string), more, path }))
    await sender.send(data)
    return sender.answer()
  }
  const gzipped = { 'Content-Encoding': 'gzip' }

  it('answers 400 to truncated gzip, trash that calls itself gzip, and truncated JSON', async () => {
    running = await startHttp()
    const zipped = gzipSync(body)
    const wrong = [zipped.subarray(0, zipped.length - 9), zipped.subarray(0, 5), Buffer.from(body), Buffer.alloc(0)]
    for (const data of wrong) expect((await send(data, gzipped)).status).toBe(400)
    expect((await send(body.slice(0, -3), {})).status).toBe(400)
    expect((await send(zipped, {})).status).toBe(400)
    expect((await send('', {})).status).toBe(400)
    expect((await send(Buffer.concat([gzipSync(body.slice(0, 20)), gzipSync(body.slice(20))]), gzipped)).status).toBe(
      200,
    )
    expect(await idle()).toBe(true)
  })

  it('stops a gzip bomb at the bound, without holding more than it', async () => {
    let largest = 0
    running = await startHttp({ bodyBytesMax: 4 * 1024 * 1024, inflightBytesMax: 6 * 1024 * 1024 })
    let over = false
    const watching = (async () => {
      while (!over) {
        largest = Math.max(largest, await running.metric('haetae_http_inflight_bytes'))
        await new Promise(resolve => setImmediate(resolve))
      }
    })()
    const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024, ' '))
    const answer = await send(bomb, gzipped)
    over = true
    await watching
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.body).errorMessage).toMatch(/larger than 4194304 bytes/)
    expect(largest).toBeGreaterThan(0)
    expect(largest).toBeLessThanOrEqual(6 * 1024 * 1024)
    expect(await idle()).toBe(true)
    expect((await send(gzipSync(body), gzipped)).status).toBe(200)
  })

  it('takes the largest body there may be, compressed and chunked too, alone within the bound', async () => {
    const bodyBytesMax = 2 * 1024 * 1024
    running = await startHttp({ bodyBytesMax, inflightBytesMax: 1.5 * bodyBytesMax })
    const ndjson = `{"a":"${'x'.repeat(99_991)}"}\n`.repeat(20)
    const largest = ndjson + ' '.repeat(bodyBytesMax - ndjson.length)
    expect((await send(largest, {}, '/ingest/waf')).status).toBe(200)
    expect((await send(gzipSync(largest), gzipped, '/ingest/waf')).status).toBe(200)
    const sender = client()
    await sender.send(head({ path: '/ingest/waf', more: { 'Transfer-Encoding': 'chunked' } }))
    await sender.send(`${largest.length.toString(16)}\r\n${largest}\r\n0\r\n\r\n`)
    expect((await sender.answer()).status).toBe(200)
    expect(running.events).toHaveLength(60)
    expect((await send(gzipSync(`${largest} `), gzipped, '/ingest/waf')).status).toBe(400)
    expect(await idle()).toBe(true)
  })

  it('waits for a body that comes in small pieces', async () => {
    running = await startHttp()
    const sender = client()
    const message = head({ length: body.length }) + body
    for (let at = 0; at < message.length; at += 7) await sender.send(message.slice(at, at + 7))
    expect((await sender.answer()).status).toBe(200)
    expect(running.events).toHaveLength(1)
  })

  it('answers requests on one connection in order, also when they are sent all at once', async () => {
    running = await startHttp()
    const sender = client()
    const ids = ['one', 'two', 'three']
    const messages = ids.map(id => {
      const text = firehoseBody([`{"id":"${id}"}`], id)
      return head({ length: text.length, more: { 'X-Amz-Firehose-Request-Id': id } }) + text
    })
    await sender.send(messages.join(''))
    for (const id of ids) {
      const answer = await sender.answer()
      expect([answer.status, JSON.parse(answer.body).requestId]).toEqual([200, id])
    }
    expect(running.events.map(event => event.raw.toString())).toEqual(ids.map(id => `{"id":"${id}"}`))
  })
})

describe('clients that misbehave', () => {
  it('give back all memory when they abort an upload, plain, chunked or gzip', async () => {
    running = await startHttp()
    const zipped = gzipSync(Buffer.from(Array.from({ length: 300_000 }, (_, n) => (n * 2654435761) % 251)))
    const uploads: readonly [HeadOptions, string | Buffer][] = [
      [{ length: 1_000_000 }, 'x'.repeat(500_000)],
      [{ more: { 'Transfer-Encoding': 'chunked' } }, `80000\r\n${'x'.repeat(500_000)}`],
      [{ length: 10_000_000, more: { 'Content-Encoding': 'gzip' } }, zipped],
    ]
    for (const [options, data] of uploads) {
      const sender = client()
      await sender.send(head(options))
      await sender.send(data)
      await until(async () => !(await idle()))
      sender.reset()
      await until(idle)
    }
    expect(running.events).toHaveLength(0)
    expect(await running.metric('haetae_http_requests_total{route="firehose",status="499"}')).toBe(3)
  })

  it('are cut off when they do not send the head or the body in time', async () => {
    running = await startHttp({ receiveMs: 1000 })
    const silent = client()
    const slowHead = client()
    const slowBody = client()
    await slowHead.send('POST /firehose/waf HTTP/1.1\r\nHost: ')
    await slowBody.send(head({ length: 1000 }))
    for (const sender of [slowHead, slowBody]) {
      const answer = await sender.answer()
      expect([answer.status, JSON.parse(answer.body).errorMessage]).toEqual([408, 'request timeout'])
      await sender.closed()
    }
    await silent.closed()
    await until(idle)
  })

  it('get a JSON answer, never 413, for what is not HTTP, too large a head, and chunk extensions without end', async () => {
    running = await startHttp()
    const chunked = head({ more: { 'Transfer-Encoding': 'chunked' } })
    const wrong: readonly [string, number][] = [
      ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
      [head({ more: { 'X-Large': 'x'.repeat(100_000) } }), 431],
      [`${chunked}5;${'x'.repeat(20_000)}`, 400],
      [`${chunked}zz\r\n`, 400],
      [head({ more: { 'Content-Length': '-1' } }), 400],
      [head({ more: { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' } }), 400],
      [head({ drop: ['Host'] }), 403],
    ]
    for (const [message, status] of wrong) {
      const sender = client()
      void sender.send(message)
      const answer = await sender.answer()
      expect([message.slice(0, 20), answer.status]).toEqual([message.slice(0, 20), status])
      expect(answer.headers['content-type']).toBe('application/json')
      expect(JSON.parse(answer.body).errorMessage).not.toBe('')
      await sender.closed()
    }
    await until(idle)
    const after = client()
    await after.send(head({ length: body.length }) + body)
    expect((await after.answer()).status).toBe(200)
  })

  it('cannot hold more connections than there may be', async () => {
    running = await startHttp({ connectionsMax: 2 })
    const first = client()
    const second = client()
    for (const sender of [first, second]) {
      await sender.send(head({ length: body.length }) + body)
      expect((await sender.answer()).status).toBe(200)
    }
    expect(await client().closed()).toBe('')
    expect(await running.metric('haetae_http_connections_dropped_total')).toBe(1)
  })
})
