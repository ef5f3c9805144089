import { systemClock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { Metrics } from '../../platform/metrics.ts'
import { type EmbeddedTopics, openEmbedded } from '../../platform/topics/embedded.ts'
import type { KafkaTopics } from '../../platform/topics/kafka/kafka.ts'
import type { Settings } from '../settings.ts'

/** The topics of this process: Kafka when its brokers are named, else the embedded log in the state folder. */
export function openTopics(settings: Settings, log: Log, metrics: Metrics): Promise<EmbeddedTopics | KafkaTopics> {
  return settings.kafka ? openKafkaTopics(settings.kafka, log, metrics) : openLog(settings, log, metrics)
}

/** The embedded log alone, made when it is not there. */
export function openLog(settings: Settings, log: Log, metrics: Metrics): Promise<EmbeddedTopics> {
  const { topicsFolder: folder, topicsBytesMax: bytesMax } = settings
  return openEmbedded({ folder, bytesMax, clock: systemClock, log, metrics })
}

/** Loaded only where it is used: an embedded Haetae needs no Kafka client. */
export async function openKafkaTopics(
  kafka: NonNullable<Settings['kafka']>,
  log: Log,
  metrics: Metrics,
): Promise<KafkaTopics> {
  const { openKafka } = await import('../../platform/topics/kafka/open.ts')
  return openKafka(kafka, { clock: systemClock, log, metrics })
}
