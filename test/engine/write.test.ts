import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DeadLetter, Encoded, Sink, Verdict } from '../../engine/contract.ts'
import { GaveUp, type WriteContext, writeAll, writeDeadLetters } from '../../engine/write.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { silentLog } from '../../platform/log.ts'
import { FakeClock } from '../support/clock.ts'
import { encodedOf, eventOf } from '../support/deps.ts'
import { durable, TestSink } from '../support/engine.ts'

const recordsOf = (count: number): Encoded[] => Array.from({ length: count }, (_, n) => encodedOf(eventOf(`r${n}`)))
const textOf = ({ event }: Encoded): string => event.raw.toString()

class Context implements WriteContext {
  readonly name = 'sink'
  readonly clock = new FakeClock()
  readonly warnings: string[] = []
  readonly log = { ...silentLog, warn: (message: string) => void this.warnings.push(message), error: this.#error() }
  readonly random = () => 0.5
  readonly backoff = { firstMs: 100, maxMs: 1000 }
  readonly stop = new AbortController()
  readonly signal = this.stop.signal
  readonly dead: { text: string; reason: string }[] = []
  retried = 0
  readonly retries = {
    add: (_?: object, by = 1): void => {
      this.retried += by
    },
  }
  readonly broke: unknown[] = []
  readonly broken = (thrown: unknown): void => void this.broke.push(thrown)
  deadLetter: WriteContext['deadLetter'] = refused => {
    this.dead.push(...refused.map(({ record, reason }) => ({ text: textOf(record), reason })))
    return Promise.resolve()
  }

  #error() {
    return (message: string): void => void this.warnings.push(message)
  }
}

/** Lets the fake time pass until the write is settled. */
async function finished<T>(context: Context, promise: Promise<T>): Promise<T> {
  let settled = false
  promise.then(
    () => (settled = true),
    () => (settled = true),
  )
  for (let round = 0; !settled && round < 100; round++) await context.clock.advance(1000)
  return await promise
}

