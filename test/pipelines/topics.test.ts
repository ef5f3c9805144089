import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readSettings, type Settings } from '../../pipelines/settings.ts'
import { holdsRecords, withTopics } from '../../pipelines/topics/ask.ts'
import { configuredTopics } from '../../pipelines/topics/configured.ts'
import { forgetGroup, moveGroup, topicLags } from '../../pipelines/topics/groups.ts'
import { openTopics } from '../../pipelines/topics/open.ts'
import { changeTopics, topicsStanding } from '../../pipelines/topics/standing.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'

const config = { name: 'events.waf', partitions: 1, compacted: false, retention: { ageMsMax: 1e9, bytesMax: 1e9 } }
const record = { key: 'a', value: Buffer.from('{}'), timeMs: 0 }

function subscribing() {
  const listener = { assigned: () => undefined, revoked: () => undefined }
  return { group: 'waf', topics: ['events.waf'], from: 'earliest', recordsMax: 10, bytesMax: 1000, listener } as const
}

async function folderWithGroup(partitions = 1) {
  const settings = readSettings({ HAETAE_STATE: mkdtempSync(join(tmpdir(), 'haetae-topics-')) })
  const topics = await openTopics(settings, silentLog, createMetrics())
  await topics.ensure({ ...config, partitions })
  const subscription = await topics.subscribe(subscribing())
  return { settings, topics, subscription }
}

test('the log is reached through its owner while one runs, and directly when none does', async () => {
  const { settings, topics, subscription } = await folderWithGroup()
  await withTopics(settings, append => append('events.waf', [record]))
  expect((await topicsStanding(settings))?.detail).toContain(`process ${process.pid} owns the log`)
  expect(await topicLags(settings)).toMatchObject([{ group: 'waf', committed: 0n, end: 1n }])
  await subscription.close()
  await topics.close()
  expect(await topicsStanding(settings)).toBeUndefined()
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

describe('asking before there is a log', () => {
  const fresh = () => readSettings({ HAETAE_STATE: mkdtempSync(join(tmpdir(), 'haetae-topics-')) })

  test('makes none: nothing waits, no group is there to forget or move, and no record is held', async () => {
    const settings = fresh()
    expect(await topicLags(settings)).toEqual([])
    expect(await holdsRecords(settings)).toBe(false)
    await withTopics(settings, () => Promise.resolve())
    await expect(forgetGroup(settings, 'waf')).rejects.toThrow('there is no group "waf"; there are: none')
    const move = { group: 'waf', topic: 'events.waf', partition: undefined, to: 'latest' } as const
    await expect(moveGroup(settings, move)).rejects.toThrow('there is no group "waf"')
    expect(existsSync(settings.topicsFolder)).toBe(false)
  })

  test('records are held once one was stored, whoever has the log, and not by topics alone', async () => {
    const { settings, topics, subscription } = await folderWithGroup()
    expect(await holdsRecords(settings)).toBe(false)
    await subscription.close()
    await topics.close()
    expect(await holdsRecords(settings)).toBe(false)
    await withTopics(settings, append => append('events.waf', [record]))
    expect(await holdsRecords(settings)).toBe(true)
  })
})

describe('moving a group', () => {
  const move = { group: 'waf', topic: 'events.waf', partition: undefined } as const
  const positions = async (settings: Settings): Promise<bigint[]> =>
    (await topicLags(settings)).map(({ committed }) => committed)

  test('is refused while it reads, and goes through the owner once it does not', async () => {
    const { settings, topics, subscription } = await folderWithGroup()
    await topics.append('events.waf', [record, record, record])
    await expect(moveGroup(settings, { ...move, to: 'latest' })).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
    expect(await positions(settings)).toEqual([0n])
    await subscription.close()
    expect(await moveGroup(settings, { ...move, to: 'latest' })).toEqual([{ partition: 0, from: 0n, to: 3n }])
    expect(await positions(settings)).toEqual([3n])
    await topics.close()
  })

  test('goes where it is told when nobody owns the log, and the group reads on from there', async () => {
    const { settings, topics, subscription } = await folderWithGroup()
    await topics.append('events.waf', [record, record, record])
    await subscription.close()
    await topics.close()
    expect(await moveGroup(settings, { ...move, to: 2n })).toEqual([{ partition: 0, from: 0n, to: 2n }])
    expect(await moveGroup(settings, { ...move, to: 'latest' })).toEqual([{ partition: 0, from: 2n, to: 3n }])
    expect(await moveGroup(settings, { ...move, to: 'earliest' })).toEqual([{ partition: 0, from: 3n, to: 0n }])
    expect(await moveGroup(settings, { ...move, partition: 0, to: 1n })).toEqual([{ partition: 0, from: 0n, to: 1n }])
    const next = await openTopics(settings, silentLog, createMetrics())
    const again = await next.subscribe(subscribing())
    const fetched = await again.poll(AbortSignal.timeout(20_000))
    expect(fetched?.records.map(({ offset }) => offset)).toEqual([1n, 2n])
    await next.close()
  })

  test('moves every partition, or the one that is named; an offset needs a name where there are several', async () => {
    const { settings, topics, subscription } = await folderWithGroup(3)
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
    await topics.append(
      'events.waf',
      keys.map(key => ({ ...record, key })),
    )
    await subscription.close()
    const ends = (await topicLags(settings)).map(({ end }) => end)
    expect(ends.every(end => end > 0n)).toBe(true)
    await expect(moveGroup(settings, { ...move, to: 1n })).rejects.toThrow(/--partition/)
    expect(await positions(settings)).toEqual([0n, 0n, 0n])
    await moveGroup(settings, { ...move, to: 'latest' })
    expect(await positions(settings)).toEqual(ends)
    await moveGroup(settings, { ...move, partition: 1, to: 0n })
    expect(await positions(settings)).toEqual([ends[0], 0n, ends[2]])
    await topics.close()
  })

  test('says what there is when the group, the topic, the partition or the offset is wrong, and moves nothing', async () => {
    const { settings, topics, subscription } = await folderWithGroup()
    await topics.append('events.waf', [record])
    await subscription.close()
    const wrong = [
      [
        { ...move, group: 'wav', to: 'latest' },
        'there is no group "wav" that reads events.waf; groups and topics are: waf',
      ],
      [{ ...move, topic: 'events.x', to: 'latest' }, 'there is no group "waf" that reads events.x'],
      [{ ...move, partition: 4, to: 'latest' }, 'partition 4 of events.waf'],
      [{ ...move, to: 2n }, 'events.waf/0 holds the offsets from 0 to 1: 2 is none of them'],
    ] as const
    for (const [given, message] of wrong) {
      await expect(moveGroup(settings, given)).rejects.toMatchObject({
        code: 'USAGE',
        message: expect.stringContaining(message),
      })
    }
    expect(await positions(settings)).toEqual([0n])
    await topics.close()
  })
})

describe('the topics that pipelines write', () => {
  const settings = readSettings({ HAETAE_STATE: mkdtempSync(join(tmpdir(), 'haetae-topics-')) })

  test('are found in the pipeline files, with the partitions and the retention they ask for', () => {
    const found = configuredTopics(settings)
    expect(found.map(({ name }) => name)).toContain('events.waf')
    expect(found.find(({ name }) => name === 'events.waf')).toMatchObject({ partitions: 4, compacted: false })
    expect(configuredTopics(settings, ['pipelines/waf-lake.yaml'])).toEqual([])
  })

  test('are made by a command in Kafka only: the embedded log makes them by itself', async () => {
    const change = changeTopics(settings, configuredTopics(settings), false)
    await expect(change).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('embedded log') })
  })
})
