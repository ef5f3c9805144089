import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readSettings } from '../../pipelines/settings.ts'
import { forgetGroup, openTopics, topicLags, topicsOwner, withTopics } from '../../pipelines/topics.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'

const config = { name: 'events.waf', partitions: 1, compacted: false, retention: { ageMsMax: 1e9, bytesMax: 1e9 } }
const record = { key: 'a', value: Buffer.from('{}'), timeMs: 0 }

async function folderWithGroup() {
  const settings = readSettings({ HAETAE_STATE: mkdtempSync(join(tmpdir(), 'haetae-topics-')) })
  const topics = await openTopics(settings, silentLog, createMetrics())
  await topics.ensure(config)
  const listener = { assigned: () => undefined, revoked: () => undefined }
  const options = { group: 'waf', topics: ['events.waf'], from: 'earliest', recordsMax: 10, bytesMax: 1000 } as const
  const subscription = await topics.subscribe({ ...options, listener })
  return { settings, topics, subscription }
}

test('the log is reached through its owner while one runs, and directly when none does', async () => {
  const { settings, topics, subscription } = await folderWithGroup()
  await withTopics(settings, append => append('events.waf', [record]))
  expect(await topicsOwner(settings)).toContain(`process ${process.pid} owns the log`)
  expect(await topicLags(settings)).toMatchObject([{ group: 'waf', committed: 0n, end: 1n }])
  await subscription.close()
  await topics.close()
  expect(await topicsOwner(settings)).toBeUndefined()
  await withTopics(settings, append => append('events.waf', [record]))
  expect(await topicLags(settings)).toMatchObject([{ group: 'waf', committed: 0n, end: 2n }])
})

test('a group is forgotten only when it exists and does not read', async () => {
  const { settings, topics, subscription } = await folderWithGroup()
  await expect(forgetGroup(settings, 'wav')).rejects.toThrow('there is no group "wav"; there are: waf')
  await expect(forgetGroup(settings, 'waf')).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
  await subscription.close()
  await forgetGroup(settings, 'waf')
  expect(await topicLags(settings)).toEqual([])
  await topics.close()
})
