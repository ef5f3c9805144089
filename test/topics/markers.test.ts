import { describe, expect, it } from 'vitest'
import type { Topics } from '../../platform/topics/contract.ts'
import type { EmbeddedTopics } from '../../platform/topics/embedded.ts'
import { FakeClock } from '../support/clock.ts'
import { numbered, options, positionsAfter, recordOf, take, topicConfig } from './support.ts'
import { openTemporary } from './temporary.ts'

const FULL = { code: 'TOPIC_FULL' }
const DAY_MS = 86_400_000

/** Records of about 100 kB each. */
function large(count: number, timeMs?: number) {
  return Array.from({ length: count }, (_, index) => recordOf(`key-${index}`, `${index}`.padEnd(100_000, '.'), timeMs))
}

/** Registers a group and, when told, reads and commits everything there is. */
async function group(topics: Topics, name: string, count = 0): Promise<string> {
  const given = options(name)
  const subscription = await topics.subscribe(given)
  if (count > 0) await subscription.commit(positionsAfter(await take(subscription, count)))
  await subscription.close()
  return given.group
}

describe('markers', () => {
  it('writes a set once and says so when it comes again, also at the same time and after a restart', async () => {
    const { topics, reopen } = await openTemporary()
    const [one, other] = [topicConfig(), topicConfig()]
    await topics.ensure(one)
    await topics.ensure(other)
    const answers = await Promise.all(Array.from({ length: 5 }, () => topics.append(one.name, numbered(3), 'request')))
    expect(answers.filter(({ repeated }) => repeated)).toHaveLength(4)
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
