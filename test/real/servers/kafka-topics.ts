import { systemClock } from '../../../platform/clock.ts'
import { hasCode } from '../../../platform/errors.ts'
import { type Log, silentLog } from '../../../platform/log.ts'
import { createMetrics, type Metrics } from '../../../platform/metrics.ts'
import type { Topics } from '../../../platform/topics/contract.ts'
import { KafkaTopics } from '../../../platform/topics/kafka/kafka.ts'
import { openKafkaJs } from '../../../platform/topics/kafka/kafkajs.ts'
import type { MemberTimes } from '../../../platform/topics/kafka/member.ts'
import { openPlatformatic } from '../../../platform/topics/kafka/platformatic.ts'
import type { OpenTransport, Security } from '../../../platform/topics/kafka/transport.ts'

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
}

/** Quicker than in operation, so that a lost member is noticed within a test. */
const TIMES: Partial<MemberTimes> = { sessionMs: 3_000, heartbeatMs: 300, rebalanceMs: 10_000, metadataMs: 500 }

export function openTopicsOn(brokers: string, client: Client, options: TopicsOptions = {}): KafkaTopics {
  const { replication = 1, times, log = silentLog, metrics = createMetrics(), security } = options
  return new KafkaTopics({
    transport: clients[client](security ?? { tls: undefined, sasl: undefined }),
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
