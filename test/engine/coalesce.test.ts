import fc from 'fast-check'
import { expect, test } from 'vitest'
import { coalesce } from '../../engine/coalesce.ts'
import type { Encoded, Verdict } from '../../engine/contract.ts'
import { FakeClock } from '../support/clock.ts'
import { encodedOf, eventOf } from '../support/deps.ts'
import { durable, TestSink } from '../support/engine.ts'

const { signal } = new AbortController()
let named = 0
const recordsOf = (count: number): Encoded[] => Array.from({ length: count }, () => encodedOf(eventOf(`r${named++}`)))
const limits = { recordsMax: 10, bytesMax: 1_000_000, waitMs: 100 }

function coalescing(sink: TestSink, over: Partial<typeof limits> = {}) {
  const clock = new FakeClock()
  return { clock, ...coalesce({ ...limits, ...over }, (records, given) => sink.write(records, given), clock) }
}

test('calls that fit are one request, sent when the first has waited its time', async () => {
  const sink = new TestSink()
  const { write, clock } = coalescing(sink)
  const first = write(recordsOf(2), signal)
  await clock.advance(60)
  const second = write(recordsOf(3), signal)
  await clock.advance(39)
  expect(sink.writes).toHaveLength(0)
  await clock.advance(1)
  expect(sink.writes.map(records => records.length)).toEqual([5])
  expect(await Promise.all([first, second])).toEqual([durable, durable])
})

test('a full request is sent at once, and the wait of the next call begins anew', async () => {
  const sink = new TestSink()
  const { write, clock } = coalescing(sink)
  const calls = [write(recordsOf(6), signal)]
  await clock.advance(90)
  calls.push(write(recordsOf(4), signal))
  expect(sink.writes.map(records => records.length)).toEqual([10])
  calls.push(write(recordsOf(1), signal))
  await clock.advance(99)
  expect(sink.writes).toHaveLength(1)
  await clock.advance(1)
  expect(sink.writes.map(records => records.length)).toEqual([10, 1])
  await Promise.all(calls)
})

test('a call is never split: what does not fit goes into the next request', async () => {
  const sink = new TestSink()
  const { write, clock } = coalescing(sink)
  const calls = [write(recordsOf(7), signal), write(recordsOf(4), signal), write(recordsOf(12), signal)]
  await clock.advance(100)
  expect(sink.writes.map(records => records.length)).toEqual([7, 4, 12])
  await Promise.all(calls)
})

test('bytes are a bound of their own', async () => {
  const sink = new TestSink()
  const records = recordsOf(2)
  const bytesMax = records.reduce((sum, { json }) => sum + json.length, 0) * 2 - 1
  const { write, clock } = coalescing(sink, { bytesMax })
  const calls = [write(records, signal), write(records, signal)]
  expect(sink.writes).toHaveLength(1)
  await clock.advance(100)
  expect(sink.writes).toHaveLength(2)
  await Promise.all(calls)
})

test('with a wait of zero every call is sent at once', () => {
  const sink = new TestSink()
  const { write } = coalescing(sink, { waitMs: 0 })
  void write(recordsOf(1), signal)
  expect(sink.writes).toHaveLength(1)
})

test('drain sends what waits, and the timer that was running sends nothing a second time', async () => {
  const sink = new TestSink()
  const { write, drain, clock } = coalescing(sink)
  const call = write(recordsOf(1), signal)
  drain()
  expect(sink.writes).toHaveLength(1)
  drain()
  await clock.advance(500)
  expect(sink.writes).toHaveLength(1)
  expect(clock.sleeping).toBe(0)
  await call
})

test('each call gets the verdict of its own records in its own positions, whatever was merged', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 10 })
  await fc.assert(
    fc.asyncProperty(sizes, fc.infiniteStream(fc.constantFrom('ok', 'retry', 'reject')), async (counts, fates) => {
      const fateOf = new Map<Encoded, string>()
      const batches = counts.map(count => recordsOf(count))
      for (const record of batches.flat()) fateOf.set(record, fates.next().value)
      const sink = new TestSink(records => ({
        retry: records.flatMap((record, index) => (fateOf.get(record) === 'retry' ? [index] : [])),
        reject: records.flatMap((record, index) =>
          fateOf.get(record) === 'reject' ? [{ index, reason: record.event.id }] : [],
        ),
        retryAfterMs: 7,
      }))
      const { write, clock } = coalescing(sink)
      const verdicts = batches.map(batch => write(batch, signal))
      await clock.advance(100)
      for (const [n, verdict] of (await Promise.all(verdicts)).entries()) {
        const at = (fate: string): number[] =>
          batches[n]!.flatMap((record, index) => (fateOf.get(record) === fate ? [index] : []))
        expect(verdict.retry).toEqual(at('retry'))
        const reject = at('reject').map(index => ({ index, reason: batches[n]![index]!.event.id }))
        expect(verdict.reject).toEqual(reject)
        expect(verdict.retryAfterMs).toBe(7)
      }
    }),
    { numRuns: 60 },
  )
})

test('a promise for later is every call’s promise', async () => {
  const later = Promise.resolve()
  const { write, drain } = coalescing(new TestSink(() => ({ ...durable, later })))
  const calls = [write(recordsOf(1), signal), write(recordsOf(1), signal)]
  drain()
  for (const verdict of await Promise.all(calls)) expect(verdict.later).toBe(later)
})

test.each([
  ['rejects', () => Promise.reject(new Error('503'))],
  [
    'throws before it returns a promise',
    () => {
      throw new Error('503')
    },
  ],
])('a request that %s is the failure of each of its calls', async (_, flush) => {
  const clock = new FakeClock()
  const { write, drain } = coalesce(limits, flush, clock)
  const calls = [write(recordsOf(1), signal), write(recordsOf(2), signal)]
  const failed = calls.map(call => expect(call).rejects.toThrow('503'))
  drain()
  await Promise.all(failed)
  const full = write(recordsOf(10), signal)
  await expect(full).rejects.toThrow('503')
})

const impossible: Verdict[] = [
  { retry: [3], reject: [] },
  { retry: [-1], reject: [] },
  { retry: [], reject: [{ index: 3, reason: 'x' }] },
  { retry: [0, 0], reject: [] },
]
test.each(impossible)('an impossible verdict %j over the request is nobody’s verdict but a fault', async verdict => {
  const { write, drain } = coalescing(new TestSink(() => verdict))
  const calls = [write(recordsOf(1), signal), write(recordsOf(2), signal)]
  const failed = calls.map(call => expect(call).rejects.toMatchObject({ code: 'VERDICT_OUT_OF_RANGE' }))
  drain()
  await Promise.all(failed)
})
