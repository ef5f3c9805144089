import { systemClock } from '../platform/clock.ts'
import { HaetaeError } from '../platform/errors.ts'
import { createLog, type Log } from '../platform/log.ts'
import { createMetrics, type Metrics } from '../platform/metrics.ts'
import { connectOwner } from '../platform/topics/client.ts'
import type { GroupLag } from '../platform/topics/contract.ts'
import { type EmbeddedTopics, openEmbedded, type PartitionState } from '../platform/topics/embedded.ts'
import type { Append } from './dead-letters.ts'
import type { Settings } from './settings.ts'

/** The topics of this process: the embedded log in the state folder. */
export function openTopics(settings: Settings, log: Log, metrics: Metrics): Promise<EmbeddedTopics> {
  const { topicsFolder: folder, topicsBytesMax: bytesMax } = settings
  return openEmbedded({ folder, bytesMax, clock: systemClock, log, metrics })
}

/** What a command asks of the log, whoever holds it. */
interface AskedLog {
  readonly append: Append
  lag(): Promise<readonly GroupLag[]>
  partitions(): Promise<readonly PartitionState[]>
  forgetGroup(group: string): Promise<void>
  moveGroup(group: string, topic: string, partition: number, offset: bigint): Promise<void>
}

/** Asks through the process that owns the log, or, when none runs, as its owner for the moment. */
async function withLog<T>(settings: Settings, work: (log: AskedLog) => Promise<T>): Promise<T> {
  const owner = await connectOwner(settings.topicsFolder)
  if (owner) {
    try {
      return await work({ ...owner, partitions: async () => (await owner.describe()).partitions })
    } finally {
      owner.close()
    }
  }
  const own = await openTopics(settings, createLog('warn'), createMetrics())
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

function appendAll(topics: EmbeddedTopics): Append {
  return async (topic, records) => {
    const { retry } = await topics.append(topic, records)
    if (retry.length > 0) throw new HaetaeError('TOPIC_FULL', `${retry.length} records were not stored: try again`)
  }
}

/** For a command that appends; `work` is given the way to do it. */
export function withTopics<T>(settings: Settings, work: (append: Append) => Promise<T>): Promise<T> {
  return withLog(settings, log => work(log.append))
}

/** What waits for each group, asked of the owner, or of the log itself when nobody owns it. */
export function topicLags(settings: Settings): Promise<readonly GroupLag[]> {
  return withLog(settings, log => log.lag())
}

/** The group no longer holds back retention. Throws TOPIC_MISMATCH while it reads, USAGE when there is none. */
export async function forgetGroup(settings: Settings, group: string): Promise<void> {
  await withLog(settings, async log => {
    const groups = new Set((await log.lag()).map(each => each.group))
    if (!groups.has(group)) {
      throw new HaetaeError('USAGE', `there is no group "${group}"; there are: ${[...groups].join(', ') || 'none'}`)
    }
    await log.forgetGroup(group)
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
  return withLog(settings, async log => {
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

/** Who owns the log and how it stands, for people; undefined when nobody does. */
export async function topicsOwner(settings: Settings): Promise<string | undefined> {
  const owner = await connectOwner(settings.topicsFolder)
  if (!owner) return undefined
  try {
    const { pid, full, partitions } = await owner.describe()
    const bytes = partitions.reduce((sum, partition) => sum + partition.bytes, 0)
    const waiting = (await owner.lag()).reduce((sum, { committed, end }) => sum + Number(end - committed), 0)
    return `process ${pid} owns the log: ${Math.round(bytes / 1024 ** 2)} MiB${full ? ', FULL' : ''}, ${waiting} records wait`
  } finally {
    owner.close()
  }
}
