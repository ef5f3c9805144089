import { describe, expect, test } from 'vitest'
import type { Delivery, NamedState, Source, StatePart } from '../../engine/contract.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { type Log, silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { Topics } from '../../platform/topics/contract.ts'
import { topic } from '../../sources/topic.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { numbered, topicConfig } from '../topics/support.ts'
import { openTemporary } from '../topics/temporary.ts'

const never = new AbortController().signal

/** What a detector remembers, as the test sets it; `restored` is what came back. */
class Memory {
  readonly restored: (readonly StatePart[])[] = []
  dropped = 0
  taken = 0
  readonly state: NamedState
  parts: readonly StatePart[] = []

  constructor(name = 'memory') {
    const state = {
      snapshot: () => {
        this.taken++
        return this.parts
      },
      restore: (_: string, parts: readonly StatePart[]) => void this.restored.push(parts),
      drop: () => void this.dropped++,
    }
    this.state = { name, state }
  }
}

const text = (parts: readonly StatePart[]) =>
  parts.map(({ part, bytes }) => `${part}:${Buffer.from(bytes).toString('latin1')}`).toSorted()
const part = (number: number, content: string): StatePart => ({ part: number, bytes: Buffer.from(content) })

async function bench(records: number) {
  const { topics } = await openTemporary()
  const config = topicConfig({ partitions: 1 })
  await topics.ensure(config)
  await topics.append(config.name, numbered(records))
  const clock = new FakeClock()
  const errors: string[] = []
  const log: Log = { ...silentLog, error: message => void errors.push(message) }
  const metrics = createMetrics()
  const pauses = new Map<string, string | undefined>()
  const paused = (component: string, reason: string | undefined): void => void pauses.set(component, reason)
  const open = async (memory: Memory, mortal: Topics = topics): Promise<Source> => {
    const deps = testDeps({ topics: () => Promise.resolve(mortal), clock, log, metrics, paused, pipeline: 'count' })
    const given = {
      topic: config.name,
      kind: 'waf',
      state: 'detect.state',
      recordsMax: 10,
      commitMs: 100,
      snapshotMs: 1_000,
    }
    const source = await topic.open(topic.config.parse(given), deps)
    source.keepState!([memory.state])
    return source
  }
  const kept = async (): Promise<Map<string, Buffer>> => {
    const found = new Map<string, Buffer>()
    for await (const { key, value } of topics.readCompacted('detect.state')) found.set(key!, Buffer.from(value!))
    return found
  }
  const committed = async () => (await topics.lag()).find(({ topic: each }) => each === config.name)!.committed
  /** Lets time pass until it is so. */
  const passes = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
    await expect
      .poll(
        async () => {
          await clock.advance(100)
          return isSo()
        },
        { timeout: 20_000, interval: 1 },
      )
      .toBe(true)
  }
  return { topics, name: config.name, clock, open, errors, metrics, pauses, kept, committed, passes }
}

async function read(source: Source, count: number): Promise<Delivery[]> {
  const deliveries: Delivery[] = []
  for (let read = 0; read < count; ) {
    const delivery = (await source.read(never))!
    deliveries.push(delivery)
    read += delivery.batch.length
  }
  return deliveries
}

