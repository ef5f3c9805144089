import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadPipeline, type PipelineConfig } from '../../pipelines/load.ts'
import { type Running, startProcess } from '../../pipelines/process.ts'
import { readSettings, type Settings } from '../../pipelines/settings.ts'
import { connectOwner } from '../../platform/topics/client.ts'
import { freePorts } from '../support/free-ports.ts'
import { type FakeOpenSearch, startFakeOpenSearch } from '../support/opensearch-server.ts'
import { temporary } from '../support/pipelines.ts'

const FORBIDDEN = {
  status: 403,
  body: { error: { type: 'security_exception', reason: 'no permissions' }, status: 403 },
}

/** A loaded machine may take long; it says nothing of the promise. */
const PATIENT = { timeout: 50_000 }

let folder: string
let search: FakeOpenSearch
const started: Running[] = []
beforeEach(async () => {
  folder = temporary()
  mkdirSync(join(folder, 'in'))
  writeFileSync(join(folder, 'in', 'records.ndjson'), '{"a":1}\n')
  search = await startFakeOpenSearch()
})
afterEach(async () => {
  for (const running of started.splice(0)) {
    running.stop()
    await running.done.catch(() => undefined)
  }
  await search.close()
})

function settingsOf(more: NodeJS.ProcessEnv = {}): Settings {
  return readSettings({
    HAETAE_STATE: join(folder, 'state'),
    HAETAE_STATUS_PORT: '0',
    HAETAE_LOG_LEVEL: 'fatal',
    ...more,
  })
}

function pipeline(name: string, source: string, ...sinks: readonly string[]): PipelineConfig {
  const path = join(folder, `${name}.yaml`)
  writeFileSync(path, `pipeline: ${name}\nsource: ${source}\nsinks:\n${sinks.map(sink => `  - ${sink}\n`).join('')}`)
  return loadPipeline(path, { SEARCH: search.url })
}

const fromFile = (): string => `{ type: file, kind: waf, path: '${join(folder, 'in', 'records.ndjson')}' }`
const fromTopic = '{ type: topic, topic: events.waf, kind: waf }'
const fromHttp = "{ type: http, port: 0, accessKey: { env: 'PATH' } }"
const toTopic = '{ type: topic, topic: events.waf }'
const toSearch = "{ type: opensearch, url: '${SEARCH}', index: haetae-waf }"
const maker = () => pipeline('maker', fromHttp, toTopic)
const reader = () => pipeline('reader', fromTopic, '{ type: drop }')

async function start(pipelines: readonly PipelineConfig[], settings = settingsOf()): Promise<Running> {
  const running = await startProcess(pipelines, settings)
  // A test that looks at `done` looks at it later than it may reject.
  running.done.catch(() => undefined)
  started.push(running)
  return running
}

/** What /readyz says, besides the revision that runs. */
async function ready({ status }: Running): Promise<unknown> {
  const { revision, ...rest } = (await (await fetch(`${status.url}/readyz`)).json()) as { readonly revision: string }
  expect(revision).toMatch(/^[0-9a-f]{12}$/)
  return rest
}
const states = ({ health }: Running): Record<string, string> =>
  Object.fromEntries(health.pipelines.map(({ name, state }) => [name, state]))

/** Whether somebody holds the topic log of the state folder. */
async function isOwned(): Promise<boolean> {
  const owner = await connectOwner(settingsOf().topicsFolder)
  owner?.close()
  return owner !== undefined
}

