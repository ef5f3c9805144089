import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type {
  AssignmentListener,
  Fetched,
  FetchedRecord,
  Position,
  SubscribeOptions,
  Subscription,
  TopicConfig,
  TopicRecord,
  Topics,
} from '../../platform/topics/contract.ts'
import { partitionOf } from '../../platform/topics/partition.ts'

const DAY_MS = 86_400_000
let names = 0

export function topicConfig(overrides: Partial<TopicConfig> = {}): TopicConfig {
  const retention = { ageMsMax: 7 * DAY_MS, bytesMax: 1024 ** 3 }
  return { name: `topic-${process.pid}-${names++}`, partitions: 4, compacted: false, retention, ...overrides }
}

export function recordOf(key: string | undefined, value: string | null, timeMs = 1_790_000_000_000): TopicRecord {
  return { key, value: value === null ? null : Buffer.from(value), timeMs }
}

export function numbered(count: number, from = 0): TopicRecord[] {
  return Array.from({ length: count }, (_, index) => recordOf(`key-${from + index}`, `value-${from + index}`))
}

/** What a listener was told, and where each partition stands. */
export interface Watched extends AssignmentListener {
  readonly positions: Map<string, Position>
  readonly told: string[]
}

export function watch(): Watched {
  const positions = new Map<string, Position>()
  const told: string[] = []
  return {
    positions,
    told,
    assigned(added) {
      for (const position of added) {
        positions.set(`${position.topic}/${position.partition}`, position)
        told.push(`+${position.partition}`)
      }
    },
    revoked(gone) {
      for (const { topic, partition } of gone) {
        positions.delete(`${topic}/${partition}`)
        told.push(`-${partition}`)
      }
    },
  }
}

export function options(topic: string, overrides: Partial<SubscribeOptions> = {}): SubscribeOptions {
  const bounds = { recordsMax: 500, bytesMax: 1024 * 1024 }
  return {
    group: `group-${process.pid}-${names++}`,
    topics: [topic],
    from: 'earliest',
    listener: watch(),
    ...bounds,
    ...overrides,
  }
}

/** Polls until `count` records came. */
export async function take(subscription: Subscription, count: number): Promise<Fetched[]> {
  const fetched: Fetched[] = []
  for (let have = 0; have < count; ) {
    const next = await subscription.poll(AbortSignal.timeout(30_000))
    if (!next) throw new Error(`${have} of ${count} records came`)
    fetched.push(next)
    have += next.records.length
  }
  return fetched
}

export function valuesOf(fetched: readonly Fetched[]): string[] {
  return fetched.flatMap(({ records }) => records.map(({ value }) => String(value)))
}

/** The position after everything in `fetched`, for each partition. */
export function positionsAfter(fetched: readonly Fetched[], note?: string): Position[] {
  const last = new Map<number, Position>()
  for (const { topic, partition, records } of fetched) {
    last.set(partition, { topic, partition, offset: records.at(-1)!.offset + 1n, note })
  }
  return [...last.values()]
}

export async function nothingMore(subscription: Subscription): Promise<void> {
  expect(await subscription.poll(AbortSignal.timeout(200))).toBeUndefined()
}

async function compactedState(topics: Topics, topic: string): Promise<Record<string, string>> {
  const state: Record<string, string> = {}
  for await (const { key, value } of topics.readCompacted(topic)) state[key ?? ''] = String(value)
  return state
}

