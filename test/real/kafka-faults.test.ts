import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Log, silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { FetchedRecord, TopicConfig } from '../../platform/topics/contract.ts'
import type { KafkaTopics } from '../../platform/topics/kafka/kafka.ts'
import { numbered, options, positionsAfter, recordOf, take, topicConfig, valuesOf, watch } from '../topics/support.ts'
import { type RealKafka, startKafka } from './servers/kafka.ts'
import { missingFrom, Recorder } from './servers/kafka-oracle.ts'
import { type Client, openTopicsOn } from './servers/kafka-topics.ts'

let kafka: RealKafka
beforeAll(async () => {
  kafka = await startKafka({ nodes: 3 })
})
afterAll(() => kafka?.stop())

const opened: KafkaTopics[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map(topics => topics.close()))
})

function open(client: Client, given: Parameters<typeof openTopicsOn>[2] = {}): KafkaTopics {
  const topics = openTopicsOn(kafka.brokers, client, { replication: 3, ...given })
  opened.push(topics)
  return topics
}

/** Kept for ever: the records of these tests are months old. */
const kept = (overrides: Partial<TopicConfig>): TopicConfig =>
  topicConfig({ retention: { ageMsMax: 1e12, bytesMax: 1e12 }, ...overrides })

async function topicOf(topics: KafkaTopics, partitions: number): Promise<string> {
  const config = kept({ partitions })
  await topics.apply(config)
  return config.name
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

interface Said {
  readonly log: Log
  readonly errors: [string, Readonly<Record<string, unknown>>][]
}

function listeningLog(): Said {
  const errors: Said['errors'] = []
  const log: Log = { ...silentLog, error: (message, fields = {}) => void errors.push([message, fields]) }
  return { log, errors }
}

const tool = (name: string, ...args: readonly string[]): Promise<string> =>
  kafka.tool(name, '--bootstrap-server', kafka.brokers, ...args)

/** As retention does, but now. */
async function deleteRecords(topic: string, partition: number, offset: number): Promise<void> {
  const file = join(mkdtempSync(join(tmpdir(), 'haetae-delete-')), 'offsets.json')
  writeFileSync(file, JSON.stringify({ version: 1, partitions: [{ topic, partition, offset }] }))
  await tool('org.apache.kafka.tools.DeleteRecordsCommand', '--offset-json-file', file)
}

/** The producer of kafkajs as its documentation shows it: what another program writes. */
async function writeAsOthers(topic: string, messages: readonly object[], compression = 0): Promise<void> {
  const { Kafka, logLevel } = createRequire(import.meta.url)('kafkajs')
  const producer = new Kafka({ brokers: kafka.brokers.split(','), logLevel: logLevel.NOTHING }).producer()
  await producer.connect()
  await producer.send({ topic, messages, compression })
  await producer.disconnect()
}

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
