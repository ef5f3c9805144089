import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMetrics } from '../../platform/metrics.ts'
import { pause } from '../support/program.ts'
import { numbered, options, positionsAfter, recordOf, take, topicConfig, valuesOf, watch } from '../topics/support.ts'
import { type RealKafka, startKafka } from './servers/kafka.ts'
import { asOthers, holdable, keptTopic, listeningLog, topicsOfTests } from './servers/kafka-topics.ts'

let kafka: RealKafka
beforeAll(async () => {
  kafka = await startKafka()
})
afterAll(() => kafka?.stop())

const { open, topicOf } = topicsOfTests(() => kafka.brokers)

describe.each(['kafkajs', 'platformatic'] as const)('%s', client => {
  test('a commit many sessions after the fetch works: a member keeps its place without polling', async () => {
    const topics = open(client, { times: { sessionMs: 1_500, heartbeatMs: 300 } })
    const topic = await topicOf(topics, 1)
    await topics.append(topic, numbered(10))
    const listener = watch()
    const { group, ...rest } = options(topic, { listener })
    const subscription = await topics.subscribe({ group, ...rest })
    const read = await take(subscription, 10)
    await pause(10_000)
    await subscription.commit(positionsAfter(read, 'late'))
    expect(listener.told).toEqual(['+0'])
    await subscription.close()
    const again = watch()
    const second = await topics.subscribe({ group, ...rest, listener: again })
    expect(again.positions.get(`${topic}/0`)).toMatchObject({ offset: 10n, note: 'late' })
    await second.close()
  })

  test('a member that was cut off longer than its session gives nothing more and cannot commit; the other has the partition', async () => {
    const held = holdable()
    const lost = open(client, { wrap: held.wrap })
    const topics = open(client)
    const topic = await topicOf(topics, 1)
    await topics.append(topic, numbered(20))
    const [a, b] = [watch(), watch()]
    const { group, ...rest } = options(topic, { recordsMax: 5 })
    const first = await lost.subscribe({ group, ...rest, listener: a })
    const read = await take(first, 5)
    held.hold()
    const second = await topics.subscribe({ group, ...rest, listener: b })
    expect(b.positions.get(`${topic}/0`)).toMatchObject({ offset: 0n })
    await second.commit(positionsAfter(await take(second, 20), 'from the second'))
    expect(await first.poll(AbortSignal.timeout(500))).toBeUndefined()
    const late = first.commit(positionsAfter(read, 'from the first'))
    late.catch(() => undefined)
    held.release()
    await expect(late).rejects.toMatchObject({ code: expect.stringMatching(/^(STREAM_REVOKED|TOPIC_UNREACHABLE)$/) })
    await second.close()
    const last = watch()
    await first.close()
    const third = await topics.subscribe({ group, ...rest, listener: last })
    expect(last.positions.get(`${topic}/0`)).toMatchObject({ offset: 20n, note: 'from the second' })
    expect(a.told[1]).toBe('-0')
    await third.close()
  })

  test('partitions that stay with a member go on where they were when another joins', async () => {
    const topics = open(client)
    const topic = await topicOf(topics, 2)
    await topics.append(topic, numbered(40))
    const [a, b] = [watch(), watch()]
    const { group, ...rest } = options(topic)
    const first = await topics.subscribe({ group, ...rest, listener: a })
    const read = await take(first, 40)
    const second = await topics.subscribe({ group, ...rest, listener: b })
    await expect.poll(() => a.told.length, { timeout: 20_000 }).toBe(3)
    const [stays] = a.positions.values()
    expect(a.told).toEqual(['+0', '+1', `-${1 - stays!.partition}`])
    // Nothing of it is read again, and what was read before the others came is committed now.
    expect(await first.poll(AbortSignal.timeout(1_000))).toBeUndefined()
    await first.commit(positionsAfter(read).filter(({ partition }) => partition === stays!.partition))
    await Promise.all([first.close(), second.close()])
  })

  test('records that retention took are counted and said with their range, and reading goes on', async () => {
    const { log, errors } = listeningLog()
    const metrics = createMetrics()
    const topics = open(client, { log, metrics })
    const topic = await topicOf(topics, 1)
    // Two batches: what is deleted ends within the second.
    await topics.append(topic, numbered(50))
    await topics.append(topic, numbered(50, 50))
    const { group, ...rest } = options(topic, { recordsMax: 20 })
    const first = await topics.subscribe({ group, ...rest })
    await first.commit(positionsAfter(await take(first, 20)))
    await first.close()
    const partitions = [{ partition: 0, offset: '70' }]
    await asOthers(kafka, async ({ admin }) => {
      await admin.fetchTopicOffsets(topic)
      await admin.deleteTopicRecords({ topic, partitions })
    })
    const second = await topics.subscribe({ group, ...rest })
    expect(valuesOf(await take(second, 30))).toEqual(numbered(30, 70).map(({ value }) => String(value)))
    expect(errors).toHaveLength(1)
    expect(errors[0]![1]).toEqual({ group, stream: `${topic}/0`, lostFrom: '20', lostTo: '69', records: '50' })
    expect(await metrics.expose()).toContain(`haetae_kafka_lost_records_total{group="${group}",topic="${topic}"} 50`)
    await second.close()
  })

  test('a partition that is added while running is read from its start, and no other is interrupted', async () => {
    const topics = open(client)
    const config = keptTopic({ partitions: 1 })
    const topic = config.name
    await topics.apply(config)
    const listener = watch()
    const subscription = await topics.subscribe(options(topic, { listener, from: 'latest' }))
    await open(client).apply({ ...config, partitions: 3 })
    await open(client).append(topic, numbered(60))
    const seen = new Set<number>()
    for (const { partition } of await take(subscription, 60)) seen.add(partition)
    expect(seen).toEqual(new Set([0, 1, 2]))
    expect(listener.told).toEqual(['+0', '+1', '+2'])
    await subscription.close()
  })

  test('a record of a newer version is refused with a reason; its neighbours and records of other programs are read', async () => {
    const topics = open(client)
    const topic = await topicOf(topics, 1)
    await topics.append(topic, [recordOf('a', 'ours')])
    const newer = { key: 'a', value: 'newer', headers: { haetae: '2' } }
    await asOthers(kafka, async ({ producer }) => {
      await producer.send({ topic, messages: [newer, { key: 'a', value: 'plain' }] })
      await producer.send({ topic, messages: [{ key: 'a', value: 'zipped' }], compression: 1 })
    })
    await topics.append(topic, [recordOf('a', 'last')])
    const subscription = await topics.subscribe(options(topic))
    const records = (await take(subscription, 5)).flatMap(fetched => fetched.records)
    expect(records.map(({ value, refused }) => [String(value), refused])).toEqual([
      ['ours', undefined],
      ['newer', 'newer_version: the record has format 2'],
      ['plain', undefined],
      ['zipped', undefined],
      ['last', undefined],
    ])
    await subscription.close()
  })

  test('a batch over the limit of the topic is split, and the one record over it is refused by its position', async () => {
    const topics = open(client)
    const topic = await topicOf(topics, 1)
    const limit = { type: 2, name: topic, configEntries: [{ name: 'max.message.bytes', value: '20000' }] }
    await asOthers(kafka, ({ admin }) => admin.alterConfigs({ resources: [limit] }))
    const random = (bytes: number) => ({ key: 'k', value: randomBytes(bytes), timeMs: 1_790_000_000_000 })
    const records = [...Array.from({ length: 30 }, () => random(4_000)), random(40_000), random(4_000)]
    const { retry, refused = [] } = await topics.append(topic, records)
    expect(retry).toEqual([])
    expect(refused).toEqual([
      { index: 30, reason: expect.stringMatching(/^oversize: 40\d{3} bytes are over the limit/) },
    ])
    const subscription = await topics.subscribe(options(topic))
    const got = (await take(subscription, 31)).flatMap(fetched => fetched.records)
    expect(got.map(({ value }) => value)).toEqual(records.filter((_, index) => index !== 30).map(({ value }) => value))
    await subscription.close()
  })

  test('two deployments with one group and other pipelines or topics: the second is refused, the first goes on', async () => {
    const topics = open(client)
    const [topic, other] = [await topicOf(topics, 2), await topicOf(topics, 2)]
    const { group, ...rest } = options(topic)
    const first = await topics.subscribe({ group, ...rest, reader: 'waf' })
    const conflict = { code: 'TOPIC_MISMATCH', message: expect.stringContaining('another deployment') }
    await expect(topics.subscribe({ group, ...rest, reader: 'waf-lake' })).rejects.toMatchObject(conflict)
    await expect(topics.subscribe({ ...options(other), group, reader: 'waf' })).rejects.toMatchObject(conflict)
    await topics.append(topic, numbered(20))
    await first.commit(positionsAfter(await take(first, 20)))
    await first.close()
  })

  test('a topic that vanishes ends the consumer with a reason', async () => {
    const topics = open(client)
    const topic = await topicOf(topics, 1)
    const subscription = await topics.subscribe(options(topic))
    await asOthers(kafka, ({ admin }) => admin.deleteTopics({ topics: [topic] }))
    const polled = subscription.poll(AbortSignal.timeout(60_000))
    await expect(polled).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN', message: expect.stringContaining(topic) })
    await subscription.close()
  })

  test('a group is forgotten once nobody reads in it, and begins anew', async () => {
    const topics = open(client)
    const topic = await topicOf(topics, 1)
    const { group, ...rest } = options(topic)
    const subscription = await topics.subscribe({ group, ...rest })
    await expect(topics.forgetGroup(group)).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
    await subscription.close()
    await topics.forgetGroup(group)
    expect((await topics.lag()).filter(lag => lag.group === group)).toEqual([])
  })
})

