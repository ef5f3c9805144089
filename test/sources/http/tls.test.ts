import { mkdtempSync, writeFileSync } from 'node:fs'
import { type Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { selfSigned } from '../../support/certificate.ts'
import { firehoseBody, firehoseHeaders, type Running, startHttp } from '../../support/http-source.ts'
import { RawClient } from '../../support/raw-http.ts'

let running: Running | undefined
afterEach(async () => {
  await running?.close()
  running = undefined
})

function post(port: number, ca: string, body: string, agent?: Agent): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
  const options = { port, host: '127.0.0.1', path: '/firehose/waf', method: 'POST', ca, agent: agent ?? false }
  const sent = request(
    { ...options, headers: { ...firehoseHeaders('tls'), 'Content-Length': body.length } },
    answer => {
      answer.resume().on('end', () => resolve(answer.statusCode))
    },
  )
  sent.on('error', reject)
  sent.end(body)
  return promise
}

it('speaks HTTPS when it has a certificate, and lives on after a client that does not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-tls-'))
  const { cert, key } = selfSigned()
  const tls = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') }
  writeFileSync(tls.certFile, cert)
  writeFileSync(tls.keyFile, key, { mode: 0o600 })
  running = await startHttp({ tls })
  expect(await post(running.port, cert, firehoseBody(['{"a":1}'], 'tls'))).toBe(200)
  const plain = new RawClient(running.port)
  await plain.send('POST /firehose/waf HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await plain.closed()
  expect(await post(running.port, cert, firehoseBody(['{"a":2}'], 'tls'))).toBe(200)
  expect(running.events.map(event => event.raw.toString())).toEqual(['{"a":1}', '{"a":2}'])
})
