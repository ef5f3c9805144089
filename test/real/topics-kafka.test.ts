import { afterAll, beforeAll, expect, test } from 'vitest'
import { topicsContract } from '../topics/contract.ts'
import { numbered } from '../topics/support.ts'
import { type RealKafka, startKafka } from './servers/kafka.ts'
import { keptTopic, makingTopics, openTopicsOn } from './servers/kafka-topics.ts'

let kafka: RealKafka
beforeAll(async () => {
  kafka = await startKafka()
})
afterAll(() => kafka?.stop())

for (const client of ['kafkajs', 'platformatic'] as const) {
  topicsContract(`Kafka by ${client}`, () => Promise.resolve(makingTopics(openTopicsOn(kafka.brokers, client))))
}

test('a look at a topic gives what is there between two offsets, without a group', async () => {
  const topics = openTopicsOn(kafka.brokers, 'kafkajs')
  const config = keptTopic({ partitions: 1 })
  await topics.apply(config)
  await topics.ensure(config)
  const records = numbered(50)
  // Several batches, and the look begins and ends within one.
  await topics.append(config.name, records.slice(0, 20))
  await topics.append(config.name, records.slice(20))
  const values = async (from: bigint, to: bigint) =>
    (await topics.recordsBetween(config.name, 0, from, to)).map(({ value }) => String(value))
  const all = records.map(({ value }) => String(value))
  expect(await values(10n, 25n)).toEqual(all.slice(10, 25))
  expect(await values(0n, 1_000n)).toEqual(all)
  expect(await values(50n, 60n)).toEqual([])
  await expect(topics.recordsBetween('no-such-topic', 0, 0n, 1n)).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' })
  await topics.close()
})
