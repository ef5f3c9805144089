import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ingestKey, makeStateFolder, pipelineVariables, readSettings } from '../../pipelines/settings.ts'

const temporary = (): string => mkdtempSync(join(tmpdir(), 'haetae-settings-'))

test('HAETAE_STATE moves everything, HAETAE_LAKE the lake alone', () => {
  const folder = temporary()
  const settings = readSettings({ HAETAE_STATE: folder })
  expect(settings.topicsFolder).toBe(join(folder, 'topics'))
  expect(settings.lake).toBe(join(folder, 'lake'))
  expect(readSettings({ HAETAE_STATE: folder, HAETAE_LAKE: '/srv/lake' }).lake).toBe('/srv/lake')
})

test('OpenSearch, Kafka and blocking in AWS WAF connect the process; a lake elsewhere on this machine does not', () => {
  expect(readSettings({}).connected).toBe(false)
  expect(readSettings({ HAETAE_LAKE: '/srv/lake' }).connected).toBe(false)
  expect(readSettings({ OPENSEARCH_URL: 'http://x' }).connected).toBe(true)
  expect(readSettings({ HAETAE_KAFKA_BROKERS: 'x:9092' }).connected).toBe(true)
  expect(readSettings({ HAETAE_BLOCKING: 'on' }).connected).toBe(true)
  expect(readSettings({ HAETAE_BLOCKING: 'off' }).connected).toBe(false)
})

test('the lake may be a bucket with a prefix, and nothing else that looks like a URL', () => {
  expect(readSettings({ HAETAE_LAKE: 's3://bucket/x/' })).toMatchObject({ lake: 's3://bucket/x', connected: true })
  for (const wrong of [
    'https://bucket/x',
    's3:/bucket',
    's3://b',
    's3://bucket/a b',
    's3://bucket/../x',
    "s3://bucket/'",
  ]) {
    expect(() => readSettings({ HAETAE_LAKE: wrong }), wrong).toThrow(/s3:\/\/bucket\/prefix/)
  }
})

test('a number that is not one is refused with the name of its variable', () => {
  expect(() => readSettings({ HAETAE_STATUS_PORT: 'many' })).toThrow(/HAETAE_STATUS_PORT=many/)
  expect(() => readSettings({ HAETAE_TOPICS_BYTES_MAX: '1GiB' })).toThrow(/HAETAE_TOPICS_BYTES_MAX/)
  expect(readSettings({ HAETAE_STATUS_PORT: '0' }).statusPort).toBe(0)
})

test('a port that no socket can have is refused before anything is opened', () => {
  expect(() => readSettings({ HAETAE_STATUS_PORT: '65536' })).toThrow(/HAETAE_STATUS_PORT=65536: .*65535/)
  expect(readSettings({ HAETAE_STATUS_PORT: '65535' }).statusPort).toBe(65_535)
})

test('a level of the log that there is none of is refused with those there are', () => {
  expect(() => readSettings({ HAETAE_LOG_LEVEL: 'verbose' })).toThrow(/HAETAE_LOG_LEVEL=verbose: one of debug, info/)
  expect(readSettings({ HAETAE_LOG_LEVEL: 'warn' }).logLevel).toBe('warn')
})

test('names of the status page are compared in lower case; ports, addresses of pages and patterns are none', () => {
  const hosts = (text: string) => readSettings({ HAETAE_STATUS_HOSTS: text }).statusHosts
  expect(hosts('')).toEqual([])
  expect(hosts('Haetae, haetae.Security.svc ,')).toEqual(['haetae', 'haetae.security.svc'])
  for (const wrong of ['haetae:7077', 'http://haetae', '*.svc', 'a b']) {
    expect(() => hosts(wrong), wrong).toThrow(/HAETAE_STATUS_HOSTS=.*without ports/)
  }
})

test('a state folder that cannot be made or used is refused with its path and what to do', () => {
  const folder = temporary()
  const file = join(folder, 'file')
  writeFileSync(file, '')
  for (const stateFolder of [file, join(file, 'below')]) {
    const settings = { ...readSettings({ HAETAE_STATE: join(folder, 'state') }), stateFolder }
    for (const refused of [() => readSettings({ HAETAE_STATE: stateFolder }), () => makeStateFolder(settings)]) {
      expect(refused).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
      expect(refused).toThrow(new RegExp(`the state folder ${stateFolder} cannot be used: .*HAETAE_STATE`))
    }
  }
})

test('a state folder several levels down is made, for its owner alone; one below /proc is refused at once', () => {
  const state = join(temporary(), 'a', 'b', 'state')
  makeStateFolder(readSettings({ HAETAE_STATE: state }))
  expect(statSync(state).mode & 0o777).toBe(0o700)
  expect(() => makeStateFolder(readSettings({ HAETAE_STATE: '/proc/haetae/state' }))).toThrow(
    /the state folder \/proc\/haetae\/state cannot be used: .*HAETAE_STATE/,
  )
})

test('pipeline files see the defaults as variables', () => {
  const settings = readSettings({ HAETAE_STATE: '/srv/haetae' })
  expect(pipelineVariables(settings, { X: 'y' })).toEqual({
    X: 'y',
    HAETAE_STATE: '/srv/haetae',
    HAETAE_LAKE: '/srv/haetae/lake',
  })
})

test('the ingest key is made once, kept 0600 in a 0700 folder, and given to the pipelines by its variable', () => {
  const settings = readSettings({ HAETAE_STATE: join(temporary(), 'state') })
  makeStateFolder(settings)
  expect(statSync(settings.stateFolder).mode & 0o777).toBe(0o700)
  const env: NodeJS.ProcessEnv = {}
  const first = ingestKey(settings, env)
  expect(first.made).toBe(true)
  expect(first.key).toMatch(/^[A-Za-z0-9_-]{32}$/)
  expect(env['HAETAE_FIREHOSE_KEY']).toBe(first.key)
  expect(statSync(join(settings.stateFolder, 'ingest.key')).mode & 0o777).toBe(0o600)
  expect(ingestKey(settings, {}).key).toBe(first.key)
})

test('a given key is used and nothing is written', () => {
  const settings = readSettings({ HAETAE_STATE: temporary() })
  expect(ingestKey(settings, { HAETAE_FIREHOSE_KEY: 'given' })).toMatchObject({ key: 'given', made: false })
  expect(() => readFileSync(join(settings.stateFolder, 'ingest.key'))).toThrow()
})

test('an empty key file is replaced by a new key, never used as an empty key', () => {
  const settings = readSettings({ HAETAE_STATE: temporary() })
  writeFileSync(join(settings.stateFolder, 'ingest.key'), '\n')
  expect(ingestKey(settings, {}).key).toMatch(/^[A-Za-z0-9_-]{32}$/)
})