describe('writeAll', () => {
  test('a write that is durable at once is one call', async () => {
    const sink = new TestSink()
    expect(await writeAll(sink, recordsOf(3), new Context())).toEqual([])
    expect(sink.texts).toEqual([['r0', 'r1', 'r2']])
  })

  test('only the records named in retry are written again, until each has its verdict', async () => {
    const context = new Context()
    const sink = new TestSink(
      (_, call) => [{ retry: [0, 2], reject: [] }, { retry: [1], reject: [] }, durable][call - 1]!,
    )
    expect(await finished(context, writeAll(sink, recordsOf(4), context))).toEqual([])
    expect(sink.texts).toEqual([['r0', 'r1', 'r2', 'r3'], ['r0', 'r2'], ['r2']])
    expect(context.retried).toBe(3)
  })

  test('a throw is no verdict: the whole batch is written again, and said once', async () => {
    const context = new Context()
    const sink = new TestSink((_, call) => {
      if (call < 4) throw new Error('ECONNRESET')
      return durable
    })
    expect(await finished(context, writeAll(sink, recordsOf(2), context))).toEqual([])
    expect(sink.texts).toEqual(Array.from({ length: 4 }, () => ['r0', 'r1']))
    expect(context.warnings).toEqual(['a sink failed and is tried again'])
  })

  test('retries go on for ever, with waits that grow to the bound and start anew after progress', async () => {
    const context = new Context()
    const atMs: number[] = []
    const startMs = context.clock.now()
    const sink = new TestSink((records, call) => {
      atMs.push(context.clock.now() - startMs)
      if (call === 8) return { retry: [0], reject: [] }
      return call === 11 ? durable : { retry: records.map((_, n) => n), reject: [] }
    })
    expect(await finished(context, writeAll(sink, recordsOf(2), context))).toEqual([])
    const waits = atMs.slice(1).map((at, n) => at - atMs[n]!)
    expect(waits).toEqual([75, 150, 300, 600, 750, 750, 750, 75, 150, 300])
  })

  test('the wait is never shorter than what the destination asks for', async () => {
    const context = new Context()
    const sink = new TestSink((_, call) => (call === 1 ? { retry: [0], reject: [], retryAfterMs: 5000 } : durable))
    const done = writeAll(sink, recordsOf(1), context)
    await context.clock.advance(4999)
    expect(sink.writes).toHaveLength(1)
    await context.clock.advance(1)
    expect(sink.writes).toHaveLength(2)
    expect(await done).toEqual([])
  })

  test('the wait is never longer than what the destination says is of use', async () => {
    const context = new Context()
    const atMs: number[] = []
    const asks = { retry: [0], reject: [], retryAfterMs: 100, retryWithinMs: 200 }
    const sink = new TestSink((_, call) => {
      atMs.push(context.clock.now())
      return call < 7 ? asks : durable
    })
    expect(await finished(context, writeAll(sink, recordsOf(1), context))).toEqual([])
    const waits = atMs.slice(1).map((at, n) => at - atMs[n]!)
    expect(waits).toEqual([100, 150, 200, 200, 200, 200])
  })

  test('a rejected record is dead-lettered with its reason before the others are tried again', async () => {
    const context = new Context()
    const order: string[] = []
    context.deadLetter = refused => {
      order.push(...refused.map(({ record, reason }) => `dead ${textOf(record)} ${reason}`))
      return Promise.resolve()
    }
    const sink = new TestSink((records, call) => {
      order.push(`write ${records.map(textOf).join()}`)
      if (call === 1) return { retry: [0], reject: [{ index: 1, reason: 'mapping' }] }
      return { retry: [], reject: [{ index: 0, reason: 'late' }] }
    })
    expect(await finished(context, writeAll(sink, recordsOf(3), context))).toEqual([])
    expect(order).toEqual(['write r0,r1,r2', 'dead r1 mapping', 'write r0', 'dead r0 late'])
  })

  test('every record gets exactly one final verdict, whatever mix of verdicts the sink gives', async () => {
    const verdict = fc.array(fc.constantFrom('ok', 'retry', 'reject'), { minLength: 8, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 8 }), fc.array(verdict, { maxLength: 6 }), async (count, rounds) => {
        const context = new Context()
        const stored: string[] = []
        const sink = new TestSink((records, call) => {
          const round = rounds[call - 1] ?? []
          const at = (what: string): number[] => records.flatMap((_, n) => (round[n] === what ? [n] : []))
          const [retry, reject] = [at('retry'), at('reject')]
          stored.push(...records.filter((_, n) => !retry.includes(n) && !reject.includes(n)).map(textOf))
          return { retry, reject: reject.map(index => ({ index, reason: 'no' })) }
        })
        const records = recordsOf(count)
        expect(await finished(context, writeAll(sink, records, context))).toEqual([])
        const settled = [...stored, ...context.dead.map(({ text }) => text)]
        expect(settled.toSorted()).toEqual(records.map(textOf).toSorted())
      }),
      { numRuns: 60 },
    )
  })

  const impossible: [string, Verdict][] = [
    ['past the end', { retry: [2], reject: [] }],
    ['below zero', { retry: [-1], reject: [] }],
    ['not whole', { retry: [0.5], reject: [] }],
    ['not a number', { retry: [Number.NaN], reject: [] }],
    ['named twice', { retry: [1, 1], reject: [] }],
    ['both retried and rejected', { retry: [1], reject: [{ index: 1, reason: 'no' }] }],
    ['a rejection past the end', { retry: [], reject: [{ index: 2, reason: 'no' }] }],
    ['a rejection named twice', { retry: [], reject: [{ index: 0, reason: 'a' }, { index: 0, reason: 'b' }] }], // biome-ignore format: one row
  ]
  test.each(impossible)(
    'a verdict with a position %s is thrown, nothing is dead-lettered or retried',
    async (_, verdict) => {
      const context = new Context()
      const sink = new TestSink(() => verdict)
      const failing = writeAll(sink, recordsOf(2), context)
      await expect(failing).rejects.toMatchObject({ code: 'VERDICT_OUT_OF_RANGE' })
      expect(sink.writes).toHaveLength(1)
      expect(context.dead).toEqual([])
    },
  )

  test('positions count in the batch of that try: what was valid for the first is not for a shorter second', async () => {
    const context = new Context()
    const sink = new TestSink((_, call) => ({ retry: call === 1 ? [3] : [1], reject: [] }))
    const failing = finished(context, writeAll(sink, recordsOf(4), context))
    await expect(failing).rejects.toMatchObject({ code: 'VERDICT_OUT_OF_RANGE' })
  })

  test('an impossible verdict that the sink itself found is not retried', async () => {
    const sink = new TestSink(() => Promise.reject(new HaetaeError('VERDICT_OUT_OF_RANGE', 'found')))
    await expect(writeAll(sink, recordsOf(1), new Context())).rejects.toThrow('found')
    expect(sink.writes).toHaveLength(1)
  })

  test('promises for later are handed over, one that rejects before anybody waits for it too', async () => {
    const context = new Context()
    const fails = Promise.reject(new Error('spool lost'))
    const sink = new TestSink((_, call) =>
      call === 1 ? { retry: [0], reject: [], later: fails } : { retry: [], reject: [], later: Promise.resolve() },
    )
    const promised = await finished(context, writeAll(sink, recordsOf(2), context))
    expect(promised).toHaveLength(2)
    expect(context.broke).toEqual([new Error('spool lost')])
    await expect(promised[0]).rejects.toThrow('spool lost')
    await expect(promised[1]).resolves.toBeUndefined()
  })

  test('giving up ends the wait between two tries at once', async () => {
    const context = new Context()
    const sink = new TestSink(records => ({ retry: records.map((_, n) => n), reject: [] }))
    const done = writeAll(sink, recordsOf(1), context)
    await context.clock.advance(0)
    context.stop.abort()
    await expect(done).rejects.toBeInstanceOf(GaveUp)
    expect(sink.writes).toHaveLength(1)
  })

  test('a write that succeeds although the engine gave up meanwhile counts as written', async () => {
    const context = new Context()
    const answer = Promise.withResolvers<Verdict>()
    const done = writeAll(new TestSink(() => answer.promise), recordsOf(1), context)
    context.stop.abort()
    answer.resolve(durable)
    expect(await done).toEqual([])
  })

  test('a sink that throws before it returns a promise is retried like any other', async () => {
    const context = new Context()
    let calls = 0
    const sink: Sink = {
      write() {
        if (++calls === 1) throw new Error('synchronous')
        return Promise.resolve(durable)
      },
      close: () => Promise.resolve(),
    }
    expect(await finished(context, writeAll(sink, recordsOf(1), context))).toEqual([])
    expect(calls).toBe(2)
  })
})

