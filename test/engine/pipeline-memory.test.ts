import { getEventListeners } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import type { Delivery, Encoded, Event, Sink, Source } from '../../engine/contract.ts'
import { run } from '../../engine/pipeline.ts'
import { systemClock } from '../../platform/clock.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { eventOf } from '../support/deps.ts'
import { durable, start, TestSink } from '../support/engine.ts'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

async function collected(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) {
    await new Promise(resolve => setImmediate(resolve))
    gc()
  }
}

/** A source that makes what it gives and keeps nothing of it. */
function making(
  count: number,
  watch: (batch: Event[]) => void = () => undefined,
): Source & { readonly acked: () => number } {
  let [made, acks] = [0, 0]
  const ack = (): void => {
    acks++
  }
  const nack = (cause: Error): never => {
    throw cause
  }
  return {
    read(): Promise<Delivery | undefined> {
      if (made === count) return Promise.resolve(undefined)
      const batch = [eventOf(`{"n":${made++}}`)]
      watch(batch)
      return Promise.resolve({ batch, ack, nack })
    },
    close: () => Promise.resolve(),
    acked: () => acks,
  }
}

test('a delivery that waits for a promise for later keeps its ack alone: batch, events and encodings are let go', async () => {
  const refs: WeakRef<object>[] = []
  const later = Promise.withResolvers<void>()
  const source = making(20, batch => refs.push(new WeakRef(batch), new WeakRef(batch[0]!), new WeakRef(batch[0]!.raw)))
  const sink: Sink = {
    write(records: readonly Encoded[]) {
      refs.push(new WeakRef(records), new WeakRef(records[0]!), new WeakRef(records[0]!.json))
      return Promise.resolve({ ...durable, later: later.promise })
    },
    close: () => Promise.resolve(),
  }
  const running = start({ source, sinks: [{ name: 'spool', sink }], deliveriesMax: 1 })
  await running.clock.advance(1000)
  expect(refs).toHaveLength(120)
  await collected()
  const alive = refs.filter(ref => ref.deref() !== undefined)
  expect(source.acked()).toBe(0)
  expect(alive).toHaveLength(0)
  later.resolve()
  await running.clock.advance(1000)
  expect([source.acked(), running.state()]).toEqual([20, 'done'])
})

test('100,000 deliveries leave no listener and no memory behind, also through retries', async () => {
  const signals = new Set<AbortSignal>()
  const write = async (records: readonly Encoded[], call: number, signal: AbortSignal) => {
    signals.add(signal)
    if (call % 50 === 0) await systemClock.wait(0, signal)
    return call % 100 === 0 ? { retry: records.map((_, n) => n), reject: [] } : durable
  }
  let call = 0
  const sink: Sink = { write: (records, signal) => write(records, call++, signal), close: () => Promise.resolve() }
  let [early, read, late] = [0, 0, 0]
  const measure = (): void => {
    read++
    if (read !== 20_000 && read !== 100_000) return
    gc()
    const { heapUsed } = process.memoryUsage()
    if (read === 20_000) early = heapUsed
    else late = heapUsed
  }
  const source = making(100_000, measure)
  const backoff = { firstMs: 0, maxMs: 0 }
  const running = start({ source, sinks: [{ name: 'sink', sink }] }, { clock: systemClock, backoff })
  await running.done
  expect(source.acked()).toBe(100_000)
  expect(signals.size).toBe(1)
  for (const signal of signals) expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(5)
  expect(late - early).toBeLessThan(8 * 1024 * 1024)
})

test('a stop signal that outlives many pipelines collects no listeners of them', async () => {
  const stop = new AbortController()
  const plan = {
    name: 'p',
    stages: [],
    detectors: [],
    alertSinks: [],
    deliveriesMax: 2,
    residentBytesMax: 1e6,
    drainMs: 1,
  }
  const deadLetter = { write: () => Promise.resolve() }
  for (let n = 0; n < 200; n++) {
    const sinks = [{ name: 'sink', sink: new TestSink() }]
    await run(
      { ...plan, source: making(3), sinks, deadLetter },
      { log: silentLog, metrics: createMetrics(), clock: systemClock },
      stop.signal,
    )
  }
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0)
})
