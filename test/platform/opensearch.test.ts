import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer as createPlain, type RequestListener, type Server } from 'node:http'
import { createServer as createTls } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { connectOpenSearch, NoAnswer, type OpenSearch, openSearchFields } from '../../platform/opensearch.ts'
import { selfSigned } from '../support/certificate.ts'

const schema = z.strictObject(openSearchFields)
const open: (Server | OpenSearch)[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const each of open.splice(0)) {
    if ('closeAllConnections' in each) each.closeAllConnections()
    await (each as OpenSearch).close()
  }
})

async function listen(server: Server): Promise<number> {
  open.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

async function serve(listener: RequestListener, config: object = {}): Promise<OpenSearch> {
  return client(`http://127.0.0.1:${await listen(createPlain(listener))}`, config)
}

function client(url: string, config: object = {}): OpenSearch {
  const made = connectOpenSearch(schema.parse({ url, ...config }), 4)
  open.push(made)
  return made
}

const why = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'answered',
    (thrown: unknown) => (thrown instanceof NoAnswer ? thrown.why : thrown),
  )

describe('requests', () => {
  test('method, path, query, body and its type arrive; any status is an answer', async () => {
    const seen: unknown[] = []
    const server = await serve((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        seen.push([request.method, request.url, request.headers['content-type'], Buffer.concat(chunks).toString()])
        response.writeHead(418, { 'content-type': 'application/json' }).end('{"a":1}')
      })
    })
    expect(await server.send({ method: 'PUT', path: '/x', query: { a: 'b' }, body: { c: 1 } })).toEqual({
      status: 418,
      body: { a: 1 },
    })
    await server.send({ method: 'POST', path: '/_bulk', body: Buffer.from('{}\n') })
    expect(seen).toEqual([
      ['PUT', '/x?a=b', 'application/json', '{"c":1}'],
      ['POST', '/_bulk', 'application/x-ndjson', '{}\n'],
    ])
  })

  test('a URL with a path is the prefix of every request', async () => {
    const paths: unknown[] = []
    const port = await listen(createPlain((request, response) => response.end(paths.push(request.url) && 'ok')))
    await client(`http://127.0.0.1:${port}/search/`).send({ method: 'GET', path: '/_bulk' })
    expect(paths).toEqual(['/search/_bulk'])
  })

  test('an answer that is not JSON is its beginning as text', async () => {
    const server = await serve((_, response) =>
      response.writeHead(502, { 'content-type': 'text/html' }).end('x'.repeat(9_000)),
    )
    expect(await server.send({ method: 'GET', path: '/' })).toEqual({ status: 502, body: 'x'.repeat(500) })
  })

  test.each([502, 503, 504])('%d is answered at once and not sent again behind our back', async status => {
    let count = 0
    const server = await serve((_, response) => {
      count++
      response.writeHead(status).end()
    })
    expect(await server.send({ method: 'GET', path: '/' })).toMatchObject({ status })
    expect(count).toBe(1)
  })

  test('basic authentication goes with each request, and an empty user name means none', async () => {
    vi.stubEnv('TEST_PASSWORD', 'pa:ss')
    const seen: unknown[] = []
    const listener: RequestListener = (request, response) =>
      void response.end(String(seen.push(request.headers.authorization)))
    const password = { env: 'TEST_PASSWORD' }
    await (await serve(listener, { auth: { username: 'me', password } })).send({ method: 'GET', path: '/' })
    await (await serve(listener, { auth: { username: '', password } })).send({ method: 'GET', path: '/' })
    expect(seen).toEqual([`Basic ${Buffer.from('me:pa:ss').toString('base64')}`, undefined])
  })

  test('a secret that is missing is an error at the start', () => {
    const auth = { username: 'me', password: { env: 'TEST_NO_SUCH_PASSWORD' } }
    expect(() => client('http://127.0.0.1:1', { auth })).toThrow(/TEST_NO_SUCH_PASSWORD/)
  })
})

describe('no answer', () => {
  test('nobody listens', async () => {
    expect(await why(client('http://127.0.0.1:1').send({ method: 'GET', path: '/' }))).toBe('unreachable')
  })

  test.each<[string, RequestListener]>([
    ['the head of the answer', () => undefined],
    ['the end of the answer', (_, response) => void response.writeHead(200).write('x')],
  ])('%s does not come within requestMsMax', async (_, listener) => {
    const server = await serve(listener, { requestMsMax: 150 })
    expect(await why(server.send({ method: 'GET', path: '/' }))).toBe('timeout')
  })

  test.each<[string, RequestListener]>([
    ['before the head', () => undefined],
    ['within the body', (_, response) => void response.writeHead(200).write('x')],
  ])('given up %s', async (_, listener) => {
    const stop = new AbortController()
    const server = await serve((request, response) => {
      listener(request, response)
      setImmediate(() => stop.abort())
    })
    expect(await why(server.send({ method: 'GET', path: '/', signal: stop.signal }))).toBe('aborted')
    expect(await why(server.send({ method: 'GET', path: '/', signal: stop.signal }))).toBe('aborted')
  })

  test('an endless answer is cut, not gathered until memory is gone', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const piece = Buffer.alloc(1024 * 1024, ' ')
      const more = (): void => void (response.writableEnded || response.destroyed || response.write(piece, more))
      more()
    })
    expect(await why(server.send({ method: 'GET', path: '/' }))).toBe('unreadable')
  })

  test('broken JSON', async () => {
    const server = await serve((_, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"a":'),
    )
    expect(await why(server.send({ method: 'GET', path: '/' }))).toBe('unreadable')
  })
})

describe('TLS', () => {
  const certificate = selfSigned()
  const caFile = join(mkdtempSync(join(tmpdir(), 'haetae-test-')), 'ca.pem')
  writeFileSync(caFile, certificate.cert)
  const tls = async (): Promise<string> =>
    `https://127.0.0.1:${await listen(createTls(certificate, (_, response) => response.end('ok')))}`

  test('a certificate of an authority in caFile is trusted', async () => {
    const server = client(await tls(), { caFile })
    expect(await server.send({ method: 'GET', path: '/' })).toMatchObject({ status: 200 })
  })

  test('any other certificate is not, whatever the environment says', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    const server = client(await tls())
    await expect(server.send({ method: 'GET', path: '/' })).rejects.toThrow(/self-signed certificate/)
  })

  test('a caFile that is not there is an error at the start', () => {
    expect(() => client('https://127.0.0.1:1', { caFile: '/nowhere/ca.pem' })).toThrow(/CONFIG_INVALID|caFile/)
  })
})