describe('writeDeadLetters', () => {
  const letters: DeadLetter[] = [
    {
      id: '0',
      kind: 'waf',
      pipeline: 'p',
      stage: 's',
      reason: 'r',
      timeMs: 0,
      origin: undefined,
      raw: Buffer.from('x'),
    },
  ]

  test('an unwritable dead letter is tried again for ever, and said once', async () => {
    const context = new Context()
    let tries = 0
    const store = { write: () => (++tries < 50 ? Promise.reject(new Error('ENOSPC')) : Promise.resolve()) }
    await finished(context, writeDeadLetters(store, letters, context))
    expect(tries).toBe(50)
    expect(context.warnings).toEqual(['the dead letter cannot be written: reading stops until it can'])
  })

  test('when the engine gives up it throws: the letters are never taken for written', async () => {
    const context = new Context()
    const store = { write: () => Promise.reject(new Error('ENOSPC')) }
    const done = writeDeadLetters(store, letters, context)
    await context.clock.advance(10)
    context.stop.abort()
    await expect(done).rejects.toBeInstanceOf(GaveUp)
  })

  test('it is tried once even when the engine gave up already, as it may well work', async () => {
    const context = new Context()
    context.stop.abort()
    await writeDeadLetters({ write: () => Promise.resolve() }, letters, context)
  })
})
