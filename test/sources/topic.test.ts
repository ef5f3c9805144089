import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { EVENT_BYTES_MAX } from '../../engine/contract.ts'
import { recordId } from '../../engine/event.ts'
import { HaetaeError } from '../../platform/errors.ts'
import type { FetchedRecord, Topics } from '../../platform/topics/contract.ts'
import { topic } from '../../sources/topic.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { recordOf, topicConfig } from '../topics/support.ts'
import { openTemporary } from '../topics/temporary.ts'
import { bench, committed, never, readAll } from './topic-bench.ts'

/** Topics that hold these records of one partition. */
async function foreignTopics(records: readonly FetchedRecord[], committed: (offset: bigint) => void): Promise<Topics> {
  const { topics } = await openTemporary()
  let given = false
  return {
    ensure: config => topics.ensure(config),
    append: (...rest) => topics.append(...rest),
    readCompacted: (name, wants) => topics.readCompacted(name, wants),
    lag: () => topics.lag(),
    close: () => topics.close(),
    subscribe({ listener }) {
      listener.assigned([{ topic: 't', partition: 0, offset: 0n, note: undefined }])
      return Promise.resolve({
        poll: () => {
          const fetched = given ? undefined : { topic: 't', partition: 0, records }
          given = true
          return Promise.resolve(fetched)
        },
        commit: positions => {
          for (const { offset } of positions) committed(offset)
          return Promise.resolve()
        },
        close: () => Promise.resolve(),
      })
    },
  }
}

