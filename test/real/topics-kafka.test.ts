import { afterAll, beforeAll } from 'vitest'
import { topicsContract } from '../topics/contract.ts'
import { type RealKafka, startKafka } from './servers/kafka.ts'
import { makingTopics, openTopicsOn } from './servers/kafka-topics.ts'

let kafka: RealKafka
beforeAll(async () => {
  kafka = await startKafka()
})
afterAll(() => kafka?.stop())

for (const client of ['kafkajs', 'platformatic'] as const) {
  topicsContract(`Kafka by ${client}`, () => Promise.resolve(makingTopics(openTopicsOn(kafka.brokers, client))))
}
