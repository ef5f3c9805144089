import { writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Sink } from '../../engine/contract.ts'
import { main } from '../../pipelines/cli.ts'
import { shippedPipelines } from '../../pipelines/files.ts'
import { loadPipeline } from '../../pipelines/load.ts'
import { selfSigned } from '../support/certificate.ts'
import { testDeps } from '../support/deps.ts'
import { type FakeOpenSearch, startFakeOpenSearch } from '../support/opensearch-server.ts'
import { never, records } from '../support/opensearch-sink.ts'
import { temporary } from '../support/pipelines.ts'

const VARIABLES = ['OPENSEARCH_URL', 'OPENSEARCH_USERNAME', 'OPENSEARCH_PASSWORD', 'OPENSEARCH_CA_FILE']
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`

let server: FakeOpenSearch
beforeEach(async () => {
  for (const name of VARIABLES) vi.stubEnv(name, '')
  vi.stubEnv('HAETAE_STATE', join(temporary(), 'state'))
  server = await startFakeOpenSearch()
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await server.close()
})

/** The sink of `waf.yaml` in this environment. */
function openSink(): Promise<Sink> {
  const file = shippedPipelines().find(path => path.endsWith('/waf.yaml'))!
  const [sink] = loadPipeline(file, process.env).sinks
  return sink!.spec.open(sink!.config, testDeps())
}

describe('waf.yaml', () => {
  test('writes as the user of the environment', async () => {
    server.authorization = basic('haetae:s3cret, with: everything')
    vi.stubEnv('OPENSEARCH_URL', server.url)
    vi.stubEnv('OPENSEARCH_USERNAME', 'haetae')
    vi.stubEnv('OPENSEARCH_PASSWORD', 's3cret, with: everything')
    const sink = await openSink()
    expect(await sink.write(records(1), never)).toEqual({ retry: [], reject: [] })
    await sink.close()
  })

  test('takes a user name of digits for a name', async () => {
    server.authorization = basic('4711:x')
    vi.stubEnv('OPENSEARCH_URL', server.url)
    vi.stubEnv('OPENSEARCH_USERNAME', '4711')
    vi.stubEnv('OPENSEARCH_PASSWORD', 'x')
    await (await openSink()).close()
  })

  test('sends no credentials without a user name, though a password is set', async () => {
    vi.stubEnv('OPENSEARCH_URL', server.url)
    await (await openSink()).close()
    server.authorization = basic(':x')
    vi.stubEnv('OPENSEARCH_PASSWORD', 'x')
    await expect(openSink()).rejects.toMatchObject({ code: 'SINK_UNAUTHORISED' })
  })

  test('does not start with a user name and no password, or with a file of authorities that is not there', async () => {
    vi.stubEnv('OPENSEARCH_URL', server.url)
    vi.stubEnv('OPENSEARCH_USERNAME', 'haetae')
    await expect(openSink()).rejects.toMatchObject({
      code: 'SECRET_MISSING',
      message: expect.stringContaining('OPENSEARCH_PASSWORD'),
    })
    vi.stubEnv('OPENSEARCH_PASSWORD', 'x')
    vi.stubEnv('OPENSEARCH_CA_FILE', '/nowhere/ca.pem')
    await expect(openSink()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('/nowhere/ca.pem'),
    })
  })
})

describe('doctor', () => {
  async function opensearch(): Promise<{ state: string; detail: string }> {
    const out = vi.spyOn(console, 'log').mockImplementation(() => undefined)
    await main(['doctor', '-o', 'json'])
    const findings = JSON.parse(String(out.mock.calls.at(-1)?.[0])) as {
      check: string
      state: string
      detail: string
    }[]
    out.mockRestore()
    const { state, detail } = findings.find(({ check }) => check === 'opensearch')!
    return { state, detail }
  }

  test('asks with the user and the authorities of the environment', async () => {
    const certificate = selfSigned()
    const caFile = join(temporary(), 'ca.pem')
    writeFileSync(caFile, certificate.cert)
    const tls = createServer(certificate, (request, response) => {
      response.statusCode = request.headers.authorization === basic('haetae:x') ? 200 : 401
      response.end('{}')
    })
    await new Promise<void>(resolve => tls.listen(0, '127.0.0.1', resolve))
    vi.stubEnv('OPENSEARCH_URL', `https://127.0.0.1:${(tls.address() as AddressInfo).port}`)
    expect(await opensearch()).toMatchObject({ state: 'fail', detail: expect.stringMatching(/certificate/) })
    vi.stubEnv('OPENSEARCH_CA_FILE', caFile)
    expect(await opensearch()).toEqual({ state: 'warn', detail: 'answers 401' })
    vi.stubEnv('OPENSEARCH_USERNAME', 'haetae')
    expect(await opensearch()).toMatchObject({ state: 'fail', detail: expect.stringContaining('OPENSEARCH_PASSWORD') })
    vi.stubEnv('OPENSEARCH_PASSWORD', 'x')
    expect(await opensearch()).toEqual({ state: 'ok', detail: 'answers 200' })
    tls.close()
    tls.closeAllConnections()
  })

  test('never shows credentials that somebody put into the address', async () => {
    vi.stubEnv('OPENSEARCH_URL', 'http://haetae:hunter2@127.0.0.1:1')
    const { state, detail } = await opensearch()
    expect(state).toBe('fail')
    expect(detail).not.toContain('hunter2')
  })
})
