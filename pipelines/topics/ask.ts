/** What commands ask of the topics, whoever holds them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { HaetaeError } from '../../platform/errors.ts'
import { createLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { connectOwner } from '../../platform/topics/client.ts'
import type { GroupLag, TopicRecord, Topics } from '../../platform/topics/contract.ts'
import type { EmbeddedTopics } from '../../platform/topics/embedded.ts'
import type { PartitionState } from '../../platform/topics/embedded-log.ts'
import type { KafkaTopics } from '../../platform/topics/kafka/kafka.ts'
import { LOG_FILE } from '../../platform/topics/store.ts'
import type { Append } from '../dead-letters.ts'
import type { Settings } from '../settings.ts'
import { configuredTopics } from './configured.ts'
import { openKafkaTopics, openLog } from './open.ts'

const SLICE_BYTES_MAX = 4 * 1024 * 1024

export interface AskedTopics {
  readonly append: Append
  /** The newest record of each key; throws TOPIC_UNKNOWN when there is no such topic. */
  readCompacted(topic: string): AsyncIterable<TopicRecord>
  /** Records of a partition from `from` until before `to`, those that are still there; as many as the caller can hold. */
  recordsBetween(topic: string, partition: number, from: bigint, to: bigint): Promise<readonly TopicRecord[]>
  lag(): Promise<readonly GroupLag[]>
  partitions(): Promise<readonly Pick<PartitionState, 'topic' | 'partition' | 'start' | 'end'>[]>
  forgetGroup(group: string): Promise<void>
  moveGroup(group: string, topic: string, partition: number, offset: bigint): Promise<void>
}

/** Asks Kafka, or the process that owns the embedded log, or the log itself when no process does. */
export async function withAsked<T>(settings: Settings, work: (asked: AskedTopics) => Promise<T>): Promise<T> {
  if (settings.kafka) {
    const names = configuredTopics(settings).map(({ name }) => name)
    return withKafka(settings, kafka =>
      work({
        append: appendAll(kafka),
        readCompacted: topic => kafka.readCompacted(topic),
        recordsBetween: (...range) => kafka.recordsBetween(...range),
        lag: () => kafka.lagOf(names),
        partitions: () => kafka.rangesOf(names),
        forgetGroup: group => kafka.forgetGroup(group),
        moveGroup: (...to) => kafka.moveGroup(...to),
      }),
    )
  }
  const owner = await connectOwner(settings.topicsFolder)
  if (!owner) return withOwnLog(settings, work)
  try {
    return await work({ ...owner, partitions: async () => (await owner.describe()).partitions })
  } finally {
    owner.close()
  }
}

/** The log is opened when it is asked, and made only by an append: a question to a log that was never made is answered with nothing. */
async function withOwnLog<T>(settings: Settings, work: (asked: AskedTopics) => Promise<T>): Promise<T> {
  let opening: Promise<EmbeddedTopics> | undefined
  const opened = (): Promise<EmbeddedTopics> => (opening ??= openLog(settings, createLog('warn'), createMetrics()))
  const exists = existsSync(join(settings.topicsFolder, LOG_FILE))
  try {
    return await work({
      append: async (topic, records) => appendAll(await opened())(topic, records),
      async *readCompacted(topic) {
        if (!exists) throw new HaetaeError('TOPIC_UNKNOWN', `there is no topic ${topic}: no log was ever made`)
        yield* (await opened()).readCompacted(topic)
      },
      async recordsBetween(topic, partition, from, to) {
        const records: TopicRecord[] = []
        for (let at = from; at < to; ) {
          const slice = await (await opened()).recordsBetween(topic, partition, at, to, SLICE_BYTES_MAX)
          records.push(...slice.records)
          at = slice.next
        }
        return records
      },
      lag: async () => (exists ? (await opened()).lag() : []),
      partitions: async () => (exists ? (await opened()).describe() : []),
      forgetGroup: async group => (await opened()).forgetGroup(group),
      moveGroup: async (...to) => (await opened()).moveGroup(...to),
    })
  } finally {
    await (await opening)?.close()
  }
}

export async function withKafka<T>(settings: Settings, work: (kafka: KafkaTopics) => Promise<T>): Promise<T> {
  if (!settings.kafka) {
    throw new HaetaeError('USAGE', 'HAETAE_KAFKA_BROKERS is not set: the embedded log makes its topics by itself')
  }
  const kafka = await openKafkaTopics(settings.kafka, createLog('warn'), createMetrics())
  try {
    return await work(kafka)
  } finally {
    await kafka.close()
  }
}

function appendAll(topics: Topics): Append {
  return async (topic, records) => {
    const { retry, refused = [] } = await topics.append(topic, records)
    const [first] = refused
    if (first) throw new HaetaeError('TOPIC_OVERSIZE', `${refused.length} records are not taken: ${first.reason}`)
    if (retry.length > 0) throw new HaetaeError('TOPIC_FULL', `${retry.length} records were not stored: try again`)
  }
}

/** For a command that appends; `work` is given the way to do it. */
export function withTopics<T>(settings: Settings, work: (append: Append) => Promise<T>): Promise<T> {
  return withAsked(settings, asked => work(asked.append))
}

/** Whether any topic ever held a record. */
export function holdsRecords(settings: Settings): Promise<boolean> {
  return withAsked(settings, async asked => (await asked.partitions()).some(({ end }) => end > 0n))
}
