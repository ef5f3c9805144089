import { systemClock } from '../platform/clock.ts'
import { HaetaeError } from '../platform/errors.ts'
import { createLog, type Log } from '../platform/log.ts'
import { createMetrics, type Metrics } from '../platform/metrics.ts'
import { connectOwner } from '../platform/topics/client.ts'
import type { GroupLag, TopicConfig, Topics } from '../platform/topics/contract.ts'
import { type EmbeddedTopics, openEmbedded, type PartitionState } from '../platform/topics/embedded.ts'
import type { PlannedChange } from '../platform/topics/kafka/administration.ts'
import type { KafkaTopics } from '../platform/topics/kafka/kafka.ts'
import type { Append } from './dead-letters.ts'
import { shippedPipelines } from './files.ts'
import { writtenTopics } from './load.ts'
import { loadWithStandIns } from './offline.ts'
import type { Settings } from './settings.ts'
import { counted } from './terminal.ts'

/** The topics of this process: Kafka when its brokers are named, else the embedded log in the state folder. */
export function openTopics(settings: Settings, log: Log, metrics: Metrics): Promise<EmbeddedTopics | KafkaTopics> {
  return settings.kafka ? openKafkaTopics(settings.kafka, log, metrics) : openLog(settings, log, metrics)
}

function openLog(settings: Settings, log: Log, metrics: Metrics): Promise<EmbeddedTopics> {
  const { topicsFolder: folder, topicsBytesMax: bytesMax } = settings
  return openEmbedded({ folder, bytesMax, clock: systemClock, log, metrics })
}

/** Loaded only where it is used: an embedded Haetae needs no Kafka client. */
async function openKafkaTopics(
  kafka: NonNullable<Settings['kafka']>,
  log: Log,
  metrics: Metrics,
): Promise<KafkaTopics> {
  const { openKafka } = await import('../platform/topics/kafka/open.ts')
  return openKafka(kafka, { clock: systemClock, log, metrics })
}

/** What a command asks of the topics, whoever holds them. */
interface AskedTopics {
  readonly append: Append
  lag(): Promise<readonly GroupLag[]>
  partitions(): Promise<readonly Pick<PartitionState, 'topic' | 'partition' | 'start' | 'end'>[]>
  forgetGroup(group: string): Promise<void>
  moveGroup(group: string, topic: string, partition: number, offset: bigint): Promise<void>
}

/** Asks Kafka, or the process that owns the embedded log, or the log itself when no process does. */
async function withAsked<T>(settings: Settings, work: (asked: AskedTopics) => Promise<T>): Promise<T> {
  if (settings.kafka) {
    const names = configuredTopics(settings).map(({ name }) => name)
    return withKafka(settings, kafka =>
      work({
        append: appendAll(kafka),
        lag: () => kafka.lagOf(names),
        partitions: () => kafka.rangesOf(names),
        forgetGroup: group => kafka.forgetGroup(group),
        moveGroup: (...to) => kafka.moveGroup(...to),
      }),
    )
  }
  const owner = await connectOwner(settings.topicsFolder)
  if (owner) {
    try {
      return await work({ ...owner, partitions: async () => (await owner.describe()).partitions })
    } finally {
      owner.close()
    }
  }
  const own = await openLog(settings, createLog('warn'), createMetrics())
  try {
    return await work({
      append: appendAll(own),
      lag: () => own.lag(),
      partitions: () => Promise.resolve(own.describe()),
      forgetGroup: group => own.forgetGroup(group),
      moveGroup: (...to) => own.moveGroup(...to),
    })
  } finally {
    await own.close()
  }
}

