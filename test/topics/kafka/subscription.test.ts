import { afterEach, describe, expect, test } from 'vitest'
import { type Log, silentLog } from '../../../platform/log.ts'
import { createMetrics, type Metrics } from '../../../platform/metrics.ts'
import type { Position } from '../../../platform/topics/contract.ts'
import { kafkaMetrics } from '../../../platform/topics/kafka/measures.ts'
import { KafkaSubscription } from '../../../platform/topics/kafka/subscription.ts'
import { FakeClock } from '../../support/clock.ts'
import { options, valuesOf, type Watched, watch } from '../support.ts'
import { GroupBroker } from './group-broker.ts'

const TIMES = { sessionMs: 6_000, heartbeatMs: 1_500, rebalanceMs: 30_000, metadataMs: 30_000 }

interface Opened {
  readonly broker: GroupBroker
  readonly clock: FakeClock
  readonly listener: Watched
  readonly errors: string[]
  readonly metrics: Metrics
  readonly subscription: KafkaSubscription
}

const opened: Opened[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ subscription }) => subscription.close()))
})

async function begin(broker = new GroupBroker()): Promise<Opened> {
  const clock = new FakeClock()
  const listener = watch()
  const errors: string[] = []
  const log: Log = { ...silentLog, error: message => void errors.push(message) }
  const metrics = createMetrics()
  const parts = { cluster: broker, clock, log, measure: kafkaMetrics(metrics), times: TIMES }
  const subscription = new KafkaSubscription({ ...options('t'), listener }, parts)
  const all = { broker, clock, listener, errors, metrics, subscription }
  opened.push(all)
  await subscription.start()
  return all
}

const position = (partition: number, offset: bigint): Position => ({ topic: 't', partition, offset, note: undefined })
const soon = (): AbortSignal => AbortSignal.timeout(100)

describe('while the group is shared out anew', () => {
  test('nothing is read; a commit waits, and is taken in the new generation when the partition is still ours', async () => {
    const { broker, clock, listener, subscription } = await begin()
    const gate = Promise.withResolvers<void>()
    broker.gate = gate.promise
    broker.share = [0]
    broker.heartbeatCode = 27
    await clock.advance(TIMES.heartbeatMs)
    expect(broker.joins).toBe(2)
    expect(await subscription.poll(soon())).toBeUndefined()
    const [kept, gone] = [subscription.commit([position(0, 4n)]), subscription.commit([position(1, 4n)])]
    gone.catch(() => undefined)
    gate.resolve()
    await clock.advance(5_000)
    await kept
    await expect(gone).rejects.toMatchObject({ code: 'STREAM_REVOKED' })
    expect(broker.committed.get(0)).toEqual({ offset: 4n, generation: 2 })
    expect(listener.told).toEqual(['+0', '+1', '-1'])
  })

  test('what was fetched of a partition that stays is not read twice', async () => {
    const { broker, clock, subscription } = await begin()
    const first = await subscription.poll(soon())
    broker.heartbeatCode = 27
    await clock.advance(TIMES.heartbeatMs)
    const second = await subscription.poll(soon())
    expect(new Set([first!.partition, second!.partition])).toEqual(new Set([0, 1]))
    expect([valuesOf([first!]).length, valuesOf([second!]).length]).toEqual([10, 10])
    expect(await subscription.poll(soon())).toBeUndefined()
  })
})

test('positions of a share that come after the next one change nothing: what is ours now is read, and nothing else', async () => {
  const { broker, clock, listener, subscription } = await begin()
  const late = Promise.withResolvers<void>()
  broker.positionsGate = late.promise
  broker.step = 2
  broker.heartbeatCode = 27
  await clock.advance(TIMES.heartbeatMs)
  expect(broker.joins).toBe(2)
  broker.share = [0]
  broker.heartbeatCode = 27
  await clock.advance(TIMES.heartbeatMs)
  expect(broker.joins).toBe(3)
  await expect.poll(() => listener.told).toEqual(['+0', '+1', '-0', '-1', '+0'])
  late.resolve()
  await clock.advance(100)
  expect(listener.told).toEqual(['+0', '+1', '-0', '-1', '+0'])
  expect(subscription.lags().map(({ partition }) => partition)).toEqual([0])
})

