import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Topics } from '../../platform/topics/contract.ts'
import type { EmbeddedTopics } from '../../platform/topics/embedded.ts'
import { LOG_FILE } from '../../platform/topics/store.ts'
import { FakeClock } from '../support/clock.ts'
import { numbered, options, positionsAfter, recordOf, take, topicConfig, valuesOf } from './support.ts'
import { openTemporary } from './temporary.ts'

const FULL = { code: 'TOPIC_FULL' }
const DAY_MS = 86_400_000
const START_MS = Date.now()

/** Records of about 100 kB each. */
function large(count: number, timeMs?: number) {
  return Array.from({ length: count }, (_, index) => recordOf(`key-${index}`, `${index}`.padEnd(100_000, '.'), timeMs))
}

async function held(topics: EmbeddedTopics): Promise<number> {
  return topics.describe().reduce((sum, { bytes }) => sum + bytes, 0)
}

/** Registers a group and, when told, reads and commits everything there is. */
async function group(topics: Topics, name: string, count = 0): Promise<string> {
  const given = options(name)
  const subscription = await topics.subscribe(given)
  if (count > 0) await subscription.commit(positionsAfter(await take(subscription, count)))
  await subscription.close()
  return given.group
}

describe('retention', () => {
  it('deletes what is too old once every registered group has committed it, and never before', async () => {
    const clock = new FakeClock()
    const { topics, reopen } = await openTemporary({ clock })
    const config = topicConfig({ partitions: 1, retention: { ageMsMax: DAY_MS, bytesMax: 1e12 } })
    await topics.ensure(config)
    await topics.append(config.name, large(3, clock.now()))
    await topics.append(config.name, large(3, clock.now() + DAY_MS))
    const slow = await group(topics, config.name)
    await group(topics, config.name, 6)
    await clock.advance(DAY_MS + 1)
    await topics.maintain()
    expect(topics.describe()[0]).toMatchObject({ start: 0n, end: 6n })

    // A group that registered and never polled holds it back until it is forgotten.
    await topics.forgetGroup(slow)
    await topics.maintain()
    expect(topics.describe()[0]).toMatchObject({ start: 3n, end: 6n })
    await topics.close()
    const again = await reopen()
    expect(again.describe()[0]).toMatchObject({ start: 3n, end: 6n })
    const subscription = await again.subscribe(options(config.name))
    expect((await take(subscription, 3))[0]!.records[0]!.offset).toBe(3n)
    await again.close()
  })

  it('deletes the oldest of a topic that is too large, whatever the partition', async () => {
    const { topics } = await openTemporary()
    const config = topicConfig({ partitions: 4, retention: { ageMsMax: 1e12, bytesMax: 1_000_000 } })
    await topics.ensure(config)
    for (let time = 1; time <= 30; time++)
      await topics.append(
        config.name,
        large(1, START_MS + time * 1000).map(r => ({ ...r, key: `${time}` })),
      )
    await topics.maintain()
    expect(await held(topics)).toBeLessThanOrEqual(1_000_000)
    expect(await held(topics)).toBeGreaterThan(800_000)
    const subscription = await topics.subscribe(options(config.name))
    const times = (await take(subscription, 9)).flatMap(({ records }) =>
      records.map(({ timeMs }) => (timeMs - START_MS) / 1000),
    )
    expect(times.sort((a, b) => a - b)).toEqual([22, 23, 24, 25, 26, 27, 28, 29, 30])
    await topics.close()
  })

  it('goes on counting offsets when everything was deleted, also after a restart', async () => {
    const clock = new FakeClock()
    const { topics, reopen } = await openTemporary({ clock })
    const config = topicConfig({ partitions: 1, retention: { ageMsMax: 1000, bytesMax: 1e12 } })
    await topics.ensure(config)
    await topics.append(
      config.name,
      numbered(5).map(record => ({ ...record, timeMs: clock.now() })),
    )
    const name = await group(topics, config.name, 5)
    await clock.advance(5000)
    await topics.maintain()
    expect(topics.describe()[0]).toMatchObject({ start: 5n, end: 5n, bytes: 0 })
    await topics.close()
    const again = await reopen()
    await again.append(config.name, numbered(1, 5))
    const subscription = await again.subscribe(options(config.name, { group: name }))
    expect((await take(subscription, 1))[0]!.records[0]).toMatchObject({ offset: 5n, value: Buffer.from('value-5') })
    await again.close()
  })

  it('does not trip a reader that stands in a block that is deleted', async () => {
    const clock = new FakeClock()
    const { topics } = await openTemporary({ clock })
    const config = topicConfig({ partitions: 1, retention: { ageMsMax: 1000, bytesMax: 1e12 } })
    await topics.ensure(config)
    await topics.append(
      config.name,
      numbered(10).map(record => ({ ...record, timeMs: clock.now() })),
    )
    const given = options(config.name, { recordsMax: 3 })
    const subscription = await topics.subscribe(given)
    const read = await take(subscription, 3)
    await topics.moveGroup(given.group, config.name, 0, 10n)
    await clock.advance(5000)
    await topics.maintain()
    expect(read[0]!.records.map(({ value }) => String(value))).toEqual(['value-0', 'value-1', 'value-2'])
    await topics.append(config.name, numbered(1, 10))
    expect(valuesOf(await take(subscription, 1))).toEqual(['value-10'])
    await topics.close()
  })
})

