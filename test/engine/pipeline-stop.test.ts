import { afterEach, describe, expect, test } from 'vitest'
import { coalesce } from '../../engine/coalesce.ts'
import type { Encoded, Sink, Stage, Verdict } from '../../engine/contract.ts'
import { FakeClock } from '../support/clock.ts'
import { eventOf } from '../support/deps.ts'
import { durable, MemoryDeadLetter, start, TestDelivery, TestSink, TestSource } from '../support/engine.ts'

const sinkNamed = (sink: Sink, name = 'sink') => ({ name, sink })
const never = new Promise<Verdict>(() => undefined)
const retryAll = (records: readonly Encoded[]): Verdict => ({ retry: records.map((_, n) => n), reject: [] })

const unhandled: unknown[] = []
const collect = (reason: unknown): void => void unhandled.push(reason)
process.on('unhandledRejection', collect)
afterEach(async () => {
  await new Promise(resolve => setImmediate(resolve))
  expect(unhandled.splice(0)).toEqual([])
})

describe('a stop', () => {
  test('reads nothing more and lets what was read settle', async () => {
    const answer = Promise.withResolvers<Verdict>()
    const running = start({ sinks: [sinkNamed(new TestSink(() => answer.promise))] })
    const delivery = running.source.push('a')
    await running.clock.advance(0)
    running.stop()
    const tooLate = running.source.push('b')
    await running.clock.advance(5000)
    expect([running.state(), delivery.settled]).toEqual(['running', 'open'])
    answer.resolve(durable)
    await running.clock.advance(0)
    expect([running.state(), delivery.settled]).toEqual(['done', 'ack'])
    expect(tooLate.settled).toBe('open')
    expect(running.clock.sleeping).toBe(0)
  })

  test('gives back after the drain deadline what has not settled, and that is no failure', async () => {
    const running = start({
      sinks: [sinkNamed(new TestSink((r, call) => (call === 2 ? durable : retryAll(r))))],
      drainMs: 10_000,
    })
    const deliveries = [running.source.push('stuck'), running.source.push('done')]
    await running.clock.advance(0)
    running.stop()
    await running.clock.advance(9_999)
    expect([running.state(), ...deliveries.map(({ settled }) => settled)]).toEqual(['running', 'open', 'ack'])
    await running.clock.advance(1)
    expect([running.state(), ...deliveries.map(({ settled }) => settled)]).toEqual(['done', 'nack', 'ack'])
  })

  test('in the very moment a delivery was read lets that one settle too', async () => {
    const running = start({ sinks: [sinkNamed(new TestSink())] })
    const delivery = new TestDelivery([eventOf('a')])
    const { source } = running
    source.read = async () => {
      running.stop()
      return await Promise.resolve(delivery)
    }
    await running.clock.advance(0)
    expect([running.state(), delivery.settled]).toEqual(['done', 'ack'])
  })

  test('before the first read starts nothing and closes everything', async () => {
    const sink = new TestSink()
    const running = start({ sinks: [sinkNamed(sink)] })
    running.stop()
    await running.clock.advance(0)
    expect([running.state(), running.source.closed, sink.closed]).toEqual(['done', 1, 1])
  })

  test('while there is no room does not read once more', async () => {
    const answer = Promise.withResolvers<Verdict>()
    const running = start({ sinks: [sinkNamed(new TestSink(() => answer.promise))], deliveriesMax: 1 })
    running.source.push('a')
    await running.clock.advance(0)
    running.stop()
    answer.resolve(durable)
    await running.clock.advance(0)
    expect([running.state(), running.source.reads]).toEqual(['done', 1])
  })

  test('while a stage is at work lets that batch go its whole way', async () => {
    const working = Promise.withResolvers<void>()
    const slow: Stage = {
      async apply(batch) {
        await working.promise
        return batch
      },
    }
    const sink = new TestSink()
    const running = start({ stages: [{ name: 'slow', stage: slow }], sinks: [sinkNamed(sink)] })
    const delivery = running.source.push('a')
    await running.clock.advance(0)
    running.stop()
    working.resolve()
    await running.clock.advance(0)
    expect([running.state(), delivery.settled, sink.texts]).toEqual(['done', 'ack', [['a']]])
  })

  test('while the dead letter is unwritable gives the delivery back; its letters are not taken for written', async () => {
    const dead = new MemoryDeadLetter()
    dead.failing = true
    const refusing = new TestSink(() => ({ retry: [], reject: [{ index: 0, reason: 'no' }] }))
    const running = start({ sinks: [sinkNamed(refusing)], deadLetter: dead, drainMs: 5000 })
    const delivery = running.source.push('a')
    await running.clock.advance(1000)
    running.stop()
    await running.clock.advance(5000)
    expect([running.state(), delivery.settled, dead.letters]).toEqual(['done', 'nack', []])
  })

  test('sends what a coalescing sink holds back, also what is held back anew by a retry during the drain', async () => {
    const clock = new FakeClock()
    const inner = new TestSink((records, call) => (call < 3 ? retryAll(records) : durable))
    const held = coalesce({ recordsMax: 500, bytesMax: 1e6, waitMs: 3_600_000 }, (r, s) => inner.write(r, s), clock)
    const sink: Sink = { ...held, close: () => inner.close() }
    const running = start({ sinks: [sinkNamed(sink)], drainMs: 30_000 }, { clock })
    const delivery = running.source.push('a')
    await clock.advance(60_000)
    expect(inner.writes).toHaveLength(0)
    running.stop()
    await clock.advance(3000)
    expect([running.state(), delivery.settled, inner.writes.length]).toEqual(['done', 'ack', 3])
  })

  test('gives back a delivery whose promise for later is not kept by the deadline', async () => {
    const running = start({
      sinks: [sinkNamed(new TestSink(() => ({ ...durable, later: new Promise(() => undefined) })))],
    })
    const delivery = running.source.push('a')
    await running.clock.advance(0)
    running.stop()
    await running.clock.advance(10_000)
    expect([running.state(), delivery.settled]).toEqual(['done', 'nack'])
  })

  test('lets a sink that is slow to notice the deadline end its write, and acks what it made durable', async () => {
    const answer = Promise.withResolvers<Verdict>()
    const running = start({ sinks: [sinkNamed(new TestSink(() => answer.promise))], drainMs: 1000 })
    const delivery = running.source.push('a')
    await running.clock.advance(0)
    running.stop()
    await running.clock.advance(1500)
    expect([running.state(), delivery.settled]).toEqual(['running', 'open'])
    answer.resolve(durable)
    await running.clock.advance(0)
    expect([running.state(), delivery.settled]).toEqual(['done', 'ack'])
  })

  test('ends although a sink never answers: its delivery is given back and everything is closed', async () => {
    const deaf = new TestSink(() => never)
    const running = start({ sinks: [sinkNamed(deaf)], drainMs: 1000 })
    const delivery = running.source.push('a')
    await running.clock.advance(0)
    running.stop()
    await running.clock.advance(60_000)
    expect([running.state(), delivery.settled, deaf.closed, running.source.closed]).toEqual(['done', 'nack', 1, 1])
    expect(running.clock.sleeping).toBe(0)
  })

  test('survives a sink whose drain throws: that is a failure, and everything is still closed', async () => {
    const sink = new TestSink(() => ({ ...durable, later: new Promise(() => undefined) }))
    sink.drain = () => failNow('drain failed', () => undefined)
    const running = start({ sinks: [sinkNamed(sink)] })
    const delivery = running.source.push('a')
    await running.clock.advance(0)
    running.stop()
    await running.clock.advance(0)
    expect([running.state(), delivery.settled, running.source.closed]).toEqual(['drain failed', 'nack', 1])
  })
})

