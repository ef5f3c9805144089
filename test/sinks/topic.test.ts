import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { Encoded, Kind, Sink } from '../../engine/contract.ts'
import { RecordEvent } from '../../engine/event.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { silentLog } from '../../platform/log.ts'
import type { Appended, FetchedRecord, TopicRecord, Topics } from '../../platform/topics/contract.ts'
import type { EmbeddedTopics } from '../../platform/topics/embedded.ts'
import { topic } from '../../sinks/topic.ts'
import { testDeps } from '../support/deps.ts'
import { options, take } from '../topics/support.ts'
import { openTemporary } from '../topics/temporary.ts'

const NOW_MS = Date.UTC(2026, 10, 24)

interface Given {
  readonly raw: string
  readonly key?: string
  readonly marker?: string
  readonly kind?: Kind
  readonly replayed?: boolean
}

function encoded({ raw, key, marker, kind = 'waf', replayed = false }: Given): Encoded {
  const event = new RecordEvent(kind, Buffer.from(raw), NOW_MS, undefined, marker, replayed)
  event.key = key
  return { event, json: Buffer.alloc(0) }
}

const signal = new AbortController().signal

async function openSink(topics: Topics, config: object = {}): Promise<Sink> {
  return topic.open(topic.config.parse(config), testDeps({ topics: () => Promise.resolve(topics) }))
}

async function opened(config: object = {}): Promise<{ sink: Sink; topics: EmbeddedTopics }> {
  const { topics } = await openTemporary()
  return { sink: await openSink(topics, config), topics }
}

async function everything(topics: Topics, name: string, count: number): Promise<FetchedRecord[]> {
  const subscription = await topics.subscribe(options(name))
  const records = (await take(subscription, count)).flatMap(fetched => fetched.records)
  await subscription.close()
  return records
}

async function countOf(topics: EmbeddedTopics): Promise<number> {
  return topics.describe().reduce((sum, { end }) => sum + Number(end), 0)
}

/** Topics whose appends do what a test says; the rest is not asked for. */
function scripted(
  append: (name: string, records: readonly TopicRecord[], marker?: string) => Promise<Appended>,
): Topics {
  const unasked = (): never => {
    throw new Error('this test does not read')
  }
  return {
    ensure: () => Promise.resolve(),
    append,
    subscribe: unasked,
    readCompacted: unasked,
    lag: unasked,
    close: () => Promise.resolve(),
  }
}