describe('the topic source', () => {
  it('reads several topics with one group, each with its kind, and stores a position for each', async () => {
    const { topics, name, open } = await bench(2)
    await topics.ensure(topicConfig({ name: 'second', partitions: 1 }))
    await topics.append('second', [recordOf('k', 'from the second')])
    const source = await open({ also: [{ topic: 'second', kind: 'audit' }] })
    const deliveries = await readAll(source, 3)
    const kindsRead = deliveries.flatMap(({ batch }) => batch.map(({ kind, origin }) => `${origin?.stream} ${kind}`))
    expect(kindsRead.toSorted()).toEqual([`${name}/0 waf`, `${name}/0 waf`, 'second/0 audit'].toSorted())
    for (const { ack } of deliveries) ack()
    await source.close()
    expect((await topics.lag()).map(({ topic: each, committed: at }) => `${each} ${at}`).toSorted()).toEqual(
      [`${name} 2`, 'second 1'].toSorted(),
    )
    await topics.close()
  })

  it('reads records as events with their bytes, time, kind, origin and the id of their bytes', async () => {
    const { topics, name, open } = await bench(0)
    await topics.append(name, [{ ...recordOf('k', ' {"a":1}\n', 1_790_000_000_123), replayed: true }])
    const source = await open({ kind: 'falco' })
    const { batch } = (await source.read(never))!
    expect(batch).toHaveLength(1)
    expect(batch[0]).toMatchObject({
      kind: 'falco',
      raw: Buffer.from('{"a":1}'),
      timeMs: 1_790_000_000_123,
      origin: { stream: `${name}/0`, position: 0n },
      id: recordId(Buffer.from('{"a":1}')),
      marker: undefined,
      replayed: true,
    })
    await source.close()
    await topics.close()
  })

  it('gives deliveries of one partition within the bounds of a batch', async () => {
    const { topics, open } = await bench(1_700, 3)
    const source = await open()
    for (const { batch } of await readAll(source, 1_700)) {
      expect(batch.length).toBeLessThanOrEqual(500)
      expect(new Set(batch.map(event => event.origin?.stream)).size).toBe(1)
    }
    await source.close()
    await topics.close()
  })

  it('uses the name of the pipeline as group unless told otherwise', async () => {
    const { topics, open } = await bench(1)
    const [one, two] = [await open(), await open({ group: 'other' })]
    expect(new Set((await topics.lag()).map(lag => lag.group))).toEqual(new Set(['test', 'other']))
    await Promise.all([one.close(), two.close()])
    await topics.close()
  })

  it('stores the contiguous acked prefix every commitMs, and the rest when it closes', async () => {
    const { topics, open, deps } = await bench(40)
    const clock = deps.clock as FakeClock
    const source = await open({ recordsMax: 10, commitMs: 1000 })
    const [first, second, third, fourth] = await readAll(source, 40)
    second!.ack()
    await clock.advance(1000)
    expect(await committed(topics)).toEqual([0n])
    first!.ack()
    expect(await committed(topics)).toEqual([0n])
    await clock.advance(1000)
    await expect.poll(() => committed(topics)).toEqual([20n])
    fourth!.ack()
    third!.ack()
    await source.close()
    expect(await committed(topics)).toEqual([40n])
    await topics.close()
  })

  it('reads again what was not settled when it stopped', async () => {
    const { topics, open } = await bench(30)
    const source = await open({ recordsMax: 10 })
    const [first, second, third] = await readAll(source, 30)
    first!.ack()
    second!.nack(new Error('stopping'))
    third!.ack()
    await source.close()
    const next = await open()
    const events = (await readAll(next, 20)).flatMap(({ batch }) => batch)
    expect(events[0]?.origin?.position).toBe(10n)
    expect(events).toHaveLength(20)
    await next.close()
    await topics.close()
  })

  it('never commits past a delivery that is not settled, whatever the order of the acks', async () => {
    const { topics, open, deps } = await bench(60)
    const clock = deps.clock as FakeClock
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 0, maxLength: 6 }), async order => {
        const group = `run-${run++}`
        const source = await open({ group, recordsMax: 10 })
        const deliveries = await readAll(source, 60)
        for (const index of order) {
          deliveries[index]!.ack()
          await clock.advance(1000)
        }
        await source.close()
        let prefix = 0
        while (order.includes(prefix)) prefix++
        const lag = (await topics.lag()).find(each => each.group === group)
        expect(lag?.committed).toBe(BigInt(prefix * 10))
      }),
      { numRuns: 25 },
    )
    await topics.close()
  })

  it('stops reading when the signal aborts', async () => {
    const { topics, open } = await bench(0)
    const source = await open()
    const stop = new AbortController()
    const reading = source.read(stop.signal)
    stop.abort()
    expect(await reading).toBeUndefined()
    await source.close()
    await topics.close()
  })

  it('passes over null values, and dead-letters what is larger than an event may be', async () => {
    const { topics, name, open, deps } = await bench(0)
    const huge = Buffer.alloc(EVENT_BYTES_MAX + 1, 'x')
    await topics.append(name, [recordOf('a', null), { key: 'b', value: huge, timeMs: 1 }, recordOf('c', null)])
    await topics.append(name, [recordOf('d', 'fine'), recordOf('e', null)])
    const source = await open()
    const deliveries = await readAll(source, 1)
    expect(deliveries.flatMap(({ batch }) => batch).map(event => String(event.raw))).toEqual(['fine'])
    expect(deps.dead.map(({ reason, raw }) => [reason, raw.length])).toEqual([
      [`oversize: ${huge.length} bytes`, 65536],
    ])
    for (const { ack } of deliveries) ack()
    await source.close()
    expect(await committed(topics)).toEqual([5n])
    await topics.close()
  })

  it('dead-letters with its reason and bytes what this version of the topics cannot read, and goes on behind it', async () => {
    const committed: bigint[] = []
    const value = (text: string): Buffer => Buffer.from(text)
    const records = [
      { key: 'k', value: value('older'), timeMs: 1, offset: 0n },
      { key: 'k', value: value('newer'), timeMs: 1, offset: 1n, refused: 'newer_version: the record has format 2' },
      { key: 'k', value: value('older, too'), timeMs: 1, offset: 2n },
    ]
    const { deps } = await bench(0)
    const scripted = await foreignTopics(records, offset => committed.push(offset))
    const source = await topic.open(topic.config.parse({ topic: 't', kind: 'waf' }), {
      ...deps,
      topics: () => Promise.resolve(scripted),
    })
    const deliveries = await readAll(source, 2)
    expect(deliveries.flatMap(({ batch }) => batch).map(event => String(event.raw))).toEqual(['older', 'older, too'])
    expect(deps.dead.map(({ reason, raw }) => [reason, String(raw)])).toEqual([
      ['newer_version: the record has format 2', 'newer'],
    ])
    for (const { ack } of deliveries) ack()
    await source.close()
    expect(committed).toEqual([3n])
  })

  it('commits nothing of a partition that was taken away, and tells who listens', async () => {
    const { topics, open, name } = await bench(40, 2)
    const first = await open({ recordsMax: 10 })
    const gone: string[] = []
    first.positions!.onRevoked(streams => gone.push(...streams))
    const deliveries = await readAll(first, 40)
    const second = await open({ recordsMax: 10 })
    expect(gone).toEqual([`${name}/1`])
    for (const { ack } of deliveries) ack()
    await expect(first.positions!.setNote(`${name}/1`, 'late')).rejects.toMatchObject({ code: 'STREAM_REVOKED' })
    await first.close()
    const lag = await topics.lag()
    expect(lag.find(({ partition }) => partition === 1)?.committed).toBe(0n)
    expect(lag.find(({ partition }) => partition === 0)?.committed).toBeGreaterThan(0n)
    const again = (await readAll(second, Number(lag.find(({ partition }) => partition === 1)!.end))).flatMap(
      d => d.batch,
    )
    expect(new Set(again.map(event => event.origin?.stream))).toEqual(new Set([`${name}/1`]))
    await second.close()
    await topics.close()
  })

  it('fails to open while nobody has made the topic', async () => {
    const { topics, open } = await bench(0)
    await expect(open({ topic: 'not-there-yet' })).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' })
    await topics.close()
  })

  it('has an example that its schema takes, and refuses unknown keys', () => {
    expect(topic.config.parse(parse(topic.example))).toMatchObject({ topic: 'events.waf', kind: 'waf' })
    expect(topic.config.safeParse({ topic: 'x', kind: 'waf', groups: 'x' }).success).toBe(false)
    expect(topic.config.safeParse({ topic: 'x' }).success).toBe(false)
  })
})

