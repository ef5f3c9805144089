import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import type { Encoded, Sink, Verdict } from '../../engine/contract.ts'
import { eventOf } from '../support/deps.ts'
import { durable, MemoryDeadLetter, start, TestDelivery, TestSink } from '../support/engine.ts'

const sinkNamed = (sink: Sink, name = 'sink') => ({ name, sink })
const never = new Promise<Verdict>(() => undefined)
const retryAll = (records: readonly Encoded[]): Verdict => ({ retry: records.map((_, n) => n), reject: [] })
const allowing = (signal: AbortSignal): Promise<Verdict> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true }))
const impossible: Verdict = { retry: [99], reject: [] }

const unhandled: unknown[] = []
const collect = (reason: unknown): void => void unhandled.push(reason)
process.on('unhandledRejection', collect)
afterEach(async () => {
  await new Promise(resolve => setImmediate(resolve))
  expect(unhandled.splice(0)).toEqual([])
})

describe('one delivery that fails for good', () => {
  test('stops the loop, aborts a pending read, gives back what is open, and is what run throws', async () => {
    const [bad, slow] = [Promise.withResolvers<Verdict>(), new TestSink((_, __, signal) => allowing(signal))]
    const failing = new TestSink((_, call) => (call === 1 ? bad.promise : durable))
    const { source, clock, state } = start({ sinks: [sinkNamed(failing, 'failing'), sinkNamed(slow)] })
    const deliveries = [source.push('a'), source.push('b')]
    await clock.advance(1000)
    expect([state(), source.reads]).toEqual(['running', 3])
    bad.resolve(impossible)
    await clock.advance(0)
    expect(state()).toContain('failing gave a verdict for position 99')
    expect(deliveries.map(({ settled }) => settled)).toEqual(['nack', 'nack'])
    expect([source.reads, source.aborted, source.closed]).toEqual([3, 1, 1])
  })

  test('is not forgotten when it is the last of hundreds to settle, long after the others', async () => {
    const late = Promise.withResolvers<void>()
    const sink = new TestSink((_, call) => (call === 1 ? { ...durable, later: late.promise } : durable))
    const { source, clock, state } = start({ sinks: [sinkNamed(sink)] })
    const first = source.push('first')
    const others = Array.from({ length: 500 }, (_, n) => source.push(`e${n}`))
    await clock.advance(3_600_000)
    expect(others.every(({ settled }) => settled === 'ack')).toBe(true)
    late.reject(new Error('the spool is lost'))
    await clock.advance(0)
    expect([state(), first.settled, source.aborted]).toEqual(['the spool is lost', 'nack', 1])
  })

  test('is not forgotten when it fails after the input has ended', async () => {
    const late = Promise.withResolvers<void>()
    const { source, clock, state } = start({
      sinks: [sinkNamed(new TestSink(() => ({ ...durable, later: late.promise })))],
    })
    const delivery = source.push('a')
    source.end()
    await clock.advance(60_000)
    expect(state()).toBe('running')
    late.reject(new Error('the spool is lost'))
    await clock.advance(0)
    expect([state(), delivery.settled]).toEqual(['the spool is lost', 'nack'])
  })

  test('is not forgotten when it fails during the drain', async () => {
    const late = Promise.withResolvers<void>()
    const running = start({ sinks: [sinkNamed(new TestSink(() => ({ ...durable, later: late.promise })))] })
    const delivery = running.source.push('a')
    await running.clock.advance(0)
    running.stop()
    await running.clock.advance(1000)
    late.reject(new Error('the spool is lost'))
    await running.clock.advance(0)
    expect([running.state(), delivery.settled]).toEqual(['the spool is lost', 'nack'])
  })

  test('stops the pipeline at once although another sink of the same delivery is down and retried for ever', async () => {
    const sinks = [sinkNamed(new TestSink(retryAll), 'down'), sinkNamed(new TestSink(() => impossible), 'faulty')]
    const { source, clock, state } = start({ sinks })
    const delivery = source.push('a')
    await clock.advance(0)
    expect(state()).toContain('faulty gave a verdict')
    expect(delivery.settled).toBe('nack')
  })

  test('stops the pipeline at once although the promise that broke belongs to a delivery still being written', async () => {
    const late = Promise.withResolvers<void>()
    const spooling = new TestSink(() => ({ ...durable, later: late.promise }))
    const { source, clock, state } = start({ sinks: [sinkNamed(new TestSink(retryAll), 'down'), sinkNamed(spooling)] })
    const delivery = source.push('a')
    await clock.advance(3_600_000)
    expect(state()).toBe('running')
    late.reject(new Error('the spool is lost'))
    await clock.advance(0)
    expect([state(), delivery.settled]).toEqual(['the spool is lost', 'nack'])
  })

  test('stops the pipeline in the end although a sink never answers and ignores that it was given up', async () => {
    const sinks = [sinkNamed(new TestSink(() => never), 'deaf'), sinkNamed(new TestSink(() => impossible), 'faulty')]
    const { source, clock, state } = start({ sinks })
    const delivery = source.push('a')
    await clock.advance(0)
    expect(delivery.settled).toBe('open') // It may still be written: the sink has a moment to end it.
    await clock.advance(60_000)
    expect(state()).toContain('faulty gave a verdict')
    expect(delivery.settled).toBe('nack')
    expect(source.closed).toBe(1)
  })

  test('of two failures the first is thrown', async () => {
    const lates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const sink = new TestSink((_, call) => ({ ...durable, later: lates[call - 1]!.promise }))
    const { source, clock, state } = start({ sinks: [sinkNamed(sink)] })
    source.push('a')
    source.push('b')
    await clock.advance(0)
    lates[1]!.reject(new Error('first'))
    lates[0]!.reject(new Error('second'))
    await clock.advance(0)
    expect(state()).toBe('first')
  })
})

