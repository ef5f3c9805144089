import { statSync } from 'node:fs'
import { mkdir, open as openFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Topics } from '../../platform/topics/contract.ts'
import { type EmbeddedTopics, openEmbedded } from '../../platform/topics/embedded.ts'
import { LOG_FILE, Store } from '../../platform/topics/store.ts'
import { FakeClock } from '../support/clock.ts'
import { numbered, options, positionsAfter, recordOf, take, topicConfig, topicsContract, valuesOf } from './contract.ts'
import { embeddedOptions, openTemporary, temporaryFolder } from './temporary.ts'

topicsContract('embedded', async () => (await openTemporary()).topics)

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

describe('the embedded log over restarts', () => {
  it('keeps records, offsets, positions, notes and settings', async () => {
    const { topics, reopen } = await openTemporary()
    const config = topicConfig({ partitions: 1 })
    await topics.ensure(config)
    await topics.append(config.name, numbered(10))
    const given = options(config.name)
    const subscription = await topics.subscribe(given)
    await subscription.commit([{ topic: config.name, partition: 0, offset: 7n, note: 'n' }])
    await topics.close()

    const again = await reopen()
    expect(again.describe()).toMatchObject([{ start: 0n, end: 10n }])
    expect(await again.lag()).toEqual([
      { group: given.group, topic: config.name, partition: 0, committed: 7n, end: 10n },
    ])
    await again.append(config.name, numbered(1, 10))
    await again.ensure(config)
    await expect(again.ensure({ ...config, partitions: 2 })).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
    const next = await again.subscribe(given)
    const read = await take(next, 4)
    expect(valuesOf(read)).toEqual(['value-7', 'value-8', 'value-9', 'value-10'])
    expect(read[0]!.records[0]!.offset).toBe(7n)
    await again.close()
  })

  it('is readable by its owner alone', async () => {
    const { topics, folder } = await openTemporary({ folder: join(temporaryFolder(), 'topics') })
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    for (const name of [LOG_FILE, `${LOG_FILE}-lock`, 'owner.pid', 'topics.sock', 'reserve']) {
      expect(statSync(join(folder, name)).mode & 0o077, name).toBe(0)
    }
    await topics.close()
  })

  it('refuses a log that a later version wrote, and says which', async () => {
    const { topics, folder, reopen } = await openTemporary()
    await topics.ensure(topicConfig())
    await topics.close()
    const store = new Store({ folder, mapBytes: 1024 ** 2 })
    await store.commit(({ put }) => put('meta', Buffer.from('format'), Buffer.from('2')))
    await store.close()
    await expect(reopen()).rejects.toMatchObject({
      code: 'TOPIC_CORRUPT',
      message: expect.stringContaining('format 2'),
    })
    // Nothing is left locked by the refusal.
    await expect(reopen()).rejects.toMatchObject({ code: 'TOPIC_CORRUPT' })
  })

  it.each([
    ['topic:x', '{"id":0}'],
    ['topic:x', 'not json'],
    ['topic:x', '{"id":0,"partitions":99999,"compacted":false,"ageMsMax":1,"bytesMax":1}'],
  ])('refuses metadata that makes no sense: %s = %s', async (key, value) => {
    const { topics, folder, reopen } = await openTemporary()
    await topics.close()
    const store = new Store({ folder, mapBytes: 1024 ** 2 })
    await store.commit(({ put }) => put('meta', Buffer.from(key), Buffer.from(value)))
    await store.close()
    await expect(reopen()).rejects.toMatchObject({ code: 'TOPIC_CORRUPT', message: expect.stringContaining(key) })
  })

  it('answers nothing after it was closed, and closes once', async () => {
    const { topics } = await openTemporary()
    const { name } = topicConfig()
    await topics.ensure(topicConfig({ name }))
    const subscription = await topics.subscribe(options(name))
    const polled = subscription.poll(AbortSignal.timeout(20_000))
    await Promise.all([topics.close(), topics.close()])
    expect(await polled).toBeUndefined()
    await expect(topics.append(name, numbered(1))).rejects.toMatchObject({ code: 'TOPIC_CLOSED' })
    await expect(topics.ensure(topicConfig())).rejects.toMatchObject({ code: 'TOPIC_CLOSED' })
    await expect(topics.subscribe(options(name))).rejects.toMatchObject({ code: 'TOPIC_CLOSED' })
  })

  it('finishes appends that were under way when it was closed', async () => {
    const { topics, reopen } = await openTemporary()
    const config = topicConfig()
    await topics.ensure(config)
    const appends = Array.from({ length: 20 }, (_, index) => topics.append(config.name, numbered(5, index * 5)))
    await topics.close()
    await Promise.all(appends)
    const again = await reopen()
    const subscription = await again.subscribe(options(config.name))
    expect(new Set(valuesOf(await take(subscription, 100))).size).toBe(100)
    await again.close()
  })
})

