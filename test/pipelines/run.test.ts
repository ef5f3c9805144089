import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { main } from '../../pipelines/cli.ts'
import { shippedPipelines } from '../../pipelines/files.ts'
import { type FakeOpenSearch, startFakeOpenSearch } from '../support/opensearch-server.ts'

let folder: string
let search: FakeOpenSearch
let said: string[]
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'haetae-run-'))
  search = await startFakeOpenSearch()
  const environment = {
    HAETAE_STATE: join(folder, 'state'),
    HAETAE_STATUS_PORT: '0',
    HAETAE_INGEST_PORT: '0',
    HAETAE_LOG_LEVEL: 'fatal',
    HAETAE_FIREHOSE_KEY: '',
    HAETAE_KAFKA_BROKERS: '',
    OPENSEARCH_URL: search.url,
  }
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
  said = []
  vi.spyOn(console, 'error').mockImplementation((...words) => void said.push(words.join(' ')))
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  await search.close()
})

const shipped = (name: string): string => shippedPipelines().find(path => path.endsWith(`/${name}.yaml`))!
const keyFile = (): string => join(folder, 'state', 'ingest.key')

function write(name: string, text: string): string {
  const path = join(folder, `${name}.yaml`)
  writeFileSync(path, `pipeline: ${name}\n${text}\n`)
  return path
}

/** A pipeline that ends by itself. */
function ending(): string {
  writeFileSync(join(folder, 'records'), '')
  return write(
    'ending',
    `source: { type: file, kind: waf, path: '${join(folder, 'records')}' }\nsinks: [{ type: drop }]`,
  )
}

/** SIGTERM again and again, as the program listens for it only once it has started. */
async function stopped(ended: Promise<number>): Promise<number> {
  const timer = setInterval(() => process.emit('SIGTERM'), 20)
  try {
    return await ended
  } finally {
    clearInterval(timer)
  }
}

describe('the access key', () => {
  test('is made for a pipeline that receives over HTTP, and the path of the key is said, never the key', async () => {
    vi.spyOn(process, 'exit').mockImplementation(() => undefined as never)
    expect(await stopped(main(['run', shipped('ingest')]))).toBe(0)
    expect(said.join('\n')).toContain(keyFile())
    expect(said.join('\n')).not.toContain(readFileSync(keyFile(), 'utf8').trim())
  })

  test('is made for no other', async () => {
    expect(await main(['run', ending()])).toBe(0)
    expect(existsSync(keyFile())).toBe(false)
    expect(said).toEqual([])
  })

  test('must be given with Kafka, where every process needs the same', async () => {
    vi.stubEnv('HAETAE_KAFKA_BROKERS', '127.0.0.1:1')
    expect(await main(['run', shipped('ingest')])).toBe(2)
    expect(said.join('\n')).toMatch(/SECRET_MISSING: HAETAE_FIREHOSE_KEY .*the same for every process/)
    expect(existsSync(keyFile())).toBe(false)
  })

  test('that another variable holds is asked for, not made', async () => {
    const file = write(
      'own',
      'source: { type: http, port: 0, accessKey: { env: NO_SUCH_KEY } }\nsinks: [{ type: drop }]',
    )
    expect(await main(['run', file])).toBe(2)
    expect(said.join('\n')).toMatch(/SECRET_MISSING: .*NO_SUCH_KEY/)
    expect(existsSync(keyFile())).toBe(false)
  })
})

describe('exit codes', () => {
  test('0 when it is stopped while a component still waits to be opened', async () => {
    search.everything = { status: 401, body: {} }
    vi.spyOn(process, 'exit').mockImplementation(() => undefined as never)
    const records = join(folder, 'records')
    writeFileSync(records, '{"a":1}\n')
    const file = write(
      'waits',
      `source: { type: file, kind: waf, path: '${records}' }\nsinks: [{ type: opensearch, url: '${search.url}', index: x }]`,
    )
    expect(await stopped(main(['run', file]))).toBe(0)
    expect(said).toEqual([])
  })

  test('1 with what to do for a topic that nobody has made, and the next may own the log', async () => {
    for (let time = 0; time < 2; time++) {
      expect(await main(['run', shipped('waf-lake')])).toBe(1)
      expect(said.splice(0).join('\n')).toMatch(/TOPIC_UNKNOWN: waf-lake reads the topic events\.waf,.*haetae up/)
    }
  })

  test('1 with the port for a status page that cannot listen', async () => {
    vi.stubEnv('HAETAE_STATUS_PORT', new URL(search.url).port)
    expect(await main(['run', ending()])).toBe(1)
    expect(said.join('\n')).toMatch(/LISTEN_FAILED: .*HAETAE_STATUS_PORT/)
  })

  test.each([
    ['HAETAE_LOG_LEVEL', 'verbose', /one of debug, info, warn, error/],
    ['HAETAE_STATUS_PORT', '65536', /at most 65535/],
    ['HAETAE_STATUS_HOSTS', 'a:1', /without ports/],
    ['HAETAE_STATE', '/dev/null/state', /HAETAE_STATE/],
  ])('2 and one line without a stack for %s=%s', async (name, value, message) => {
    vi.stubEnv(name, value)
    expect(await main(['run', ending()])).toBe(2)
    expect(said).toEqual([expect.stringMatching(/^haetae run: CONFIG_INVALID: [^\n]*$/)])
    expect(said[0]).toMatch(message)
  })
})
