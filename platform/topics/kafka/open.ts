import type { Clock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import { KafkaTopics } from './kafka.ts'
import { securityOf } from './security.ts'
import type { KafkaSettings } from './settings.ts'
import type { OpenTransport } from './transport.ts'

/** The topics of the Kafka that the settings name. Only the client library that is used is loaded. Connects on first use. */
export async function openKafka(
  settings: KafkaSettings,
  parts: { readonly clock: Clock; readonly log: Log; readonly metrics: Metrics },
): Promise<KafkaTopics> {
  const open = await library(settings.client)
  const { brokers, replication } = settings
  return new KafkaTopics({ transport: open(securityOf(settings, parts.clock)), brokers, replication, ...parts })
}

async function library(client: KafkaSettings['client']): Promise<OpenTransport> {
  if (client === 'platformatic') return (await import('./platformatic.ts')).openPlatformatic
  return (await import('./kafkajs.ts')).openKafkaJs
}
