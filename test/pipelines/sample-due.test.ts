import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { main } from '../../pipelines/cli.ts'
import { Health } from '../../pipelines/health.ts'
import type { Running } from '../../pipelines/process.ts'
import { feedSample } from '../../pipelines/replay-sample.ts'
import { noteSample, sampleDue } from '../../pipelines/sample-due.ts'
import { readSettings, type Settings } from '../../pipelines/settings.ts'
import { withTopics } from '../../pipelines/topics/ask.ts'
import { openTopics } from '../../pipelines/topics/open.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { fakeRuntime, temporary } from '../support/pipelines.ts'

const NOW_MS = Date.UTC(2026, 10, 24)
let settings: Settings

beforeEach(() => {
  settings = readSettings({ HAETAE_STATE: temporary() })
})

async function makeTopic(): Promise<void> {
  const topics = await openTopics(settings, silentLog, createMetrics())
  const retention = { ageMsMax: 1e9, bytesMax: 1e9 }
  await topics.ensure({ name: 'events.waf', partitions: 1, compacted: false, retention })
  await topics.close()
}

describe('the sample is due', () => {
  test('where nothing was ever stored, also after commands that only ask', async () => {
    vi.stubEnv('HAETAE_STATE', settings.stateFolder)
    vi.spyOn(console, 'log').mockReturnValue()
    vi.spyOn(console, 'error').mockReturnValue()
    for (const args of [
      ['topics', 'list'],
      ['topics', 'lag'],
      ['deadletter', 'list'],
      ['deadletter', 'replay', '--all'],
    ]) {
      expect(await main(args)).toBe(0)
    }
    vi.restoreAllMocks()
    vi.unstubAllEnvs()
    expect(existsSync(settings.topicsFolder)).toBe(false)
    expect(await sampleDue(settings, NOW_MS)).toBe(NOW_MS)
  })

  test('where a first start was ended before it had received anything', async () => {
    await makeTopic()
    mkdirSync(settings.lake)
    expect(await sampleDue(settings, NOW_MS)).toBe(NOW_MS)
  })

  test('where its replay broke off: with the time it had, whatever was stored by then', async () => {
    await makeTopic()
    await withTopics(settings, append => append('events.waf', [{ key: 'a', value: Buffer.from('{}'), timeMs: 0 }]))
    noteSample(settings, { endMs: NOW_MS - 5_000, finished: false })
    expect(await sampleDue(settings, NOW_MS)).toBe(NOW_MS - 5_000)
    expect(statSync(join(settings.stateFolder, 'sample.json')).mode & 0o777).toBe(0o600)
  })
})

describe('the sample is not due', () => {
  test('where records were stored', async () => {
    await makeTopic()
    await withTopics(settings, append => append('events.waf', [{ key: 'a', value: Buffer.from('{}'), timeMs: 0 }]))
    expect(await sampleDue(settings, NOW_MS)).toBeUndefined()
    writeFileSync(join(settings.stateFolder, 'sample.json'), 'torn')
    expect(await sampleDue(settings, NOW_MS)).toBeUndefined()
  })

  test('where the lake holds something', async () => {
    mkdirSync(join(settings.lake, 'class=http_activity'), { recursive: true })
    expect(await sampleDue(settings, NOW_MS)).toBeUndefined()
  })

  test('where it was replayed, although nothing is left of it', async () => {
    noteSample(settings, { endMs: NOW_MS, finished: true })
    expect(await sampleDue(settings, NOW_MS)).toBeUndefined()
  })
})

describe('replaying it', () => {
  interface Request {
    readonly records: readonly { readonly data: string }[]
  }

  async function bodyOf(request: IncomingMessage): Promise<Request> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    return JSON.parse(Buffer.concat(chunks).toString()) as Request
  }

  /** Feeds the sample to an ingest whose answers the test gives; resolves when the log says how it ended. */
  async function feed(answer: (count: number) => number, endMs: number) {
    const requests: Request[] = []
    const server = createServer((request, response) => {
      void bodyOf(request).then(body => {
        requests.push(body)
        response.writeHead(answer(requests.length)).end()
      })
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const said = Promise.withResolvers<string>()
    const log = { ...silentLog, info: said.resolve, warn: said.resolve }
    const runtime = {
      ...fakeRuntime(log),
      settings,
      clock: { ...fakeRuntime().clock, now: () => NOW_MS, wait: () => Promise.resolve() },
    }
    const done = new Promise<void>(() => undefined)
    const running = { runtime, health: new Health(NOW_MS, silentLog), done } as unknown as Running
    feedSample(running, `http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'key', endMs)
    const end = await said.promise
    server.closeAllConnections()
    server.close()
    return { end, records: requests.map(({ records }) => records.map(({ data }) => data)) }
  }

  test('after it broke off sends the same bytes again, so that each record is known, and is done when all were taken', async () => {
    const broken = await feed(count => (count > 2 ? 503 : 200), NOW_MS)
    expect(broken.end).toBe('the sample was not replayed')
    const dueMs = await sampleDue(settings, NOW_MS + 60_000)
    const whole = await feed(() => 200, dueMs!)
    expect(whole.end).toBe('the sample was replayed')
    expect(whole.records.slice(0, 2)).toEqual(broken.records.slice(0, 2))
    expect(whole.records.flat()).toHaveLength(4_500)
    expect(await sampleDue(settings, NOW_MS)).toBeUndefined()
  })
})
