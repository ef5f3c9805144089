import { systemClock } from '../platform/clock.ts'
import { HaetaeError } from '../platform/errors.ts'
import { createLog, type Log } from '../platform/log.ts'
import { createMetrics, type Metrics } from '../platform/metrics.ts'
import { connectOwner } from '../platform/topics/client.ts'
import type { Topics } from '../platform/topics/contract.ts'
import { openEmbedded } from '../platform/topics/embedded.ts'
import type { Append } from './dead-letters.ts'
import type { Settings } from './settings.ts'

/** The topics of this process: the embedded log in the state folder. */
export function openTopics(settings: Settings, log: Log, metrics: Metrics): Promise<Topics> {
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
