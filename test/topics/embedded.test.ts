import { chmodSync, readdirSync, statSync } from 'node:fs'
import { mkdir, open as openFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { type EmbeddedTopics, openEmbedded } from '../../platform/topics/embedded.ts'
import { LOG_FILE, Store } from '../../platform/topics/store.ts'
import { topicsContract } from './contract.ts'
import { numbered, options, positionsAfter, recordOf, take, topicConfig, valuesOf } from './support.ts'
import { embeddedOptions, openTemporary, temporaryFolder } from './temporary.ts'

topicsContract('embedded', async () => (await openTemporary()).topics)

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
    const names = readdirSync(folder)
    for (const name of [LOG_FILE, `${LOG_FILE}-lock`, 'owner.lock', 'owner.pid', 'topics.sock', 'reserve']) {
      expect(names).toContain(name)
    }
    for (const name of names) expect(statSync(join(folder, name)).mode & 0o077, name).toBe(0)
    await topics.close()
  })

  it('closes off a lock file that an earlier version left readable, and the lock holds all the same', async () => {
    const { topics, folder, reopen } = await openTemporary()
    await topics.close()
    chmodSync(join(folder, 'owner.lock'), 0o644)
    const again = await reopen()
    expect(statSync(join(folder, 'owner.lock')).mode & 0o777).toBe(0o600)
    await expect(reopen()).rejects.toMatchObject({ code: 'TOPIC_OWNED' })
    await expect(reopen()).rejects.toMatchObject({ code: 'TOPIC_OWNED' })
    await again.close()
  })

  it('refuses a log that a later version wrote, and says which', async () => {
    const { topics, folder, reopen } = await openTemporary()
    await topics.ensure(topicConfig())
    await topics.close()
    const store = new Store({ folder, mapBytes: 1024 ** 2 })
    await store.commit(transaction => transaction.put('meta', Buffer.from('format'), Buffer.from('2')))
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
    await store.commit(transaction => transaction.put('meta', Buffer.from(key), Buffer.from(value)))
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

describe('a look between two offsets', () => {
  it('waits while the file is opened again', async () => {
    const { topics } = await openTemporary()
    const config = topicConfig({ partitions: 1 })
    await topics.ensure(config)
    await topics.append(config.name, numbered(3))
    const { promise: reopened, resolve } = Promise.withResolvers<void>()
    const busy = vi.spyOn(Store.prototype, 'busy', 'get').mockReturnValue(reopened)
    const blocks = vi.spyOn(Store.prototype, 'seek')
    const looked = topics.recordsBetween(config.name, 0, 0n, 3n, 1_000_000)
    await new Promise(done => setImmediate(done))
    expect(blocks).not.toHaveBeenCalled()
    busy.mockRestore()
    resolve()
    expect((await looked).records).toHaveLength(3)
    expect(blocks).toHaveBeenCalled()
    blocks.mockRestore()
    await topics.close()
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