describe('a block that cannot be read', () => {
  async function damaged(): Promise<{ topics: EmbeddedTopics; name: string }> {
    const { topics, folder, reopen } = await openTemporary()
    const config = topicConfig({ partitions: 1 })
    await topics.ensure(config)
    await topics.append(config.name, numbered(3))
    await topics.append(config.name, [recordOf('k', 'NEEDLE'.repeat(1000)), recordOf('k', 'after')])
    await topics.append(config.name, numbered(2, 5))
    await topics.close()
    const path = join(folder, LOG_FILE)
    const at = (await readFile(path)).indexOf('NEEDLENEEDLE')
    const file = await openFile(path, 'r+')
    await file.write(Buffer.from('x'), 0, 1, at + 2000)
    await file.close()
    return { topics: await reopen(), name: config.name }
  }

  it('is an error that names topic, partition and offset, again and again, and nothing is skipped by itself', async () => {
    const { topics, name } = await damaged()
    const subscription = await topics.subscribe(options(name, { recordsMax: 3 }))
    expect(valuesOf(await take(subscription, 3))).toHaveLength(3)
    for (let tries = 0; tries < 2; tries++) {
      await expect(subscription.poll(AbortSignal.timeout(20_000))).rejects.toMatchObject({
        code: 'TOPIC_CORRUPT',
        message: expect.stringMatching(`topic ${name}, partition 0, offset 3: .* past offset 4 `),
      })
    }
    await topics.close()
  })

  it('is passed by moving the group, while it reads', async () => {
    const { topics, name } = await damaged()
    const given = options(name, { recordsMax: 3 })
    const subscription = await topics.subscribe(given)
    await take(subscription, 3)
    await expect(subscription.poll(AbortSignal.timeout(20_000))).rejects.toMatchObject({ code: 'TOPIC_CORRUPT' })
    await topics.moveGroup(given.group, name, 0, 5n)
    expect(valuesOf(await take(subscription, 2))).toEqual(['value-5', 'value-6'])
    await expect(topics.moveGroup(given.group, name, 0, 8n)).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
    await expect(topics.moveGroup('nobody', name, 0, 5n)).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' })
    await topics.close()
  })
})

describe('markers', () => {
  it('writes a set once and says so when it comes again, also at the same time and after a restart', async () => {
    const { topics, reopen } = await openTemporary()
    const [one, other] = [topicConfig(), topicConfig()]
    await topics.ensure(one)
    await topics.ensure(other)
    const answers = await Promise.all(Array.from({ length: 5 }, () => topics.append(one.name, numbered(3), 'request')))
    expect(answers.map(({ repeated }) => repeated).sort()).toEqual([false, true, true, true, true])
    expect(await topics.append(one.name, numbered(3), 'request')).toEqual({ retry: [], repeated: true })
    expect(await topics.append(other.name, numbered(3), 'request')).toEqual({ retry: [], repeated: false })
    await topics.close()
    const again = await reopen()
    expect((await again.append(one.name, numbered(3), 'request')).repeated).toBe(true)
    expect((await again.append(one.name, numbered(3), 'request\0')).repeated).toBe(false)
    expect(again.describe().reduce((sum, { end }) => sum + Number(end), 0)).toBe(9)
    await again.close()
  })

  it('is not kept when the append failed', async () => {
    const { topics } = await openTemporary({ bytesMax: 300_000 })
    const config = topicConfig()
    await topics.ensure(config)
    const gone = await group(topics, config.name)
    await topics.append(config.name, large(2))
    const tries = [topics.append(config.name, large(2), 'request'), topics.append(config.name, large(2), 'request')]
    for (const each of tries) await expect(each).rejects.toMatchObject(FULL)
    await topics.forgetGroup(gone)
    await group(topics, config.name, 2)
    expect(await topics.append(config.name, large(2), 'request')).toEqual({ retry: [], repeated: false })
    await topics.close()
  })

  it('keeps so many, and so long, and forgets the oldest first', async () => {
    const clock = new FakeClock()
    const { topics, reopen } = await openTemporary({ clock, markers: { ageMsMax: DAY_MS, countMax: 10 } })
    const config = topicConfig()
    await topics.ensure(config)
    const known = async (log: EmbeddedTopics, marker: string): Promise<boolean> =>
      (await log.append(config.name, numbered(1), marker)).repeated
    for (let index = 0; index < 15; index++) await topics.append(config.name, numbered(1), `m${index}`)
    await topics.maintain()
    expect(await known(topics, 'm14')).toBe(true)
    expect(await known(topics, 'm5')).toBe(true)
    expect(await known(topics, 'm4')).toBe(false)
    await topics.close()
    const again = await reopen()
    expect(await known(again, 'm4')).toBe(true)
    await clock.advance(DAY_MS + 1)
    await again.maintain()
    expect(await known(again, 'm4')).toBe(false)
    expect(await known(again, 'm14')).toBe(false)
    await again.close()
  })
})

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