describe('the notes of the topic source', () => {
  it('is stored with the position as it stands, at once, and kept by later commits until set again', async () => {
    const { topics, open, name } = await bench(30)
    const source = await open({ recordsMax: 10 })
    const stream = `${name}/0`
    expect(source.positions!.note(stream)).toBeUndefined()
    const [first, second] = await readAll(source, 20)
    first!.ack()
    await source.positions!.setNote(stream, 'range ends at 20')
    expect(await committed(topics)).toEqual([10n])
    expect(source.positions!.committed(stream)).toBe(10n)
    second!.ack()
    await source.close()

    const next = await open({ recordsMax: 10 })
    expect(next.positions!.note(stream)).toBe('range ends at 20')
    expect(next.positions!.committed(stream)).toBe(20n)
    await next.positions!.setNote(stream, 'none')
    await next.close()
    const last = await open()
    expect(last.positions!.note(stream)).toBe('none')
    await last.close()
    await topics.close()
  })

  it('keeps the newer of two notes set at once, also against a commit under way', async () => {
    const { topics, open, name, deps } = await bench(10)
    const source = await open()
    const [delivery] = await readAll(source, 10)
    delivery!.ack()
    const notes = [source.positions!.setNote(`${name}/0`, 'one'), source.positions!.setNote(`${name}/0`, 'two')]
    await (deps.clock as FakeClock).advance(1000)
    await Promise.all(notes)
    expect(source.positions!.note(`${name}/0`)).toBe('two')
    await source.close()
    const next = await open()
    expect(next.positions!.note(`${name}/0`)).toBe('two')
    await next.close()
    await topics.close()
  })
})

describe('a right that is missing', () => {
  it('to store positions is shown until it is given, as is what the topics say of reading', async () => {
    const { topics } = await openTemporary()
    let may = false
    let tell: ((reason: string | undefined) => void) | undefined
    const restricted: Topics = {
      ensure: config => topics.ensure(config),
      append: (...rest) => topics.append(...rest),
      readCompacted: (name, wants) => topics.readCompacted(name, wants),
      lag: () => topics.lag(),
      close: () => topics.close(),
      subscribe({ listener }) {
        listener.assigned([{ topic: 't', partition: 0, offset: 0n, note: undefined }])
        tell = listener.paused?.bind(listener)
        const fetched = { topic: 't', partition: 0, records: [{ ...recordOf('k', '{}'), offset: 0n }] }
        return Promise.resolve({
          poll: () => Promise.resolve(fetched),
          commit: () => (may ? Promise.resolve() : Promise.reject(new HaetaeError('TOPIC_UNAUTHORISED', 'no commits'))),
          close: () => Promise.resolve(),
        })
      },
    }
    const shown = new Map<string, string | undefined>()
    const clock = new FakeClock()
    const paused = (component: string, reason: string | undefined): void => void shown.set(component, reason)
    const deps = testDeps({ topics: () => Promise.resolve(restricted), clock, paused })
    const source = await topic.open(topic.config.parse({ topic: 't', kind: 'waf' }), deps)
    ;(await source.read(never))!.ack()
    await clock.advance(2_000)
    expect(shown.get('topic positions')).toBe('no commits')
    may = true
    await clock.advance(2_000)
    expect(shown.get('topic positions')).toBeUndefined()
    tell!('no right to read')
    expect(shown.get('topic')).toBe('no right to read')
    await source.close()
    await topics.close()
  })
})