describe('the size bound', () => {
  it('refuses appends at once when everything is still unread, says who is behind, and takes commits and reads', async () => {
    const { topics } = await openTemporary({ bytesMax: 1_000_000 })
    const config = topicConfig({ partitions: 1 })
    await topics.ensure(config)
    const given = options(config.name)
    const subscription = await topics.subscribe(given)
    let appended = 0
    const refusal = await (async () => {
      for (;;) {
        await topics.append(config.name, large(1))
        appended++
      }
    })().catch((error: unknown) => error)
    expect(refusal).toMatchObject({
      ...FULL,
      message: expect.stringContaining(`${given.group} is ${appended} records behind`),
    })
    expect(topics.full).toBe(true)
    expect(appended).toBe(9)
    for (let tries = 0; tries < 3; tries++)
      await expect(topics.append(config.name, large(1))).rejects.toMatchObject(FULL)

    const read = await take(subscription, 9)
    await subscription.commit(positionsAfter(read))
    await topics.append(config.name, large(1))
    expect(topics.full).toBe(false)
    await topics.close()
  })

  it('makes room by deleting what every group has committed, oldest first, before its retention ends', async () => {
    const { topics } = await openTemporary({ bytesMax: 1_000_000 })
    const config = topicConfig({ partitions: 2 })
    await topics.ensure(config)
    const subscription = await topics.subscribe(options(config.name))
    for (let time = 1; time <= 40; time++) {
      await topics.append(
        config.name,
        large(1, time).map(record => ({ ...record, key: `${time}` })),
      )
      await subscription.commit(positionsAfter(await take(subscription, 1)))
    }
    expect(await held(topics)).toBeLessThanOrEqual(1_000_000)
    const late = await topics.subscribe(options(config.name))
    const left = (await take(late, 8)).flatMap(({ records }) => records.map(({ timeMs }) => timeMs))
    expect(Math.min(...left)).toBeGreaterThan(30)
    await topics.close()
  })

  it('leaves a topic alone that no group reads yet', async () => {
    const { topics } = await openTemporary({ bytesMax: 1_000_000 })
    const [unread, read] = [topicConfig({ partitions: 1 }), topicConfig({ partitions: 1 })]
    await topics.ensure(unread)
    await topics.ensure(read)
    await topics.append(unread.name, large(4))
    await topics.append(read.name, large(4))
    await group(topics, read.name, 4)
    await topics.append(read.name, large(4))
    expect(topics.describe().find(({ topic }) => topic === unread.name)).toMatchObject({ start: 0n, end: 4n })
    await expect(topics.append(read.name, large(4))).rejects.toMatchObject(FULL)
    await topics.close()
  })

  it('reuses the space of what was deleted instead of growing the file', async () => {
    const { topics, folder } = await openTemporary({ bytesMax: 8_000_000 })
    const config = topicConfig({ partitions: 4 })
    await topics.ensure(config)
    const subscription = await topics.subscribe(options(config.name))
    for (let round = 0; round < 60; round++) {
      await topics.append(config.name, large(10))
      await subscription.commit(positionsAfter(await take(subscription, 10)))
    }
    expect(statSync(join(folder, LOG_FILE)).size).toBeLessThan(12_000_000)
    await topics.close()
  })

  it('lets others see that it is full, and not when it is not any more, without anybody appending', async () => {
    const { topics } = await openTemporary({ bytesMax: 500_000 })
    const config = topicConfig({ partitions: 1 })
    await topics.ensure(config)
    const name = await group(topics, config.name)
    await topics.append(config.name, large(4))
    await expect(topics.append(config.name, large(4))).rejects.toMatchObject(FULL)
    expect(topics.full).toBe(true)
    await topics.moveGroup(name, config.name, 0, 4n)
    await topics.maintain()
    expect(topics.full).toBe(false)
    await topics.append(config.name, large(4))
    await topics.close()
  })
})