test('nothing is made by accident: by writing to, reading or ensuring a topic that is not there', async () => {
  const topics = open('kafkajs')
  const config = topicConfig()
  const unknown = { code: 'TOPIC_UNKNOWN', message: expect.stringContaining('haetae topics apply') }
  await expect(topics.ensure(config)).rejects.toMatchObject(unknown)
  await expect(topics.append(config.name, numbered(1))).rejects.toMatchObject(unknown)
  await expect(topics.subscribe(options(config.name))).rejects.toMatchObject(unknown)
  expect((await topics.plan(config)).action).toBe('create')
})

test('another consumer reads what is written: key, value, time and headers', async () => {
  const topics = open('platformatic')
  const topic = await topicOf(topics, 1)
  await topics.append(topic, [{ ...recordOf('203.0.113.7', 'one'), replayed: true }, recordOf(undefined, null)])
  const seen: unknown[] = []
  await asOthers(kafka, async client => {
    const consumer = client.consumer('others')
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({
      eachMessage: ({ message: { key, value, timestamp, headers } }) => {
        const texts = Object.entries(headers).map(([name, text]) => `${name}=${String(text)}`)
        seen.push([key === null ? null : String(key), value === null ? null : String(value), timestamp, ...texts])
        return Promise.resolve()
      },
    })
    await expect.poll(() => seen.length, { timeout: 30_000 }).toBe(2)
    await consumer.disconnect()
  })
  expect(seen).toEqual([
    ['203.0.113.7', 'one', '1790000000000', 'haetae=1', 'haetae-replayed=1'],
    [null, null, '1790000000000', 'haetae=1'],
  ])
})