async function withKafka<T>(settings: Settings, work: (kafka: KafkaTopics) => Promise<T>): Promise<T> {
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

/** What waits for each group. */
export function topicLags(settings: Settings): Promise<readonly GroupLag[]> {
  return withAsked(settings, asked => asked.lag())
}

/** The topics that pipelines write: of these files, or of all that are shipped. */
export function configuredTopics(
  settings: Settings,
  files: readonly string[] = shippedPipelines(),
): readonly TopicConfig[] {
  return writtenTopics(files.map(file => loadWithStandIns(file, settings).pipeline))
}

/** What makes Kafka's topics as the pipelines want them; with `apply` it is done. One result a topic, in order. */
export function changeTopics(
  settings: Settings,
  configs: readonly TopicConfig[],
  apply: boolean,
): Promise<readonly PlannedChange[]> {
  return withKafka(settings, async kafka => {
    const changes: PlannedChange[] = []
    for (const config of configs) changes.push(await (apply ? kafka.apply(config) : kafka.plan(config)))
    return changes
  })
}

/** The group no longer holds back retention, or has no positions any more. Throws TOPIC_MISMATCH while it reads, USAGE when there is none. */
export async function forgetGroup(settings: Settings, group: string): Promise<void> {
  await withAsked(settings, async asked => {
    const groups = new Set((await asked.lag()).map(each => each.group))
    if (!groups.has(group)) {
      throw new HaetaeError('USAGE', `there is no group "${group}"; there are: ${[...groups].join(', ') || 'none'}`)
    }
    await asked.forgetGroup(group)
  })
}

export interface Move {
  readonly group: string
  readonly topic: string
  /** Of the topic; undefined: all of them. */
  readonly partition: number | undefined
  readonly to: 'earliest' | 'latest' | bigint
}
export interface Moved {
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
}

/**
 * Makes a group go on elsewhere: back to what it has read, or past what it cannot. Throws USAGE when there is nothing of this
 * name or no such offset, TOPIC_MISMATCH while the group reads.
 */
export function moveGroup(settings: Settings, { group, topic, partition, to }: Move): Promise<readonly Moved[]> {
  return withAsked(settings, async log => {
    const lags = await log.lag()
    const reads = lags.filter(each => each.group === group && each.topic === topic)
    const chosen = reads.filter(each => partition === undefined || each.partition === partition)
    if (chosen.length === 0) {
      const known = [...new Set(lags.map(each => `${each.group} ${each.topic}`))].join(', ') || 'none'
      const what = partition === undefined ? topic : `partition ${partition} of ${topic}`
      throw new HaetaeError('USAGE', `there is no group "${group}" that reads ${what}; groups and topics are: ${known}`)
    }
    if (typeof to === 'bigint' && chosen.length > 1) {
      throw new HaetaeError(
        'USAGE',
        `an offset is one of a partition, and ${topic} has ${chosen.length}: say --partition`,
      )
    }
    const states = (await log.partitions()).filter(each => each.topic === topic)
    const moves = chosen.map(({ partition: index, committed }): Moved => {
      const { start, end } = states.find(each => each.partition === index)!
      if (typeof to === 'bigint' && (to < start || to > end)) {
        throw new HaetaeError(
          'USAGE',
          `${topic}/${index} holds the offsets from ${start} to ${end}: ${to} is none of them`,
        )
      }
      return { partition: index, from: committed, to: to === 'earliest' ? start : to === 'latest' ? end : to }
    })
    for (const move of moves) await log.moveGroup(group, topic, move.partition, move.to)
    return moves
  })
}

/** Where the topics are and how they stand, for people; undefined when no process owns the embedded log. Throws when Kafka does not answer. */
export async function topicsOwner(settings: Settings): Promise<string | undefined> {
  if (settings.kafka) return withKafka(settings, kafka => kafkaStanding(settings, kafka))
  const owner = await connectOwner(settings.topicsFolder)
  if (!owner) return undefined
  try {
    const { pid, full, partitions } = await owner.describe()
    const bytes = partitions.reduce((sum, partition) => sum + partition.bytes, 0)
    const waiting = counted(waitingOf(await owner.lag()), 'record')
    return `process ${pid} owns the log: ${Math.round(bytes / 1024 ** 2)} MiB${full ? ', FULL' : ''}, ${waiting} waiting`
  } finally {
    owner.close()
  }
}

async function kafkaStanding(settings: Settings, kafka: KafkaTopics): Promise<string> {
  const plans = await Promise.all(configuredTopics(settings).map(config => kafka.plan(config)))
  const open = plans.filter(({ action }) => action !== 'none').map(({ topic, action }) => `${topic}: ${action}`)
  const there = plans.filter(({ action }) => action !== 'create').map(({ topic }) => topic)
  const waiting = counted(waitingOf(await kafka.lagOf(there)), 'record')
  const todo = open.length === 0 ? '' : `; haetae topics apply would do: ${open.join(', ')}`
  return `Kafka answers: ${waiting} waiting${todo}`
}

function waitingOf(lags: readonly GroupLag[]): number {
  return lags.reduce((sum, { committed, end }) => sum + Number(end - committed), 0)
}