describe('compaction', () => {
  async function state(topics: Topics, name: string): Promise<Map<string | undefined, string>> {
    const found = new Map<string | undefined, string>()
    for await (const { key, value } of topics.readCompacted(name)) found.set(key, String(value))
    return found
  }

  it('keeps the newest of each key with its offset, drops the rest, and gives back their space', async () => {
    const { topics, reopen } = await openTemporary()
    const config = topicConfig({ partitions: 2, compacted: true })
    await topics.ensure(config)
    const expected = new Map<string, string>()
    for (let round = 0; round < 40; round++) {
      const records = Array.from({ length: 20 }, (_, index) =>
        recordOf(`key-${(index * 7 + round) % 30}`, `${round}`.padEnd(5000, '.')),
      )
      for (const { key, value } of records) expected.set(key!, String(value))
      await topics.append(config.name, records)
    }
    const before = await held(topics)
    const ends = topics.describe().map(({ end }) => end)
    await topics.maintain()
    expect(await held(topics)).toBeLessThan(before / 5)
    expect(await state(topics, config.name)).toEqual(expected)
    await topics.append(config.name, [recordOf('key-1', 'new')])
    expected.set('key-1', 'new')
    await topics.close()
    const again = await reopen()
    expect(await state(again, config.name)).toEqual(expected)
    const after = again.describe().map(({ end }) => end)
    expect(after[0]! + after[1]!).toBe(ends[0]! + ends[1]! + 1n)
    await again.close()
  })

  it('keeps a deletion for a day, and longer for a group that has not seen it', async () => {
    const clock = new FakeClock()
    const { topics } = await openTemporary({ clock })
    const config = topicConfig({ partitions: 1, compacted: true })
    await topics.ensure(config)
    const filler = () => recordOf('filler', 'x'.repeat(1_100_000), clock.now())
    const records = async (): Promise<(string | undefined)[]> => {
      const given = options(config.name)
      const subscription = await topics.subscribe(given)
      const { end } = topics.describe()[0]!
      const keys: (string | undefined)[] = []
      for (let offset = 0n; offset < end; ) {
        const [fetched] = await take(subscription, 1)
        keys.push(...fetched!.records.filter(({ value }) => value === null).map(({ key }) => key))
        offset = fetched!.records.at(-1)!.offset + 1n
      }
      await subscription.close()
      await topics.forgetGroup(given.group)
      return keys
    }
    await topics.append(config.name, [recordOf('gone', 'x', clock.now())])
    await topics.append(config.name, [recordOf('gone', null, clock.now()), filler()])
    await topics.maintain()
    expect(await records()).toEqual(['gone'])
    const name = await group(topics, config.name)
    await clock.advance(DAY_MS + 1000)
    await topics.append(config.name, [filler()])
    await topics.maintain()
    expect(await records()).toEqual(['gone'])
    await topics.moveGroup(name, config.name, 0, topics.describe()[0]!.end)
    await topics.append(config.name, [filler()])
    await topics.maintain()
    expect(await records()).toEqual([])
    expect([...(await state(topics, config.name)).keys()]).toEqual(['filler'])
    await topics.close()
  })

  it('gives the state as of the beginning of the read, whatever is written and compacted meanwhile', async () => {
    const { topics } = await openTemporary()
    const config = topicConfig({ partitions: 1, compacted: true })
    await topics.ensure(config)
    const round = async (value: string): Promise<void> => {
      for (let index = 0; index < 12; index++)
        await topics.append(config.name, [recordOf(`k${index}`, value.padEnd(200_000, '.'))])
    }
    await round('old')
    const values: string[] = []
    for await (const { value } of topics.readCompacted(config.name)) {
      values.push(String(value).replaceAll('.', ''))
      if (values.length !== 3) continue
      await round('new')
      await topics.maintain()
    }
    expect(values).toEqual(Array.from({ length: 12 }, () => 'old'))
    await topics.maintain()
    expect(new Set([...(await state(topics, config.name)).values()].map(value => value.replaceAll('.', '')))).toEqual(
      new Set(['new']),
    )
    await topics.close()
  })

  it('refuses to read a topic as compacted that is not', async () => {
    const { topics } = await openTemporary()
    const config = topicConfig()
    await topics.ensure(config)
    await expect(state(topics, config.name)).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
    await topics.close()
  })
})

