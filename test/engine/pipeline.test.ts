import { describe, expect, test } from 'vitest'
import type { Detector, Event, Stage, Verdict } from '../../engine/contract.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { eventOf } from '../support/deps.ts'
import { durable, MemoryDeadLetter, start, TestSink, TestSource } from '../support/engine.ts'

const text = (event: Event): string => event.raw.toString()
const stage = (name: string, apply: Stage['apply']) => ({ name, stage: { apply } })
const sinkNamed = (sink: TestSink, name = 'sink') => ({ name, sink })

/** Rejects what is called bad, drops what is called dull. */
const sorting = stage('sorting', (batch, reject) =>
  batch.filter(event => {
    if (text(event) === 'bad') reject(event, 'not_json: bad')
    return text(event) !== 'bad' && text(event) !== 'dull'
  }),
)

describe('what a source is told of the stages', () => {
  test('comes when they ran and the writes have begun, once, before anything is settled', async () => {
    const order: string[] = []
    const gate = Promise.withResolvers<void>()
    const slow = stage('slow', async batch => {
      order.push('stage begins')
      await gate.promise
      order.push('stage ends')
      return batch
    })
    const written = Promise.withResolvers<Verdict>()
    const sink = new TestSink(() => {
      order.push('write begins')
      return written.promise
    })
    const { source, clock } = start({ stages: [slow], sinks: [sinkNamed(sink)] })
    source.give({
      batch: [eventOf('a')],
      ack: () => void order.push('ack'),
      nack: () => void order.push('nack'),
      staged: () => void order.push('staged'),
    })
    await clock.advance(1_000)
    expect(order).toEqual(['stage begins'])
    gate.resolve()
    await clock.advance(1_000)
    expect(order).toEqual(['stage begins', 'stage ends', 'write begins', 'staged'])
    written.resolve(durable)
    await clock.advance(1_000)
    expect(order.slice(4)).toEqual(['ack'])
  })

  test('comes although there is no room to read on: who waits then has done nothing yet', async () => {
    let staged = 0
    const sink = new TestSink(() => new Promise(() => undefined))
    const { source, clock } = start({ sinks: [sinkNamed(sink)], deliveriesMax: 1 })
    const settled = { ack: () => undefined, nack: () => undefined }
    source.give({ batch: [eventOf('a')], ...settled, staged: () => void staged++ })
    await clock.advance(1_000)
    expect([staged, source.reads]).toEqual([1, 1])
  })
})

describe('the ack', () => {
  test('comes when every sink has given every record its verdict, not before', async () => {
    const [first, second] = [Promise.withResolvers<Verdict>(), Promise.withResolvers<Verdict>()]
    const sinks = [first, second].map(({ promise }) => sinkNamed(new TestSink(() => promise)))
    const { source, clock } = start({ sinks })
    const delivery = source.push('a', 'b')
    await clock.advance(60_000)
    expect(delivery.settled).toBe('open')
    second.resolve(durable)
    await clock.advance(60_000)
    expect(delivery.settled).toBe('open')
    first.resolve(durable)
    await clock.advance(0)
    expect(delivery.settled).toBe('ack')
  })

  test('waits for the last retried record', async () => {
    const sink = new TestSink((_, call) => (call < 6 ? { retry: [0], reject: [] } : durable))
    const { source, clock } = start({ sinks: [sinkNamed(sink)] })
    const delivery = source.push('a', 'b')
    while (sink.writes.length < 5) {
      await clock.advance(100)
      expect(delivery.settled).toBe('open')
    }
    await clock.advance(60_000)
    expect(sink.writes).toHaveLength(6)
    expect(delivery.settled).toBe('ack')
  })

  test('waits until what a stage or a sink refused is in the dead letter', async () => {
    const dead = new MemoryDeadLetter()
    dead.failing = true
    const refusing = new TestSink(() => ({ retry: [], reject: [{ index: 0, reason: 'mapping: x' }] }))
    const { source, clock } = start({ stages: [sorting], sinks: [sinkNamed(refusing, 'refusing')], deadLetter: dead })
    const [byStage, bySink] = [source.push('bad', 'dull'), source.push('ok')]
    await clock.advance(600_000)
    expect([byStage.settled, bySink.settled]).toEqual(['open', 'open'])
    expect(dead.tries).toBeGreaterThan(20)
    dead.failing = false
    await clock.advance(60_000)
    expect([byStage.settled, bySink.settled]).toEqual(['ack', 'ack'])
    expect(dead.letters.map(({ stage, reason, raw }) => [stage, reason, raw.toString()])).toEqual([
      ['sorting', 'not_json: bad', 'bad'],
      ['refusing', 'mapping: x', 'ok'],
    ])
  })

  test('comes at once for a batch that was dropped on purpose, and no sink is called', async () => {
    const sink = new TestSink()
    const metrics = createMetrics()
    const { source, clock } = start({ stages: [sorting], sinks: [sinkNamed(sink)] }, { metrics })
    const delivery = source.push('dull', 'dull')
    await clock.advance(0)
    expect(delivery.settled).toBe('ack')
    expect(sink.writes).toHaveLength(0)
    const exposed = await metrics.expose()
    expect(exposed).toContain('haetae_events_dropped_total{pipeline="test",stage="sorting",intentional="true"} 2')
  })

  test('comes for a batch without events too', async () => {
    const { source, clock } = start({ stages: [sorting], sinks: [sinkNamed(new TestSink())] })
    const delivery = source.push()
    await clock.advance(0)
    expect(delivery.settled).toBe('ack')
  })

  test('waits for what a sink promised for later, while the room and the records are free again', async () => {
    const later = Promise.withResolvers<void>()
    const sink = new TestSink((_, call) => (call === 1 ? { ...durable, later: later.promise } : durable))
    const { source, clock } = start({ sinks: [sinkNamed(sink)], deliveriesMax: 1 })
    const [held, next] = [source.push('a'), source.push('b')]
    await clock.advance(60_000)
    expect([held.settled, next.settled]).toEqual(['open', 'ack'])
    later.resolve()
    await clock.advance(0)
    expect(held.settled).toBe('ack')
  })

  test('waits for every promise for later, also those of single tries of a retried write', async () => {
    const laters = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const sink = new TestSink((_, call) => ({
      retry: call === 1 ? [1] : [],
      reject: [],
      later: laters[call - 1]!.promise,
    }))
    const { source, clock } = start({ sinks: [sinkNamed(sink)] })
    const delivery = source.push('a', 'b')
    await clock.advance(60_000)
    laters[1]!.resolve()
    await clock.advance(0)
    expect(delivery.settled).toBe('open')
    laters[0]!.resolve()
    await clock.advance(0)
    expect(delivery.settled).toBe('ack')
  })
})

