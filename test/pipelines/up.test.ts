import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { main } from '../../pipelines/cli.ts'
import { readSettings } from '../../pipelines/settings.ts'
import { openTopics } from '../../pipelines/topics/open.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'

const folder = mkdtempSync(join(tmpdir(), 'haetae-up-'))
const KEY = 'key-of-this-test'

afterEach(() => {
  // Of a process that has ended: a second signal would end this one.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.removeAllListeners(signal)
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

test('with ports of 0 the greeting names the ports that were bound, and both answer there', async () => {
  const environment = {
    HAETAE_STATE: join(folder, 'state'),
    HAETAE_LAKE: join(folder, 'lake'),
    HAETAE_FIREHOSE_KEY: KEY,
    HAETAE_INGEST_PORT: '0',
    HAETAE_STATUS_PORT: '0',
    HAETAE_LOG_LEVEL: 'fatal',
    OPENSEARCH_URL: '',
  }
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
  const greeted = Promise.withResolvers<string>()
  vi.spyOn(console, 'error').mockImplementation(text => greeted.resolve(String(text)))
  const ended = main(['up', '--no-sample'])
  const greeting = await greeted.promise

  const [, status] = /status page +(http:\S+)/.exec(greeting) ?? []
  const [, ingest] = /ingest +(http:\S+)\/firehose\/waf/.exec(greeting) ?? []
  expect(status).toMatch(/:[1-9]\d*\/$/)
  expect(ingest).toMatch(/:[1-9]\d*$/)
  expect((await fetch(`${status}healthz`)).status).toBe(200)
  const headers = { Authorization: `Bearer ${KEY}` }
  const answer = await fetch(`${ingest}/ingest/waf`, { method: 'POST', headers, body: '{"not":"a WAF record"}\n' })
  expect(answer.status).toBe(200)
  expect(greeting).toContain(`curl -sS ${ingest}/ingest/waf`)
  expect(greeting).toContain('# in the lake up to 10 s later')
  for (const command of ['decisions list', 'ip 121.160.10.20', 'explain ', 'audit']) {
    expect(greeting).toContain(`npx haetae ${command}`)
  }
  const [, asked] = /client_ip = '([^']+)'/.exec(greeting) ?? []
  expect(/"clientIp":"([^"]+)"/.exec(greeting)?.[1]).toBe(asked)

  process.emit('SIGTERM')
  expect(await ended).toBe(0)
})

test('a second process that is refused the log has written no key, and the first has the one that it greets with', async () => {
  const state = join(folder, 'owned')
  const environment = { HAETAE_STATE: state, HAETAE_LAKE: join(folder, 'lake-owned'), HAETAE_FIREHOSE_KEY: '' }
  const ports = { HAETAE_INGEST_PORT: '0', HAETAE_STATUS_PORT: '0', HAETAE_LOG_LEVEL: 'fatal', OPENSEARCH_URL: '' }
  for (const [name, value] of Object.entries({ ...environment, ...ports })) vi.stubEnv(name, value)
  const owner = await openTopics(readSettings(), silentLog, createMetrics())
  const said: string[] = []
  vi.spyOn(console, 'error').mockImplementation(text => void said.push(String(text)))
  expect(await main(['up', '--no-sample'])).toBe(1)
  expect(said.join('\n')).toContain('TOPIC_OWNED')
  expect(existsSync(join(state, 'ingest.key'))).toBe(false)
  await owner.close()
  said.length = 0
  const ended = main(['up', '--no-sample'])
  await expect.poll(() => said.join('\n')).toMatch(/key +\S+ {2}\(kept in/)
  const kept = readFileSync(join(state, 'ingest.key'), 'utf8').trim()
  expect(said.join('\n')).toContain(kept)
  process.emit('SIGTERM')
  expect(await ended).toBe(0)
})

test('the query of the README asks for the record that its curl posts', () => {
  const read = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')
  const [, posted] = /--data-binary @(\S+)/.exec(read('README.md')) ?? []
  const [, asked] = /client_ip = '([^']+)'/.exec(read('README.md')) ?? []
  const record = JSON.parse(read(posted!)) as { readonly httpRequest: { readonly clientIp: string } }
  expect(asked).toBe(record.httpRequest.clientIp)
})