describe('the end of the input', () => {
  test('waits for everything, however long a destination is down', async () => {
    let down = true
    const sink = new TestSink(records => (down ? retryAll(records) : durable))
    const { source, clock, state } = start({ sinks: [sinkNamed(sink)], drainMs: 1000 })
    const delivery = source.push('a')
    source.end()
    await clock.advance(600_000)
    expect([state(), delivery.settled]).toEqual(['running', 'open'])
    down = false
    await clock.advance(30_000)
    expect([state(), delivery.settled]).toEqual(['done', 'ack'])
  })

  test('followed by a stop keeps the deadline from then on', async () => {
    const running = start({ sinks: [sinkNamed(new TestSink(retryAll))], drainMs: 1000 })
    const delivery = running.source.push('a')
    running.source.end()
    await running.clock.advance(100_000)
    running.stop()
    await running.clock.advance(1000)
    expect([running.state(), delivery.settled]).toEqual(['done', 'nack'])
  })
})

describe('closing', () => {
  test('goes from the last sink back to the source, after every delivery is settled', async () => {
    const order: string[] = []
    const closing = (name: string) => () => {
      order.push(name)
      return Promise.resolve()
    }
    const source = new TestSource()
    source.close = closing('source')
    const stages = ['s1', 's2', 's3'].map(name => ({
      name,
      stage: { apply: (batch: never) => batch, close: closing(name) },
    }))
    const sinks = ['k1', 'k2'].map(name => sinkNamed(Object.assign(new TestSink(), { close: closing(name) })))
    const alertSinks = [sinkNamed(Object.assign(new TestSink(), { close: closing('alerts') }))]
    const running = start({ source, stages, sinks, alertSinks })
    const delivery = source.push('a')
    delivery.batch[0]!.body = {}
    source.end()
    await running.done
    expect(delivery.settled).toBe('ack')
    expect(order).toEqual(['alerts', 'k2', 'k1', 's3', 's2', 's1', 'source'])
  })

  test('goes on past one that fails, and that failure is thrown', async () => {
    const sink = new TestSink()
    sink.close = () => Promise.reject(new Error('close failed'))
    const running = start({ sinks: [sinkNamed(sink)] })
    running.source.end()
    await running.clock.advance(0)
    expect([running.state(), running.source.closed]).toEqual(['close failed', 1])
  })
})

function failNow(message: string, before: () => void): never {
  before()
  throw new Error(message)
}