describe('the topic sink', () => {
  it('rejects what its topic will never take, by its position in the write, and sends again only what was given back', async () => {
    const refused = [
      { index: 1, reason: 'oversize: 3000000 bytes are over the limit of the topic events.falco (LARGE)' },
    ]
    const sink = await openSink(
      scripted(name => Promise.resolve({ retry: name === 'events.falco' ? [0] : [], refused, repeated: false })),
    )
    const given = [{ raw: 'a' }, { raw: 'b' }, { raw: 'c', kind: 'falco' }, { raw: 'd', kind: 'falco' }] as const
    const { retry, reject } = await sink.write(given.map(encoded), signal)
    expect(retry).toEqual([2])
    expect(reject.map(({ index }) => index).sort((x, y) => x - y)).toEqual([1, 3])
    expect(reject.every(({ reason }) => reason.startsWith('oversize: '))).toBe(true)
  })

  it('appends the bytes as received, by the key, with the time and the mark of a replay', async () => {
    const { sink, topics } = await opened()
    const raw = '{"a": 1,\t"b":"\\u0000"}'
    expect(sink.wants).toBe('raw')
    const verdict = await sink.write(
      [encoded({ raw, key: '203.0.113.7', replayed: true }), encoded({ raw: 'x' })],
      signal,
    )
    expect(verdict).toEqual({ retry: [], reject: [] })
    const records = await everything(topics, 'events.waf', 2)
    expect(records.find(({ key }) => key === '203.0.113.7')).toMatchObject({
      value: Buffer.from(raw),
      timeMs: NOW_MS,
      replayed: true,
    })
    expect(records.find(({ key }) => key === undefined)).toMatchObject({ value: Buffer.from('x') })
    await topics.close()
  })

  it('writes each kind into its own topic, and makes the topics of the kinds it was told at start', async () => {
    const { sink, topics } = await opened({ kinds: ['waf', 'falco'], partitions: 2 })
    expect(new Set(topics.describe().map(state => state.topic))).toEqual(new Set(['events.waf', 'events.falco']))
    await sink.write(
      [encoded({ raw: 'w' }), encoded({ raw: 'g', kind: 'guardduty' }), encoded({ raw: 'f', kind: 'falco' })],
      signal,
    )
    for (const [name, value] of [
      ['events.waf', 'w'],
      ['events.guardduty', 'g'],
      ['events.falco', 'f'],
    ] as const) {
      expect((await everything(topics, name, 1)).map(record => String(record.value))).toEqual([value])
    }
    await topics.close()
  })

  it('writes every kind into one topic when its name has no {kind}', async () => {
    const { sink, topics } = await opened({ topic: 'everything', partitions: 1 })
    await sink.write([encoded({ raw: 'w' }), encoded({ raw: 'f', kind: 'falco' })], signal)
    expect((await everything(topics, 'everything', 2)).map(({ value }) => String(value))).toEqual(['w', 'f'])
    await topics.close()
  })

  it('takes only the kinds it is told to, and leaves the others to another sink', async () => {
    const { sink, topics } = await opened({ topic: 'alerts', only: ['falco'], partitions: 1 })
    const verdict = await sink.write([encoded({ raw: 'w' }), encoded({ raw: 'f', kind: 'falco' })], signal)
    expect(verdict).toEqual({ retry: [], reject: [] })
    expect((await everything(topics, 'alerts', 1)).map(({ value }) => String(value))).toEqual(['f'])
    expect(topics.describe().reduce((sum, { end }) => sum + Number(end), 0)).toBe(1)
    await topics.close()
  })

  it('writes a set that is sent again with its marker once, also after a restart', async () => {
    const { topics, reopen } = await openTemporary()
    const batch = [encoded({ raw: '1', marker: 'request-1' }), encoded({ raw: '2', marker: 'request-1' })]
    await (await openSink(topics)).write(batch, signal)
    await (await openSink(topics)).write(batch, signal)
    await topics.close()
    const again = await reopen()
    await (await openSink(again)).write(batch, signal)
    expect(await countOf(again)).toBe(2)
    await again.close()
  })

  it('loses nothing when two different sets carry one marker', async () => {
    const { sink, topics } = await opened()
    await sink.write([encoded({ raw: '1', marker: 'm' }), encoded({ raw: '2', marker: 'm' })], signal)
    await sink.write([encoded({ raw: '3', marker: 'm' }), encoded({ raw: '4', marker: 'm' })], signal)
    await sink.write([encoded({ raw: '1', marker: 'm' })], signal)
    expect(await countOf(topics)).toBe(5)
    await topics.close()
  })

  it('appends the sets of several requests apart, whatever their order in the batch', async () => {
    const calls: { readonly marker: string | undefined; readonly values: string[] }[] = []
    const sink = await openSink(
      scripted((_, records, marker) => {
        calls.push({ marker: marker?.split('/')[0], values: records.map(({ value }) => String(value)) })
        return Promise.resolve({ retry: [], repeated: false })
      }),
    )
    const batch = ['a1', 'b1', 'a2', '-1', 'b2', '-2'].map(raw =>
      encoded(raw.startsWith('-') ? { raw } : { raw, marker: raw[0]! }),
    )
    await sink.write(batch, signal)
    expect(calls).toEqual([
      { marker: 'a', values: ['a1', 'a2'] },
      { marker: 'b', values: ['b1', 'b2'] },
      { marker: undefined, values: ['-1', '-2'] },
    ])
  })

  it('answers a full topic with the positions to retry and a time, and the sets that were written stay written', async () => {
    const sink = await openSink(
      scripted((_, __, marker) =>
        marker?.startsWith('bad')
          ? Promise.reject(new HaetaeError('TOPIC_FULL', 'full'))
          : Promise.resolve({ retry: [], repeated: false }),
      ),
    )
    const batch = ['good', 'bad', 'good', 'bad'].map((marker, index) => encoded({ raw: String(index), marker }))
    expect(await sink.write(batch, signal)).toEqual({
      retry: [1, 3],
      reject: [],
      retryAfterMs: 1000,
      retryWithinMs: 2000,
    })
  })

  it('says once that records wait, and once that they do not any more', async () => {
    const said: string[] = []
    const say = (message: string): void => void said.push(message)
    let full = true
    const topics = scripted(() =>
      full ? Promise.reject(new HaetaeError('TOPIC_FULL', 'full')) : Promise.resolve({ retry: [], repeated: false }),
    )
    const log = { ...silentLog, warn: say, info: say }
    const paused: (string | undefined)[] = []
    const pause = (_: string, reason: string | undefined): void => void paused.push(reason)
    const deps = testDeps({ topics: () => Promise.resolve(topics), log, paused: pause })
    const sink = await topic.open(topic.config.parse({}), deps)
    const batch = [encoded({ raw: 'a' })]
    for (const isFull of [false, true, true, false, false]) {
      full = isFull
      await sink.write(batch, signal)
    }
    expect(said).toEqual(['records wait for their topic', 'records reach their topic again'])
    expect([paused.at(0), paused.at(-1)]).toEqual(['full', undefined])
  })

  it('names the positions in the batch that an append left open', async () => {
    const sink = await openSink(
      scripted((name, records) =>
        Promise.resolve({ retry: name.endsWith('falco') ? [records.length - 1] : [], repeated: false }),
      ),
    )
    const batch = (['falco', 'waf', 'falco', 'waf'] as const).map(kind => encoded({ raw: kind, kind }))
    expect((await sink.write(batch, signal)).retry).toEqual([2])
  })

  it('tries a topic again that could not be made', async () => {
    let tries = 0
    const topics = scripted(() => Promise.resolve({ retry: [], repeated: false }))
    const failing: Topics = {
      ...topics,
      ensure: ({ name }) =>
        name === 'events.falco' && tries++ === 0
          ? Promise.reject(new HaetaeError('TOPIC_FULL', 'full'))
          : Promise.resolve(),
    }
    const sink = await openSink(failing, { kinds: ['waf'] })
    expect((await sink.write([encoded({ raw: 'f', kind: 'falco' })], signal)).retry).toEqual([0])
    expect((await sink.write([encoded({ raw: 'f', kind: 'falco' })], signal)).retry).toEqual([])
  })

  it('says at start that the topic exists with other settings', async () => {
    const { topics } = await opened({ topic: 't', partitions: 2 })
    await expect(openSink(topics, { topic: 't', partitions: 3 })).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
    await topics.close()
  })

  it('has an example that its schema takes, and refuses unknown keys and odd names', () => {
    expect(topic.config.parse(parse(topic.example))).toMatchObject({ topic: 'events.{kind}', partitions: 4 })
    for (const bad of [
      { topics: 'x' },
      { topic: 'a b' },
      { topic: '{kind}{kind}' },
      { topic: '' },
      { partitions: 0 },
    ]) {
      expect(topic.config.safeParse(bad).success).toBe(false)
    }
  })

  it('says what it waits for when a right is missing, once, and that it goes on', async () => {
    const answers: Appended[] = [
      { retry: [0], paused: 'no right to write', repeated: false },
      { retry: [0], paused: 'no right to write', repeated: false },
      { retry: [], repeated: false },
    ]
    const topics = scripted(() => Promise.resolve(answers.shift()!))
    const pauses: [string, string | undefined][] = []
    const paused = (component: string, reason: string | undefined): void => void pauses.push([component, reason])
    const sink = await topic.open(topic.config.parse({}), testDeps({ topics: () => Promise.resolve(topics), paused }))
    for (const retry of [[0], [0], []]) {
      expect((await sink.write([encoded({ raw: '1' })], signal)).retry).toEqual(retry)
    }
    expect(pauses).toEqual([
      ['topic', 'no right to write'],
      ['topic', undefined],
    ])
  })

  it('says the same when even looking at the topic is refused', async () => {
    let may = true
    const refuse = (): Promise<void> => Promise.reject(new HaetaeError('TOPIC_UNAUTHORISED', 'no right to look'))
    const topics: Topics = {
      ...scripted(() => Promise.resolve({ retry: [], repeated: false })),
      ensure: () => (may ? Promise.resolve() : refuse()),
    }
    const pauses: (string | undefined)[] = []
    const paused = (_: string, reason: string | undefined): void => void pauses.push(reason)
    const given = topic.config.parse({ kinds: ['waf'] })
    const sink = await topic.open(given, testDeps({ topics: () => Promise.resolve(topics), paused }))
    may = false
    expect((await sink.write([encoded({ raw: '1', kind: 'falco' })], signal)).retry).toEqual([0])
    expect(pauses).toEqual(['no right to look'])
  })
})
