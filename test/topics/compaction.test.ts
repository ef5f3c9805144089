import { describe, expect, it } from 'vitest'
import type { Topics } from '../../platform/topics/contract.ts'
import type { EmbeddedTopics } from '../../platform/topics/embedded.ts'
import { FakeClock } from '../support/clock.ts'
import { options, positionsAfter, recordOf, take, topicConfig } from './support.ts'
import { openTemporary } from './temporary.ts'

const DAY_MS = 86_400_000

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
