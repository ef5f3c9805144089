import { systemClock } from '../platform/clock.ts'
import { HaetaeError } from '../platform/errors.ts'
import { createLog, type Log } from '../platform/log.ts'
import { createMetrics, type Metrics } from '../platform/metrics.ts'
import { connectOwner, type TopicsClient } from '../platform/topics/client.ts'
import type { GroupLag } from '../platform/topics/contract.ts'
import { type EmbeddedTopics, openEmbedded } from '../platform/topics/embedded.ts'
import type { Append } from './dead-letters.ts'
import type { Settings } from './settings.ts'

/** The topics of this process: the embedded log in the state folder. */
export function openTopics(settings: Settings, log: Log, metrics: Metrics): Promise<EmbeddedTopics> {
  const { topicsFolder: folder, topicsBytesMax: bytesMax } = settings
  return openEmbedded({ folder, bytesMax, clock: systemClock, log, metrics })
}

/** Appends through the process that owns the log, or, when none runs, as its owner for the moment. */
export async function withTopics<T>(settings: Settings, work: (append: Append) => Promise<T>): Promise<T> {
  const owner = await connectOwner(settings.topicsFolder)
  if (owner) {
    try {
      return await work((topic, records) => owner.append(topic, records))
    } finally {
      owner.close()
    }
  }
  const topics = await openTopics(settings, createLog('warn'), createMetrics())
  try {
    return await work(async (topic, records) => {
      const { retry } = await topics.append(topic, records)
      if (retry.length > 0) throw new HaetaeError('TOPIC_FULL', `${retry.length} records were not stored: try again`)
    })
  } finally {
    await topics.close()
  }
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

type AskedLog = Pick<TopicsClient, 'lag' | 'forgetGroup'>

async function withLog<T>(settings: Settings, work: (log: AskedLog) => Promise<T>): Promise<T> {
  const owner = await connectOwner(settings.topicsFolder)
  if (owner) {
    try {
      return await work(owner)
    } finally {
      owner.close()
    }
  }
  const own = await openTopics(settings, createLog('warn'), createMetrics())
  try {
    return await work(own)
  } finally {
    await own.close()
  }
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