/** What every implementation of `Topics` promises. `open` gives one that lives until `close`. */
export function topicsContract(name: string, open: () => Promise<Topics>): void {
  describe(`${name}: the contract of topics`, () => {
    let topics: Topics
    beforeAll(async () => {
      topics = await open()
    })
    afterAll(async () => {
      await topics.close()
    })

    async function topicWith(records: readonly TopicRecord[], overrides: Partial<TopicConfig> = {}): Promise<string> {
      const config = topicConfig(overrides)
      await topics.ensure(config)
      if (records.length > 0) expect(await topics.append(config.name, records)).toEqual({ retry: [], repeated: false })
      return config.name
    }

    describe('appending', () => {
      it('gives back keys, values and times as they were appended, null and empty values too', async () => {
        const records = [
          recordOf('a', 'one', 1_790_000_000_001),
          recordOf('a', '', 1_790_000_000_002),
          recordOf('a', null, 1_790_000_000_003),
          { key: 'a', value: Buffer.from([0, 255, 10, 13]), timeMs: 1_790_000_000_004 },
        ]
        const topic = await topicWith(records)
        const subscription = await topics.subscribe(options(topic))
        const got = (await take(subscription, 4)).flatMap(fetched => fetched.records)
        expect(got.map(({ key, value, timeMs }) => ({ key, value, timeMs }))).toEqual(records)
        await subscription.close()
      })

      it('keeps the mark of a replayed record', async () => {
        const topic = await topicWith([{ ...recordOf('a', 'again'), replayed: true }, recordOf('a', 'first')])
        const subscription = await topics.subscribe(options(topic))
        const got = (await take(subscription, 2)).flatMap(fetched => fetched.records)
        expect(got.map(({ replayed = false }) => replayed)).toEqual([true, false])
        await subscription.close()
      })

      it('puts a record where murmur2 of its key says, also for keys beyond ASCII', async () => {
        const keys = ['203.0.113.7', '2001:db8::/64', '', 'ключ', '열쇠', '🔑'.repeat(50)]
        const topic = await topicWith(
          keys.map(key => recordOf(key, key)),
          { partitions: 7 },
        )
        const subscription = await topics.subscribe(options(topic))
        for (const { partition, records } of await take(subscription, keys.length)) {
          for (const { key, value } of records) {
            expect(key).toBe(String(value))
            expect(partition).toBe(partitionOf(key!, 7))
          }
        }
        await subscription.close()
      })

      it('keeps the order of the records of one key over many appends', async () => {
        const topic = await topicWith([])
        for (let round = 0; round < 20; round++) {
          await topics.append(topic, [recordOf('k', `${round}a`), recordOf('other', 'x'), recordOf('k', `${round}b`)])
        }
        const subscription = await topics.subscribe(options(topic))
        const got = (await take(subscription, 60)).flatMap(fetched => fetched.records)
        const values = got.filter(({ key }) => key === 'k').map(({ value }) => String(value))
        expect(values).toEqual(Array.from({ length: 20 }, (_, round) => [`${round}a`, `${round}b`]).flat())
        await subscription.close()
      })

      it('spreads records without a key over all partitions', async () => {
        const topic = await topicWith(Array.from({ length: 400 }, (_, index) => recordOf(undefined, String(index))))
        const subscription = await topics.subscribe(options(topic))
        const counts = new Map<number, number>()
        for (const { partition, records } of await take(subscription, 400)) {
          counts.set(partition, (counts.get(partition) ?? 0) + records.length)
          expect(records.every(({ key }) => key === undefined)).toBe(true)
        }
        expect([...counts.values()].sort()).toEqual([100, 100, 100, 100])
        await subscription.close()
      })

      it('refuses a topic that was never ensured', async () => {
        await expect(topics.append('never-ensured', numbered(1))).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' })
        await expect(topics.subscribe(options('never-ensured'))).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' })
      })

      it('ensures a topic again without change, and never changes one', async () => {
        const config = topicConfig({ partitions: 2 })
        await Promise.all([topics.ensure(config), topics.ensure(config)])
        await topics.append(config.name, numbered(3))
        await topics.ensure(config)
        await expect(topics.ensure({ ...config, partitions: 3 })).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
        await expect(topics.ensure({ ...config, compacted: true })).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
        const subscription = await topics.subscribe(options(config.name))
        expect(valuesOf(await take(subscription, 3))).toHaveLength(3)
        await subscription.close()
      })

      it('refuses names that not every implementation can hold', async () => {
        for (const bad of ['', 'with space', '../up', 'a'.repeat(250), '.', 'null\0byte']) {
          await expect(topics.ensure(topicConfig({ name: bad }))).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
        }
        await expect(topics.ensure(topicConfig({ partitions: 0 }))).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
      })

      it('takes nothing for nothing', async () => {
        const topic = await topicWith([])
        expect(await topics.append(topic, [])).toEqual({ retry: [], repeated: false })
      })
    })

    describe('reading', () => {
      it('begins at the start or, for a group without a position, at the end', async () => {
        const topic = await topicWith(numbered(10))
        const earliest = await topics.subscribe(options(topic))
        const latest = await topics.subscribe(options(topic, { from: 'latest' }))
        await topics.append(topic, numbered(5, 10))
        expect(valuesOf(await take(earliest, 15))).toHaveLength(15)
        expect(valuesOf(await take(latest, 5)).sort()).toEqual([
          'value-10',
          'value-11',
          'value-12',
          'value-13',
          'value-14',
        ])
        await nothingMore(latest)
        await Promise.all([earliest.close(), latest.close()])
      })

      it('bounds what a poll gives by records and by bytes, but gives at least one', async () => {
        const topic = await topicWith(
          Array.from({ length: 30 }, (_, index) => recordOf('k', `${index}`.padEnd(1000, '.'))),
          { partitions: 1 },
        )
        const byCount = await topics.subscribe(options(topic, { recordsMax: 7 }))
        const counts = (await take(byCount, 30)).map(({ records }) => records.length)
        expect(Math.max(...counts)).toBeLessThanOrEqual(7)
        const byBytes = await topics.subscribe(options(topic, { bytesMax: 3_500 }))
        for (const { records } of await take(byBytes, 30)) expect(records.length).toBeLessThanOrEqual(3)
        const tiny = await topics.subscribe(options(topic, { bytesMax: 1 }))
        const single = await take(tiny, 30)
        expect(single.map(({ records }) => records.length)).toEqual(Array.from({ length: 30 }, () => 1))
        expect(valuesOf(single).map(value => Number.parseInt(value, 10))).toEqual(
          Array.from({ length: 30 }, (_, i) => i),
        )
        await Promise.all([byCount.close(), byBytes.close(), tiny.close()])
      })

      it('gives consecutive records of one partition with ascending offsets', async () => {
        const topic = await topicWith(numbered(200))
        const subscription = await topics.subscribe(options(topic, { recordsMax: 13 }))
        const next = new Map<number, bigint>()
        for (const { partition, records } of await take(subscription, 200)) {
          for (const { offset } of records) {
            expect(offset).toBeGreaterThanOrEqual(next.get(partition) ?? 0n)
            next.set(partition, offset + 1n)
          }
        }
        await subscription.close()
      })

      it('takes turns between partitions, so that a full one does not hide the others', async () => {
        const topic = await topicWith([])
        const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
        const many = keys.flatMap(key => Array.from({ length: 50 }, (_, index) => recordOf(key, String(index))))
        await topics.append(topic, many)
        const used = new Set(keys.map(key => partitionOf(key, 4)))
        const subscription = await topics.subscribe(options(topic, { recordsMax: 5 }))
        const turns = (await take(subscription, used.size * 10))
          .slice(0, used.size * 2)
          .map(({ partition }) => partition)
        for (const partition of used) expect(turns.filter(turn => turn === partition)).toHaveLength(2)
        await subscription.close()
      })

      it('waits for records and wakes when they come', async () => {
        const topic = await topicWith([])
        const subscription = await topics.subscribe(options(topic))
        const polled = subscription.poll(AbortSignal.timeout(30_000))
        await topics.append(topic, [recordOf('k', 'woken')])
        expect(valuesOf([(await polled)!])).toEqual(['woken'])
        await subscription.close()
      })

      it('stops waiting when the signal aborts, before or during the wait, and loses nothing by it', async () => {
        const topic = await topicWith([])
        const subscription = await topics.subscribe(options(topic))
        expect(await subscription.poll(AbortSignal.abort())).toBeUndefined()
        const stop = new AbortController()
        const polled = subscription.poll(stop.signal)
        stop.abort()
        expect(await polled).toBeUndefined()
        await topics.append(topic, numbered(4))
        expect(valuesOf(await take(subscription, 4))).toHaveLength(4)
        await subscription.close()
      })

      it('reads several topics in one subscription', async () => {
        const [one, two] = [await topicWith(numbered(5)), await topicWith(numbered(5, 5))]
        const subscription = await topics.subscribe({ ...options(one), topics: [one, two] })
        const fetched = await take(subscription, 10)
        expect(new Set(fetched.map(({ topic }) => topic))).toEqual(new Set([one, two]))
        await subscription.close()
      })
    })

    describe('groups', () => {
      it('goes on at the committed offset with its note, and reads again what was not committed', async () => {
        const topic = await topicWith(numbered(20), { partitions: 1 })
        const group = options(topic).group
        const first = await topics.subscribe(options(topic, { group, recordsMax: 10 }))
        const read = await take(first, 10)
        await first.commit([{ topic, partition: 0, offset: 4n, note: 'range ends at 9' }])
        expect(valuesOf(read)).toHaveLength(10)
        await first.close()

        const listener = watch()
        const second = await topics.subscribe(options(topic, { group, listener }))
        const again = await take(second, 16)
        expect(valuesOf(again)[0]).toBe('value-4')
        expect(listener.positions.get(`${topic}/0`)).toMatchObject({ offset: 4n, note: 'range ends at 9' })
        await second.commit(positionsAfter(again))
        await second.close()

        const last = watch()
        const third = await topics.subscribe(options(topic, { group, listener: last }))
        await nothingMore(third)
        expect(last.positions.get(`${topic}/0`)).toMatchObject({ offset: 20n })
        expect(last.positions.get(`${topic}/0`)?.note).toBeUndefined()
        await third.close()
      })

      it('keeps groups apart', async () => {
        const topic = await topicWith(numbered(10))
        const one = await topics.subscribe(options(topic))
        const two = await topics.subscribe(options(topic))
        await one.commit(positionsAfter(await take(one, 10)))
        expect(valuesOf(await take(two, 10))).toHaveLength(10)
        await Promise.all([one.close(), two.close()])
      })

      it('shares the partitions of a group, each with one subscription, and takes them back when one leaves', async () => {
        const topic = await topicWith([])
        const group = options(topic).group
        const [a, b] = [watch(), watch()]
        const first = await topics.subscribe(options(topic, { group, listener: a }))
        const polling = new AbortController()
        const second = await topics.subscribe(options(topic, { group, listener: b }))
        // Kafka hands partitions over while its members poll.
        const seen: Fetched[] = []
        const drains = [first, second].map(async subscription => {
          for (;;) {
            const fetched = await subscription.poll(polling.signal)
            if (!fetched) return
            seen.push(fetched)
            await subscription.commit(positionsAfter([fetched]))
          }
        })
        await expect.poll(() => a.positions.size * b.positions.size, { timeout: 30_000 }).toBe(4)
        await topics.append(topic, numbered(100))
        await expect.poll(() => valuesOf(seen).length, { timeout: 30_000 }).toBe(100)
        expect(new Set(valuesOf(seen)).size).toBe(100)
        expect([...a.positions.keys(), ...b.positions.keys()].sort()).toEqual([0, 1, 2, 3].map(p => `${topic}/${p}`))
        polling.abort()
        await Promise.all(drains)

        await second.close()
        expect(b.positions.size).toBe(0)
        await topics.append(topic, numbered(100, 100))
        expect(new Set(valuesOf(await take(first, 100))).size).toBe(100)
        expect(a.positions.size).toBe(4)
        await first.close()
      })

      it('rejects a commit for a partition that was taken away, and the new owner begins where the old one committed', async () => {
        const topic = await topicWith(numbered(40), { partitions: 2 })
        const group = options(topic).group
        const [a, b] = [watch(), watch()]
        const first = await topics.subscribe(options(topic, { group, listener: a }))
        const read = await take(first, 40)
        const committed = positionsAfter(read).map(position => ({
          ...position,
          offset: position.offset - 3n,
          note: 'mine',
        }))
        await first.commit(committed)
        const polling = new AbortController()
        const idle = first.poll(polling.signal)
        const second = await topics.subscribe(options(topic, { group, listener: b }))
        const reads = take(second, 3)
        await expect.poll(() => b.positions.size, { timeout: 30_000 }).toBe(1)
        const [taken] = b.positions.values()
        expect(taken).toMatchObject({
          note: 'mine',
          offset: committed.find(p => p.partition === taken!.partition)!.offset,
        })
        expect(a.told).toContain(`-${taken!.partition}`)
        polling.abort()
        await idle
        await expect(
          first.commit(positionsAfter(read).filter(p => p.partition === taken!.partition)),
        ).rejects.toMatchObject({
          code: 'STREAM_REVOKED',
        })
        expect((await reads).every(({ partition }) => partition === taken!.partition)).toBe(true)
        await Promise.all([first.close(), second.close()])
      })

      it('tells the listener of the revocation when a subscription closes, and rejects its commits from then on', async () => {
        const topic = await topicWith(numbered(4), { partitions: 1 })
        const listener = watch()
        const subscription = await topics.subscribe(options(topic, { listener }))
        const read = await take(subscription, 4)
        await subscription.close()
        expect(listener.told).toEqual(['+0', '-0'])
        await expect(subscription.commit(positionsAfter(read))).rejects.toMatchObject({ code: 'STREAM_REVOKED' })
      })

      it('says how far each group is behind', async () => {
        const topic = await topicWith(numbered(10), { partitions: 1 })
        const { group, ...rest } = options(topic)
        const subscription = await topics.subscribe({ group, ...rest })
        await take(subscription, 10)
        await subscription.commit([{ topic, partition: 0, offset: 6n, note: undefined }])
        const mine = (await topics.lag()).filter(lag => lag.group === group)
        expect(mine).toEqual([{ group, topic, partition: 0, committed: 6n, end: 10n }])
        await subscription.close()
      })
    })

    describe('compacted topics', () => {
      it('gives the newest record of each key, and no deleted key', async () => {
        const topic = await topicWith([], { compacted: true })
        await topics.append(topic, [recordOf('a', '1'), recordOf('b', '1'), recordOf('c', '1')])
        await topics.append(topic, [recordOf('a', '2'), recordOf('b', null)])
        await topics.append(topic, [recordOf('d', null), recordOf('c', ''), recordOf('a', '3')])
        expect(await compactedState(topics, topic)).toEqual({ a: '3', c: '' })
        await topics.append(topic, [recordOf('b', 'back')])
        expect(await compactedState(topics, topic)).toEqual({ a: '3', b: 'back', c: '' })
      })

      it('holds keys that are names of an object prototype', async () => {
        const topic = await topicWith([], { compacted: true })
        await topics.append(topic, [
          recordOf('__proto__', 'x'),
          recordOf('constructor', 'y'),
          recordOf('toString', 'z'),
        ])
        const keys: FetchedRecord['key'][] = []
        for await (const { key } of topics.readCompacted(topic)) keys.push(key)
        expect(keys.sort()).toEqual(['__proto__', 'constructor', 'toString'])
      })

      it('refuses a record without a key', async () => {
        const topic = await topicWith([], { compacted: true })
        await expect(topics.append(topic, [recordOf(undefined, 'x')])).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
      })
    })
  })
}
