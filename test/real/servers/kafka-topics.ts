import { mkdtempSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../platform/clock.ts'
import { hasCode } from '../../../platform/errors.ts'
import { type Log, silentLog } from '../../../platform/log.ts'
import { createMetrics, type Metrics } from '../../../platform/metrics.ts'
import type { TopicConfig, Topics } from '../../../platform/topics/contract.ts'
import { KafkaTopics } from '../../../platform/topics/kafka/kafka.ts'
import { openKafkaJs } from '../../../platform/topics/kafka/kafkajs.ts'
import type { MemberTimes } from '../../../platform/topics/kafka/member.ts'
import { openPlatformatic } from '../../../platform/topics/kafka/platformatic.ts'
import type { OpenTransport, Security, Transport } from '../../../platform/topics/kafka/transport.ts'
import { topicConfig } from '../../topics/support.ts'
import type { RealKafka } from './kafka.ts'

/** Every client library, by the name that HAETAE_KAFKA_CLIENT takes. */
export const clients: Readonly<Record<'kafkajs' | 'platformatic', OpenTransport>> = {
  kafkajs: openKafkaJs,
  platformatic: openPlatformatic,
}
export type Client = keyof typeof clients

interface TopicsOptions {
  readonly replication?: number
  readonly times?: Partial<MemberTimes>
  readonly log?: Log
  readonly metrics?: Metrics
  readonly security?: Security
  /** Between us and the client library. */
  readonly wrap?: (transport: Transport) => Transport
}

/** Quicker than in operation, so that a lost member is noticed within a test. */
const TIMES: Partial<MemberTimes> = { sessionMs: 3_000, heartbeatMs: 300, rebalanceMs: 10_000, metadataMs: 500 }

export function openTopicsOn(brokers: string, client: Client, options: TopicsOptions = {}): KafkaTopics {
  const { replication = 1, times, log = silentLog, metrics = createMetrics(), security, wrap } = options
  const transport = clients[client](security ?? { tls: undefined, sasl: undefined })
  return new KafkaTopics({
    transport: wrap ? wrap(transport) : transport,
    brokers: brokers.split(',').map(broker => {
      const [host, port] = broker.split(':')
      return { host: host!, port: Number(port) }
    }),
    clock: systemClock,
    log,
    metrics,
    replication,
    times: { ...TIMES, ...times },
    upkeepMs: 500,
  })
}

/** For the contract, which makes its topics by ensure(): Kafka's never makes any. */
export function makingTopics(topics: KafkaTopics): Topics {
  return {
    async ensure(config) {
      try {
        await topics.ensure(config)
      } catch (error) {
        if (!hasCode(error, 'TOPIC_UNKNOWN')) throw error
        await topics.apply(config)
        await topics.ensure(config)
      }
    },
    append: (topic, records) => topics.append(topic, records),
    subscribe: options => topics.subscribe(options),
    readCompacted: topic => topics.readCompacted(topic),
    lag: () => topics.lag(),
    close: () => topics.close(),
  }
}

/** Kept for ever: the records of these tests are months old. */
export function keptTopic(overrides: Partial<TopicConfig>): TopicConfig {
  return topicConfig({ retention: { ageMsMax: 1e12, bytesMax: 1e12 }, ...overrides })
}

/** What is logged as an error, with its fields. */
export function listeningLog(): { readonly log: Log; readonly errors: [string, Readonly<Record<string, unknown>>][] } {
  const errors: [string, Readonly<Record<string, unknown>>][] = []
  return { log: { ...silentLog, error: (message, fields = {}) => void errors.push([message, fields]) }, errors }
}

/** As retention does, but now. */
export async function deleteRecords(kafka: RealKafka, topic: string, partition: number, offset: number): Promise<void> {
  const file = join(mkdtempSync(join(tmpdir(), 'haetae-delete-')), 'offsets.json')
  writeFileSync(file, JSON.stringify({ version: 1, partitions: [{ topic, partition, offset }] }))
  const given = ['--bootstrap-server', kafka.brokers, '--offset-json-file', file]
  await kafka.tool('org.apache.kafka.tools.DeleteRecordsCommand', ...given)
}

/** The producer of kafkajs as its documentation shows it: what another program writes. */
export async function writeAsOthers(
  kafka: RealKafka,
  topic: string,
  messages: readonly object[],
  compression = 0,
): Promise<void> {
  const { Kafka, Partitioners, logLevel } = createRequire(import.meta.url)('kafkajs')
  const client = new Kafka({ brokers: kafka.brokers.split(','), logLevel: logLevel.NOTHING })
  const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  await producer.send({ topic, messages, compression })
  await producer.disconnect()
}

/** While it holds, nothing that is asked reaches a broker, as when a process is stopped or its network is gone. */
export function holdable(): { readonly wrap: (transport: Transport) => Transport; hold(): void; release(): void } {
  let held = Promise.resolve()
  let open = (): void => undefined
  return {
    wrap: transport => ({
      async connect(address) {
        const channel = await transport.connect(address)
        return {
          close: () => channel.close(),
          async request(request) {
            await held
            return channel.request(request)
          },
        }
      },
    }),
    hold() {
      const gate = Promise.withResolvers<void>()
      held = gate.promise
      open = gate.resolve
    },
    release: () => open(),
  }
}
