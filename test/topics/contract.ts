import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TopicConfig, TopicRecord, Topics } from '../../platform/topics/contract.ts'
import { partitionOf } from '../../platform/topics/partition.ts'
import { compactedPromises } from './contract-compacted.ts'
import { groupPromises } from './contract-groups.ts'
import { nothingMore, numbered, options, recordOf, take, topicConfig, valuesOf } from './support.ts'

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
        expect([...counts.values()]).toEqual([100, 100, 100, 100])
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

    groupPromises({ topics: () => topics, topicWith })
    compactedPromises({ topics: () => topics, topicWith })
  })
}

/** What a part of the suite works with. */
export interface Contract {
  readonly topics: () => Topics
  /** A new topic that holds these records. */
  readonly topicWith: (records: readonly TopicRecord[], overrides?: Partial<TopicConfig>) => Promise<string>
}