describe('a source that fails', () => {
  test('stops the pipeline with its error; what was read before is given back or acked once', async () => {
    const { source, clock, state } = start({ sinks: [sinkNamed(new TestSink((_, __, signal) => allowing(signal)))] })
    const delivery = source.push('a')
    source.give(new Error('broker gone'))
    await clock.advance(0)
    expect([state(), delivery.settled, source.closed]).toEqual(['broker gone', 'nack', 1])
  })

  test('by throwing from ack stops the pipeline, and its delivery is not nacked on top', async () => {
    const delivery = new TestDelivery([eventOf('a')])
    const failing = { batch: delivery.batch, nack: delivery.nack, ack: () => failNow('ack failed', delivery.ack) }
    const { source, clock, state } = start({ sinks: [sinkNamed(new TestSink())] })
    source.give(failing)
    await clock.advance(0)
    expect([state(), delivery.settled]).toEqual(['ack failed', 'ack'])
  })

  test('by throwing from nack hides neither the first failure nor the close of the others', async () => {
    const delivery = new TestDelivery([eventOf('a')])
    const failing = { batch: delivery.batch, ack: delivery.ack, nack: () => failNow('nack failed', () => undefined) }
    const sink = new TestSink(() => impossible)
    const { source, clock, state } = start({ sinks: [sinkNamed(sink)] })
    source.give(failing)
    await clock.advance(0)
    expect(state()).toContain('gave a verdict for position 99')
    expect([sink.closed, source.closed]).toEqual([1, 1])
  })

  test('by throwing from nack at the drain deadline is a failure that run throws, with everything closed', async () => {
    const delivery = new TestDelivery([eventOf('a')])
    const failing = { batch: delivery.batch, ack: delivery.ack, nack: () => failNow('nack failed', () => undefined) }
    const sink = new TestSink(retryAll)
    const running = start({ sinks: [sinkNamed(sink)], drainMs: 1000 })
    running.source.give(failing)
    await running.clock.advance(0)
    running.stop()
    await running.clock.advance(1000)
    expect([running.state(), sink.closed, running.source.closed]).toEqual(['nack failed', 1, 1])
  })
})

test('whatever happens, every delivery is settled exactly once and acked only if all of it has a final verdict', async () => {
  const fates = fc.array(fc.constantFrom('ok', 'retry', 'reject', 'throw', 'later', 'brokenLater', 'impossible'), {
    minLength: 1,
    maxLength: 40,
  })
  await fc.assert(
    fc.asyncProperty(fates, fc.nat({ max: 4000 }), fc.boolean(), async (plan, stopAfterMs, withDead) => {
      const final = new Set<string>()
      const dead = new MemoryDeadLetter()
      const sink = new TestSink(async (records, call) => {
        const fate = plan[call % plan.length]!
        await Promise.resolve()
        if (fate === 'throw') throw new Error('thrown')
        if (fate === 'impossible') return impossible
        if (fate === 'retry') return retryAll(records)
        const settle = (): void => records.forEach(({ event }) => void final.add(event.id))
        if (fate === 'later') return { ...durable, later: running.clock.wait(300).then(settle) }
        if (fate === 'brokenLater') return { ...durable, later: running.clock.wait(300).then(() => failNow('broken', () => undefined)) } // biome-ignore format: one row
        if (fate === 'reject') return { retry: [], reject: records.map((_, index) => ({ index, reason: 'no' })) }
        settle()
        return durable
      })
      const running = start({ sinks: [sinkNamed(sink)], deadLetter: dead, drainMs: 2000 })
      dead.failing = withDead
      const deliveries = plan.map((_, n) => running.source.push(`e${n}`, `f${n}`))
      await running.clock.advance(stopAfterMs)
      running.stop()
      await running.clock.advance(10_000)
      expect(running.state()).not.toBe('running')
      for (const letter of dead.letters) final.add(letter.id)
      for (const { settled, batch } of deliveries) {
        expect(settled).toMatch(/^(ack|nack|open)$/)
        if (settled === 'ack') expect(batch.every(({ id }) => final.has(id))).toBe(true)
      }
      const open = deliveries.filter(({ settled }) => settled === 'open')
      expect(open.length).toBe(deliveries.length - running.source.given)
    }),
    { numRuns: 150 },
  )
})

function failNow(message: string, before: () => void): never {
  before()
  throw new Error(message)
}