describe('a start that cannot be', () => {
  test('a taken status port ends it with the port and leaves the topic log to the next', async () => {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address ? String(address.port) : ''
    const second = start([maker()], settingsOf({ HAETAE_STATUS_PORT: port }))
    await expect(second).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: expect.stringMatching(`${port}.*HAETAE_STATUS_PORT`),
    })
    server.close()
    expect(await isOwned()).toBe(false)
    await start([maker()])
    expect(await isOwned()).toBe(true)
  })

  test('a topic of the embedded log that nobody makes ends it with what to do, and leaves the log to who can', async () => {
    await expect(start([reader()])).rejects.toMatchObject({
      code: 'TOPIC_UNKNOWN',
      message: expect.stringMatching(/^reader reads the topic events\.waf,.*haetae up.*HAETAE_KAFKA_BROKERS/),
    })
    expect(await isOwned()).toBe(false)
  })

  test('a topic that nobody makes keeps the others from being made, and one that waits for its own is no reason', async () => {
    const chain = pipeline('chain', fromTopic, '{ type: topic, topic: further }')
    await expect(start([chain])).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' })
    const further = pipeline('further', '{ type: topic, topic: further, kind: waf }', '{ type: drop }')
    await expect(start([further])).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' })
    const running = await start([further, chain, maker()])
    await expect.poll(() => ready(running), PATIENT).toEqual({ ready: true })
  })

  test('a second process with the same state is told who owns the log, and the first goes on', async () => {
    const first = await start([maker()])
    await first.listening
    await expect(start([maker()])).rejects.toMatchObject({ code: 'TOPIC_OWNED' })
    expect(await ready(first)).toEqual({ ready: true })
  })
})

describe('who reads a topic starts', () => {
  test('with who writes it, in whatever order they are given', async () => {
    const running = await start([reader(), maker()])
    await expect.poll(() => ready(running), PATIENT).toEqual({ ready: true })
  })

  test('alone, when a process before has made the topic', async () => {
    const before = await start([maker()])
    await before.listening
    before.stop()
    await before.done
    const running = await start([reader()])
    await expect.poll(() => ready(running), PATIENT).toEqual({ ready: true })
  })
})

describe('a destination that refuses at the start', () => {
  test('pauses its own pipeline and no other, and readiness says why', async () => {
    search.everything = FORBIDDEN
    const running = await start([maker(), reader(), pipeline('search', fromTopic, toSearch)])
    const missing = [expect.stringMatching(/^pipeline search is paused: opensearch: SINK_UNAUTHORISED: .*403/)]
    await expect.poll(() => ready(running), PATIENT).toEqual({ ready: false, missing })
    expect((await fetch(`${running.status.url}/healthz`)).status).toBe(200)
    expect(states(running)).toEqual({ maker: 'running', reader: 'running', search: 'paused' })
  })

  test('is no failure when the process is stopped meanwhile', async () => {
    search.everything = FORBIDDEN
    const running = await start([maker(), pipeline('search', fromTopic, toSearch)])
    await expect.poll(() => states(running), PATIENT).toEqual({ maker: 'running', search: 'paused' })
    running.stop()
    await running.done
    expect(states(running)).toEqual({ maker: 'stopped', search: 'stopped' })
    expect(await isOwned()).toBe(false)
  })

  test('keeps nobody waiting who reads what its pipeline writes', async () => {
    search.everything = { status: 503, body: {} }
    const running = await start([pipeline('both', fromFile(), toTopic, toSearch), reader()])
    await expect.poll(() => states(running), PATIENT).toEqual({ both: 'starting', reader: 'running' })
    running.stop()
    await running.done
    expect(states(running)).toEqual({ both: 'stopped', reader: 'stopped' })
  })
})

test('a pipeline that fails for good ends the others, and its failure is that of the process', async () => {
  const wrong = pipeline('wrong', `{ type: file, kind: waf, path: '${join(folder, 'nowhere')}' }`, '{ type: drop }')
  const running = await start([maker(), reader(), wrong])
  await expect(running.done).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE' })
  expect(states(running)).toEqual({ maker: 'stopped', reader: 'stopped', wrong: 'failed' })
  expect(await isOwned()).toBe(false)
})

test('a pipeline whose input ends stops by itself, and with the last one the process', async () => {
  const running = await start([pipeline('once', fromFile(), '{ type: drop }')])
  await running.done
  expect(states(running)).toEqual({ once: 'stopped' })
  expect(existsSync(settingsOf().topicsFolder)).toBe(false)
})

test('Kafka that is away at the start is waited for, and keeps nobody from stopping', async () => {
  const [port = 0] = await freePorts(1)
  const running = await start([reader()], settingsOf({ HAETAE_KAFKA_BROKERS: `127.0.0.1:${port}` }))
  expect(await ready(running)).toEqual({ ready: false, missing: ['pipeline reader is starting'] })
  running.stop()
  await running.done
  expect(states(running)).toEqual({ reader: 'stopped' })
})
