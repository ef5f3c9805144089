import { createRequire } from 'node:module'
import { zstdDecompressSync } from 'node:zlib'
import { afterEach } from 'vitest'
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
const clients: Readonly<Record<'kafkajs' | 'platformatic', OpenTransport>> = {
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

/** What tests on a cluster open, until the end of each test. Call it beside the hooks of the file. */
export function topicsOfTests(brokers: () => string, given: TopicsOptions = {}) {
  const opened: KafkaTopics[] = []
  afterEach(async () => {
    await Promise.all(opened.splice(0).map(topics => topics.close()))
  })
  return {
    open(client: Client, options: TopicsOptions = {}): KafkaTopics {
      const topics = openTopicsOn(brokers(), client, { ...given, ...options })
      opened.push(topics)
      return topics
    },
    /** Name of a new topic. */
    async topicOf(topics: KafkaTopics, partitions: number): Promise<string> {
      const config = keptTopic({ partitions })
      await topics.apply(config)
      return config.name
    },
  }
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
    readCompacted: (topic, wants) => topics.readCompacted(topic, wants),
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

/** kafkajs as its documentation shows it: what other programs do to our topics. Speaks zstd, too. */
export async function asOthers<T>(kafka: RealKafka, work: (client: OtherClient) => Promise<T>): Promise<T> {
  const { CompressionCodecs, Kafka, Partitioners, logLevel } = createRequire(import.meta.url)('kafkajs')
  CompressionCodecs[4] = () => ({ decompress: (bytes: Buffer) => Promise.resolve(zstdDecompressSync(bytes)) })
  const client = new Kafka({ brokers: kafka.brokers.split(','), logLevel: logLevel.NOTHING })
  const admin = client.admin()
  const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await Promise.all([admin.connect(), producer.connect()])
  try {
    return await work({ admin, producer, consumer: group => client.consumer({ groupId: group }) })
  } finally {
    await Promise.all([admin.disconnect(), producer.disconnect()])
  }
}

interface OtherClient {
  readonly admin: {
    deleteTopics(given: { readonly topics: readonly string[] }): Promise<void>
    fetchTopicOffsets(topic: string): Promise<unknown>
    /** As retention does, but now. Wants to have looked at the topic before. */
    deleteTopicRecords(given: { readonly topic: string; readonly partitions: readonly object[] }): Promise<void>
    alterConfigs(given: { readonly resources: readonly object[] }): Promise<unknown>
  }
  readonly producer: {
    send(given: {
      readonly topic: string
      readonly messages: readonly object[]
      readonly compression?: number
    }): Promise<unknown>
  }
  consumer(group: string): OtherConsumer
}

interface OtherConsumer {
  subscribe(given: { readonly topics: readonly string[]; readonly fromBeginning: boolean }): Promise<void>
  run(given: { readonly eachMessage: (given: { readonly message: OtherMessage }) => Promise<void> }): Promise<void>
  disconnect(): Promise<void>
}

interface OtherMessage {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly timestamp: string
  readonly headers: Readonly<Record<string, Buffer>>
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
          get open() {
            return channel.open
          },
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
