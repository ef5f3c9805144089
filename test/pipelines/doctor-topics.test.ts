import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { shippedPipelines } from '../../pipelines/files.ts'
import { readSettings } from '../../pipelines/settings.ts'
import { openLog } from '../../pipelines/topics/open.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { runCommand } from '../support/command.ts'
import { temporary } from '../support/pipelines.ts'

test('doctor fails while the topic log takes nothing more', async () => {
  for (const name of ['OPENSEARCH_URL', 'HAETAE_KAFKA_BROKERS']) vi.stubEnv(name, '')
  vi.stubEnv('HAETAE_FIREHOSE_KEY', 'a-key-of-this-test-that-is-long-enough')
  vi.stubEnv('HAETAE_STATE', join(temporary(), 'state'))
  vi.stubEnv('HAETAE_TOPICS_BYTES_MAX', String(8 * 1024 ** 2))
  const topics = await openLog(readSettings(), silentLog, createMetrics())
  const retention = { ageMsMax: 1e9, bytesMax: 1e9 }
  await topics.ensure({ name: 'events.waf', partitions: 1, compacted: false, retention })
  const record = { key: 'a', value: Buffer.alloc(500_000, 'x'), timeMs: Date.now() }
  const untilRefused = async () => {
    for (let count = 0; count < 50; count++) await topics.append('events.waf', [record])
  }
  await expect(untilRefused()).rejects.toMatchObject({ code: 'TOPIC_FULL' })
  const withoutGeoIp = shippedPipelines().find(file => file.endsWith('ingest.yaml'))!
  const { code, out } = await runCommand('doctor', withoutGeoIp, '-o', 'json')
  expect(code).toBe(1)
  const findings = JSON.parse(out) as { check: string; state: string; detail: string }[]
  expect(findings.find(({ check }) => check === 'topics')).toMatchObject({
    state: 'fail',
    detail: expect.stringContaining('FULL'),
  })
  await topics.close()
})