describe('what detectors remember', () => {
  test('comes back to whoever reads next, with nothing read again after an orderly stop', async () => {
    const { open, topics, name } = await bench(30)
    const memory = new Memory()
    memory.parts = [part(0, 'zero'), part(1, 'one')]
    const source = await open(memory)
    for (const { ack } of await read(source, 20)) ack()
    await source.close()
    const next = new Memory()
    const again = await open(next)
    const [delivery] = await read(again, 10)
    expect(delivery!.muted).toBeUndefined()
    expect(delivery!.batch[0]!.origin).toEqual({ stream: `${name}/0`, position: 20n })
    expect(text(next.restored[0]!)).toEqual(['0:zero', '1:one'])
    await again.close()
    await topics.close()
  })

  test('is stored with its position once everything before that is settled; what was settled later is read again, muted', async () => {
    const { open, topics, passes, committed, name } = await bench(20)
    const memory = new Memory()
    memory.parts = [part(0, 'at 20')]
    const { mortal, die } = mortalTopics(topics)
    const source = await open(memory, mortal)
    const [first, second] = await read(source, 20)
    const waiting = source.read(never)
    await passes(() => memory.taken === 1)
    second!.ack()
    await topics.append(name, numbered(40, 20))
    const third = await waiting
    expect(await committed()).toBe(0n)
    first!.ack()
    await passes(async () => (await committed()) === 20n)
    third!.ack()
    for (const { ack } of await read(source, 10)) ack()
    await passes(() => source.positions!.note(`${name}/0`)!.includes('"settled":"40"'))
    die()
    await source.close()
    const next = new Memory()
    const again = await open(next)
    const deliveries = await read(again, 40)
    expect(deliveries.map(({ muted, batch }) => `${batch[0]!.origin!.position} ${muted ?? false}`)).toEqual([
      '20 true',
      '30 true',
      '40 false',
      '50 false',
    ])
    expect(text(next.restored[0]!)).toEqual(['0:at 20'])
    await again.close()
    await topics.close()
  })

  test('is split into records that Kafka takes, and joined again', async () => {
    const { open, topics, kept } = await bench(10)
    const memory = new Memory()
    const large = 'x'.repeat(2_000_000)
    memory.parts = [part(0, large), part(5, 'small')]
    const source = await open(memory)
    for (const { ack } of await read(source, 10)) ack()
    await source.close()
    expect(Math.max(...[...(await kept()).values()].map(({ length }) => length))).toBeLessThan(900 * 1024)
    const next = new Memory()
    const again = await open(next)
    await topics.append((await topics.lag())[0]!.topic, numbered(1))
    await read(again, 1)
    expect(text(next.restored[0]!)).toEqual([`0:${large}`, '5:small'])
    await again.close()
    await topics.close()
  })

  test('keeps a part that did not change, forgets one of which nothing is left, and deletes what it replaced', async () => {
    const { open, topics, name, kept, committed, passes } = await bench(10)
    const memory = new Memory()
    memory.parts = [part(0, 'stays'), part(1, 'goes'), part(2, 'old')]
    const source = await open(memory)
    for (const { ack } of await read(source, 10)) ack()
    const waiting = source.read(never)
    await passes(async () => (await committed()) === 10n)
    await topics.append(name, numbered(10))
    ;(await waiting)!.ack()
    memory.parts = [part(1, ''), part(2, 'new')]
    await source.close()
    const stored = [...(await kept())].filter(([key]) => !key.includes('manifest'))
    expect(stored.map(([, value]) => value.toString()).toSorted()).toEqual(['new', 'stays'])
    const next = new Memory()
    const again = await open(next)
    await topics.append(name, numbered(1))
    await read(again, 1)
    expect(text(next.restored[0]!)).toEqual(['0:stays', '2:new'])
    await again.close()
    await topics.close()
  })

  test.each(['TOPIC_UNREACHABLE', 'TOPIC_UNAUTHORISED'] as const)(
    'is waited for while its topic cannot be read (%s), and said when a person must act',
    async code => {
      const { open, topics, clock, pauses } = await bench(30)
      const memory = new Memory()
      memory.parts = [part(0, 'zero')]
      const source = await open(memory)
      for (const { ack } of await read(source, 20)) ack()
      await source.close()
      let refuses = true
      const refusing: Topics = {
        ...mortalTopics(topics).mortal,
        async *readCompacted(name: string, wants?: (key: string) => boolean) {
          if (refuses) throw new HaetaeError(code, 'not now')
          yield* topics.readCompacted(name, wants)
        },
      }
      const next = new Memory()
      const again = await open(next, refusing)
      const first = again.read(never)
      first.catch(() => undefined)
      await clock.advance(1_000)
      expect(next.restored).toEqual([])
      expect(pauses.get('topic state')).toEqual(code === 'TOPIC_UNAUTHORISED' ? `${code}: not now` : undefined)
      refuses = false
      await clock.advance(31_000)
      expect((await first)!.batch[0]!.origin!.position).toBe(20n)
      expect(text(next.restored[0]!)).toEqual(['0:zero'])
      expect(pauses.get('topic state')).toBeUndefined()
      await again.close()
      await topics.close()
    },
  )

  test('does not go with a position to which somebody moved the group', async () => {
    const { open, topics, name } = await bench(30)
    const memory = new Memory()
    memory.parts = [part(0, 'zero')]
    const source = await open(memory)
    for (const { ack } of await read(source, 20)) ack()
    await source.close()
    await topics.moveGroup('count', name, 0, 5n)
    const next = new Memory()
    const again = await open(next)
    const [delivery] = await read(again, 1)
    expect(delivery!.muted).toBeUndefined()
    expect(next.restored).toEqual([[]])
    await again.close()
    await topics.close()
  })

  test('that is gone from the topic is shouted about and counted, and reading goes on', async () => {
    const { open, topics, kept, errors, metrics } = await bench(30)
    const memory = new Memory()
    memory.parts = [part(0, 'zero')]
    const source = await open(memory)
    for (const { ack } of await read(source, 20)) ack()
    await source.close()
    const gone = [...(await kept()).keys()].map(key => ({ key, value: null, timeMs: 0 }))
    await topics.append('detect.state', gone)
    const next = new Memory()
    const again = await open(next)
    await read(again, 10)
    expect(errors).toEqual([expect.stringContaining('they begin anew')])
    expect(await metrics.expose()).toContain('haetae_state_lost_total{pipeline="count"} 1')
    await again.close()
    await topics.close()
  })

  test('leaves no room for the notes of a sink', async () => {
    const { open, topics, name } = await bench(1)
    const source = await open(new Memory())
    await read(source, 1)
    await expect(source.positions!.setNote(`${name}/0`, 'a note')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await source.close()
    await topics.close()
  })
})

/** Topics as a process sees them that dies: nothing that it still tries has any effect. */
function mortalTopics(inner: Topics): { readonly mortal: Topics; readonly die: () => void } {
  let dead = false
  const gone = (): Promise<never> => Promise.reject(new Error('the process is dead'))
  const mortal: Topics = {
    ensure: config => inner.ensure(config),
    append: (...given) => (dead ? gone() : inner.append(...given)),
    readCompacted: (name, wants) => inner.readCompacted(name, wants),
    lag: () => inner.lag(),
    close: () => inner.close(),
    async subscribe(options) {
      const subscription = await inner.subscribe(options)
      return {
        poll: signal => subscription.poll(signal),
        close: () => subscription.close(),
        commit: positions => (dead ? gone() : subscription.commit(positions)),
      }
    },
  }
  return {
    mortal,
    die: () => {
      dead = true
    },
  }
}
