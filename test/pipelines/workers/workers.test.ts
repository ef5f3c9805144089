import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { main } from '../../../pipelines/cli.ts'
import { parsePipeline } from '../../../pipelines/load.ts'
import { readSettings } from '../../../pipelines/settings.ts'
import { demandShareable, exitCodeOf, workerFolder } from '../../../pipelines/workers/workers.ts'
import { temporary } from '../../support/pipelines.ts'

const withSource = (source: string) =>
  parsePipeline('shared.yaml', `pipeline: shared\nsource: ${source}\nsinks: [{ type: drop }]\n`, {})
const topic = '{ type: topic, topic: events.waf, kind: waf }'
const http = '{ type: http, accessKey: { env: HAETAE_FIREHOSE_KEY } }'
const kafka = readSettings({ HAETAE_KAFKA_BROKERS: '127.0.0.1:1' })

test('a pipeline that reads a topic of Kafka or takes requests can be shared out to workers', () => {
  for (const source of [topic, http]) expect(() => demandShareable(withSource(source), kafka)).not.toThrow()
})

test('one that reads a file cannot, as each worker would read all of it; nothing can on the embedded log', () => {
  expect(() => demandShareable(withSource('{ type: file, path: /dev/null, kind: waf }'), kafka)).toThrow(
    /reads from file.*each worker would read all of it/,
  )
  expect(() => demandShareable(withSource(topic), readSettings({}))).toThrow(/needs Kafka/)
})

test('each worker has a state folder of its own below the given one', () => {
  expect(workerFolder('/var/lib/haetae', 2)).toBe('/var/lib/haetae/workers/2')
})

test.each(['0', '65', '-1', 'two', '1.5', ''])('--workers %j is wrong usage', async workers => {
  vi.stubEnv('HAETAE_STATE', join(temporary(), 'state'))
  const err = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  expect(await main(['run', 'pipelines/waf-lake.yaml', `--workers=${workers}`])).toBe(2)
  expect(err.mock.calls.join('\n')).toContain('--workers is a number from 1 to 64')
  err.mockRestore()
  vi.unstubAllEnvs()
})

test('a worker that ends by itself ends the container with a code that gets it restarted, even if it ended well', () => {
  expect(exitCodeOf({ code: 0, signal: null }, false)).toBe(1)
  expect(exitCodeOf({ code: 3, signal: null }, false)).toBe(3)
  expect(exitCodeOf({ code: null, signal: 'SIGKILL' }, false)).toBe(1)
  expect(exitCodeOf({ code: null, signal: 'SIGTERM' }, false)).toBe(1)
})

test('one that was told to stop ends it with its own code', () => {
  expect(exitCodeOf({ code: 0, signal: null }, true)).toBe(0)
  expect(exitCodeOf({ code: 1, signal: null }, true)).toBe(1)
  expect(exitCodeOf({ code: null, signal: 'SIGTERM' }, true)).toBe(0)
  expect(exitCodeOf({ code: null, signal: 'SIGKILL' }, true)).toBe(1)
})