describe('order and room', () => {
  test('stages and detectors see deliveries in read order although writes overlap and are retried', async () => {
    const staged: string[] = []
    const detected: string[] = []
    const watching = stage('watching', async batch => {
      await new Promise(resolve => setImmediate(resolve))
      staged.push(...batch.map(text))
      return batch
    })
    const detector: Detector = { detect: batch => void detected.push(...batch.map(text)) }
    const sink = new TestSink((records, call) =>
      call % 3 === 0 ? durable : { retry: records.map((_, n) => n), reject: [] },
    )
    const running = start({ stages: [watching], detectors: [{ name: 'd', detector }], sinks: [sinkNamed(sink)] })
    const names = Array.from({ length: 30 }, (_, n) => `e${n}`)
    const deliveries = names.map(name => running.source.push(name))
    for (let second = 0; second < 200; second++) await running.clock.advance(1000)
    expect(deliveries.map(({ settled }) => settled)).toEqual(names.map(() => 'ack'))
    expect(sink.writes.length).toBeGreaterThan(60)
    // A retry repeats the write alone: each event passed the stages and the detector once, in order.
    expect(staged).toEqual(names)
    expect(detected).toEqual(names)
  })

  test('no more deliveries are read than may be written at once', async () => {
    const answer = Promise.withResolvers<Verdict>()
    const { source, clock } = start({ sinks: [sinkNamed(new TestSink(() => answer.promise))], deliveriesMax: 3 })
    for (let n = 0; n < 10; n++) source.push('x')
    await clock.advance(60_000)
    expect(source.reads).toBe(3)
    answer.resolve(durable)
    await clock.advance(0)
    expect(source.reads).toBe(11)
  })

  test('nothing is read once the raw bytes being written reach their bound', async () => {
    const answer = Promise.withResolvers<Verdict>()
    const sinks = [sinkNamed(new TestSink(() => answer.promise))]
    const { source, clock } = start({ sinks, deliveriesMax: 100, residentBytesMax: 2500 })
    for (let n = 0; n < 10; n++) source.push('x'.repeat(1000))
    await clock.advance(60_000)
    expect(source.reads).toBe(3)
    answer.resolve(durable)
    await clock.advance(0)
    expect(source.reads).toBe(11)
  })

  test('with one delivery at a time writes keep the order of the input, retries included', async () => {
    const sink = new TestSink((_, call) => (call % 2 === 1 ? { retry: [0], reject: [] } : durable))
    const { source, clock } = start({ sinks: [sinkNamed(sink)], deliveriesMax: 1 })
    for (const name of ['a', 'b', 'c']) source.push(name)
    for (let second = 0; second < 10; second++) await clock.advance(1000)
    expect(sink.texts.flat()).toEqual(['a', 'a', 'b', 'b', 'c', 'c'])
  })

  test('reading stops while the dead letter is unwritable: nothing piles up, nothing is dropped', async () => {
    const dead = new MemoryDeadLetter()
    dead.failing = true
    const { source, clock } = start({ stages: [sorting], sinks: [], deadLetter: dead, deliveriesMax: 2 })
    const deliveries = Array.from({ length: 20 }, () => source.push('bad'))
    await clock.advance(3_600_000)
    expect(source.reads).toBe(2)
    dead.failing = false
    await clock.advance(60_000)
    expect(deliveries.every(({ settled }) => settled === 'ack')).toBe(true)
    expect(dead.letters).toHaveLength(20)
  })

  test('a source that never makes the loop wait still lets timers and sockets have their turn', async () => {
    const source = new TestSource()
    for (let n = 0; n < 20_000; n++) source.push('x')
    source.end()
    let nowMs = 0
    const clock = { now: () => 0, monotonicMs: () => (nowMs += 0.01), wait: () => Promise.resolve() }
    let turns = 0
    const ticking = setInterval(() => turns++, 0)
    await start({ source, sinks: [sinkNamed(new TestSink())] }, { clock }).done
    clearInterval(ticking)
    expect(turns).toBeGreaterThan(2)
  })
})