describe('groups of the embedded log', () => {
  it('does not forget a group that is being read', async () => {
    const { topics } = await openTemporary()
    const config = topicConfig()
    await topics.ensure(config)
    const given = options(config.name)
    const subscription = await topics.subscribe(given)
    await expect(topics.forgetGroup(given.group)).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
    await subscription.close()
    await topics.forgetGroup(given.group)
    expect(await topics.lag()).toEqual([])
    await topics.close()
  })

  it('refuses offsets past the end, notes that Kafka could not keep, and names of groups that it could not have', async () => {
    const { topics } = await openTemporary()
    const config = topicConfig({ partitions: 1 })
    await topics.ensure(config)
    await topics.append(config.name, numbered(3))
    const subscription = await topics.subscribe(options(config.name))
    const at = { topic: config.name, partition: 0, offset: 1n, note: undefined }
    const refused = { code: 'TOPIC_MISMATCH' }
    await expect(subscription.commit([{ ...at, offset: 4n }])).rejects.toMatchObject(refused)
    await expect(subscription.commit([{ ...at, offset: -1n }])).rejects.toMatchObject(refused)
    await expect(subscription.commit([{ ...at, note: 'é'.repeat(2049) }])).rejects.toMatchObject(refused)
    await subscription.commit([{ ...at, note: 'é'.repeat(2048) }])
    await expect(topics.subscribe(options(config.name, { group: 'a\0b' }))).rejects.toMatchObject(refused)
    await topics.close()
  })

  it('hands partitions over many times without losing or doubling what was committed', async () => {
    const { topics } = await openTemporary()
    const config = topicConfig({ partitions: 6 })
    await topics.ensure(config)
    const { group: name } = options(config.name)
    const seen = new Map<string, number>()
    let appended = 0
    for (let round = 0; round < 12; round++) {
      const members = await Promise.all(
        Array.from({ length: 1 + (round % 3) }, () =>
          topics.subscribe(options(config.name, { group: name, recordsMax: 4 })),
        ),
      )
      const stop = new AbortController()
      const reading = members.map(async member => {
        for (;;) {
          const fetched = await member.poll(stop.signal)
          if (!fetched) return
          await member.commit(positionsAfter([fetched]))
          for (const value of valuesOf([fetched])) seen.set(value, (seen.get(value) ?? 0) + 1)
        }
      })
      await topics.append(config.name, numbered(60, appended))
      appended += 60
      await expect.poll(() => seen.size).toBe(appended)
      stop.abort()
      await Promise.all(reading)
      await Promise.all(members.map(member => member.close()))
    }
    expect(Math.max(...seen.values())).toBe(1)
    await topics.close()
  })
})

describe('the owner of the folder', () => {
  it('is one at a time, and says who and what to do', async () => {
    const given = embeddedOptions()
    const topics = await openEmbedded(given)
    await expect(openEmbedded(given)).rejects.toMatchObject({
      code: 'TOPIC_OWNED',
      message: expect.stringMatching(new RegExp(`pid ${process.pid}.*HAETAE_STATE`)),
    })
    await topics.close()
    const next = await openEmbedded(given)
    await next.close()
  })

  it('is found although a dead one left its socket and pid behind', async () => {
    const given = embeddedOptions()
    await mkdir(given.folder, { recursive: true })
    for (const [name, text] of [
      ['topics.sock', ''],
      ['owner.pid', '1\n'],
      ['owner.lock', ''],
    ] as const) {
      const file = await openFile(join(given.folder, name), 'w')
      await file.write(text)
      await file.close()
    }
    const topics = await openEmbedded(given)
    expect(await readFile(join(given.folder, 'owner.pid'), 'utf8')).toBe(`${process.pid}\n`)
    await topics.close()
  })
})
