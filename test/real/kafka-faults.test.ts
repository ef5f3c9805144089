import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMetrics } from '../../platform/metrics.ts'
import type { KafkaTopics } from '../../platform/topics/kafka/kafka.ts'
import { pause } from '../support/program.ts'
import { numbered, options, positionsAfter, take, valuesOf } from '../topics/support.ts'
import { type RealKafka, startKafka } from './servers/kafka.ts'
import { missingFrom, Recorder } from './servers/kafka-oracle.ts'
import { keptTopic, topicsOfTests } from './servers/kafka-topics.ts'

let kafka: RealKafka
beforeAll(async () => {
  kafka = await startKafka({ nodes: 3 })
})
afterAll(() => kafka?.stop())

const { open, topicOf } = topicsOfTests(() => kafka.brokers, { replication: 3 })

/** Appends until all is durable, as the topic sink does. */
async function appendAll(topics: KafkaTopics, topic: string, count: number, from: number): Promise<Set<string>> {
  const values = new Set<string>()
  for (let records = numbered(count, from); records.length > 0; ) {
    const { retry } = await topics.append(topic, records)
    for (const { value } of records) values.add(String(value))
    records = records.filter((_, index) => retry.includes(index))
  }
  return values
}

test('the oracle notices records that were acknowledged and never written', async () => {
  const topics = open('kafkajs')
  const topic = await topicOf(topics, 4)
  await topics.append(topic, numbered(50))
  const claimed = new Set(numbered(53).map(({ value }) => String(value)))
  expect(await missingFrom(topics, topic, claimed)).toEqual(['value-50', 'value-51', 'value-52'])
})

describe.each(['kafkajs', 'platformatic'] as const)('%s', client => {
  test('no acknowledged record is missing after a leader was killed while it was written to', async () => {
    const metrics = createMetrics()
    const topics = open(client, { metrics })
    const topic = await topicOf(topics, 4)
    const recorder = new Recorder(topics, topic)
    const writing = [1, 2, 3, 4].map(() => recorder.run())
    try {
      await pause(2_000)
      const node = kafka.nodes[client === 'kafkajs' ? 0 : 1]!
      await node.kill()
      const before = recorder.acknowledged.size
      await expect.poll(() => recorder.acknowledged.size, { timeout: 60_000 }).toBeGreaterThan(before + 2_000)
      await node.restart()
      await pause(2_000)
    } finally {
      recorder.stop()
      await Promise.all(writing)
    }
    const failed = /haetae_kafka_produce_requests_total\{[^}]*outcome="(?!durable)[A-Z_]+"\} [1-9]/
    expect(await metrics.expose()).toMatch(failed)
    expect(await missingFrom(topics, topic, recorder.acknowledged)).toEqual([])
  })

  test('a consumer goes on by itself after leader and coordinator were killed one after the other', async () => {
    const topics = open(client)
    const topic = await topicOf(topics, 3)
    const subscription = await topics.subscribe(options(topic))
    await topics.append(topic, numbered(300))
    await subscription.commit(positionsAfter(await take(subscription, 300)))
    for (const node of kafka.nodes.slice(1)) {
      await node.kill()
      const wanted = await appendAll(topics, topic, 300, 1_000 * node.id)
      while (wanted.size > 0) {
        const fetched = await take(subscription, 1)
        for (const value of valuesOf(fetched)) wanted.delete(value)
        await subscription.commit(positionsAfter(fetched)).catch(() => undefined)
      }
      await node.restart()
      await pause(3_000)
    }
    await subscription.close()
  })
})

test('a topic is made with three replicas, two of them in sync, and its plan is then empty', async () => {
  const topics = open('platformatic')
  const config = keptTopic({ partitions: 3, compacted: true })
  expect(await topics.plan(config)).toMatchObject({ action: 'create', detail: expect.stringContaining('3 replicas') })
  await topics.apply(config)
  expect(await topics.plan(config)).toEqual({ topic: config.name, action: 'none', detail: 'as wanted' })
  expect(await topics.plan({ ...config, compacted: false })).toMatchObject({ action: 'refuse' })
  expect(await topics.plan({ ...config, partitions: 5 })).toMatchObject({ action: 'add partitions' })
  await expect(topics.apply({ ...config, compacted: false })).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
})