describe('begins anew at the committed positions', () => {
  test('when the broker does not know the member any more', async () => {
    const { broker, clock, listener, subscription } = await begin()
    await subscription.commit([position(0, 7n)])
    broker.heartbeatCode = 25
    await clock.advance(TIMES.heartbeatMs)
    expect(listener.told).toEqual(['+0', '+1', '-0', '-1', '+0', '+1'])
    expect(listener.positions.get('t/0')).toMatchObject({ offset: 7n })
  })

  test('when there was a generation in which we took no part', async () => {
    const { broker, clock, listener } = await begin()
    broker.step = 2
    broker.heartbeatCode = 27
    await clock.advance(TIMES.heartbeatMs)
    expect(listener.told).toEqual(['+0', '+1', '-0', '-1', '+0', '+1'])
  })

  test('when a commit is answered with another generation', async () => {
    const { broker, clock, listener, subscription } = await begin()
    broker.commitCode = 22
    const late = subscription.commit([position(0, 3n)])
    late.catch(() => undefined)
    broker.step = 2
    await clock.advance(500)
    broker.commitCode = 0
    await clock.advance(5_000)
    await expect(late).rejects.toMatchObject({ code: 'STREAM_REVOKED' })
    expect(broker.committed.get(0)?.offset).toBe(0n)
    expect(listener.told).toEqual(['+0', '+1', '-0', '-1', '+0', '+1'])
  })
})

test('a process that was stopped for longer than its session gives nothing out before it has joined again', async () => {
  const { broker, clock, subscription } = await begin()
  const gate = Promise.withResolvers<void>()
  broker.gate = gate.promise
  // No timer fires in a stopped process: the clock alone goes on.
  const before = clock.monotonicMs.bind(clock)
  clock.monotonicMs = () => before() + TIMES.sessionMs
  expect(await subscription.poll(soon())).toBeUndefined()
  expect(broker.joins).toBe(2)
  gate.resolve()
  expect(await subscription.poll(soon())).toMatchObject({ topic: 't' })
})

test('what only a person can mend ends polling with a reason, and is said', async () => {
  const { broker, clock, subscription, errors } = await begin()
  const polled = subscription.poll(AbortSignal.timeout(5_000))
  polled.catch(() => undefined)
  broker.joinCode = 23
  broker.heartbeatCode = 27
  await clock.advance(TIMES.heartbeatMs)
  const reason = { code: 'TOPIC_MISMATCH', message: expect.stringContaining('another deployment') }
  await polled.catch(() => undefined)
  await expect(subscription.poll(soon())).rejects.toMatchObject(reason)
  expect(errors).toEqual([expect.stringContaining('another deployment')])
})

test('a right to read that is missing is said once, pauses, and goes on when it is given', async () => {
  const broker = new GroupBroker()
  broker.fetchCode = 29
  const { clock, subscription, errors, listener } = await begin(broker)
  await clock.advance(12_000)
  expect(errors).toEqual([expect.stringContaining('right to read')])
  expect(listener.pauses.at(-1)).toMatch(/TOPIC_AUTHORIZATION_FAILED.*check HAETAE_KAFKA_\* and the ACLs/)
  expect(broker.fetches).toBeLessThan(5)
  broker.fetchCode = 0
  await clock.advance(6_000)
  expect((await subscription.poll(soon()))?.records).toHaveLength(10)
  expect(listener.pauses.at(-1)).toBeUndefined()
})

test('a right on the group that is taken away is said as what pauses, and reading goes on when it is given back', async () => {
  const { broker, clock, subscription, listener } = await begin()
  broker.joinCode = 30
  broker.heartbeatCode = 30
  await clock.advance(TIMES.heartbeatMs)
  expect(listener.pauses.at(-1)).toMatch(/GROUP_AUTHORIZATION_FAILED/)
  expect(await subscription.poll(soon())).toBeUndefined()
  broker.joinCode = 0
  await clock.advance(10_000)
  expect(listener.pauses.at(-1)).toBeUndefined()
  expect((await subscription.poll(soon()))?.records).toHaveLength(10)
})

test('how long a group rested for a new share, and how long it took to settle what waited in it, are measured', async () => {
  const { broker, clock, metrics, subscription } = await begin()
  for (const _ of [0, 1]) await subscription.poll(soon())
  await clock.advance(4_000)
  await subscription.commit([position(0, 10n)])
  expect(await metrics.expose()).not.toMatch(/^haetae_kafka_catch_up_seconds_count\{/m)
  await clock.advance(3_000)
  await subscription.commit([position(1, 10n)])
  expect(await metrics.expose()).toMatch(/^haetae_kafka_catch_up_seconds_sum\{.*\} 7$/m)

  const gate = Promise.withResolvers<void>()
  broker.gate = gate.promise
  broker.heartbeatCode = 27
  await clock.advance(TIMES.heartbeatMs)
  await clock.advance(2_000)
  gate.resolve()
  await expect.poll(() => metrics.expose()).toMatch(/^haetae_kafka_rebalances_total\{.*\} 2$/m)
  const text = await metrics.expose()
  // From the heartbeat that said so, at 7.5 s, to the share at 10.5 s.
  expect(text).toMatch(/^haetae_kafka_rebalance_seconds_sum\{.*\} 3$/m)
  // Nothing new was shared out: there is nothing to catch up with.
  expect(text).toMatch(/^haetae_kafka_catch_up_seconds_count\{.*\} 1$/m)
})
