import type { TopicConfig } from '../topics/contract.ts'

const DAY_MS = 24 * 3_600_000
const GIB = 1024 ** 3

/** The topics of the response, each with one partition: its one consumer owns what it is about. */
export function responseTopic(name: string, compacted: boolean): TopicConfig {
  return { name, partitions: 1, compacted, retention: { ageMsMax: (compacted ? 7 : 30) * DAY_MS, bytesMax: GIB } }
}
