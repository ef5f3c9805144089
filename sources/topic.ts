import { join } from 'node:path'
import { z } from 'zod'
import { BATCH_BYTES_MAX, BATCH_EVENTS_MAX, type Deps, defineSource, kinds, type Source } from '../engine/contract.ts'
import type { TopicConfig } from '../platform/topics/contract.ts'
import { TopicSource } from './topic/consume.ts'
import { PoisonGuard } from './topic/poison.ts'

const topicName = z.string().min(1).max(249)

const config = z.strictObject({
  topic: topicName.describe('Made by the pipeline that writes to it'),
  kind: z.enum(kinds).describe('What the records of the topic are'),
  also: z
    .array(z.strictObject({ topic: topicName, kind: z.enum(kinds) }))
    .max(16)
    .default([])
    .describe('Further topics that the same group reads'),
  group: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,249}$/)
    .optional()
    .describe("The consumer group; the pipeline's name when left out"),
  from: z.enum(['earliest', 'latest']).default('earliest').describe('Where a group without a position begins'),
  commitMs: z.int().min(10).max(60_000).default(1_000).describe('How often the position is stored'),
  state: topicName
    .optional()
    .describe('Compacted topic for what detectors remember of each partition; left out, that ends with the process'),
  snapshotMs: z.int().min(100).max(600_000).default(10_000).describe('How often what detectors remember is stored'),
  deathsMax: z
    .int()
    .min(3)
    .max(1_000)
    .default(3)
    .describe(
      'Processes that die with the same records in the stages before the record that kills them is dead-lettered',
    ),
  recordsMax: z.int().min(1).max(BATCH_EVENTS_MAX).default(BATCH_EVENTS_MAX).describe('Of one batch'),
  bytesMax: z.int().min(1024).max(BATCH_BYTES_MAX).default(BATCH_BYTES_MAX).describe('Of one batch, as received'),
})

export const topic = defineSource({
  type: 'topic',
  summary: 'Reads a topic as one member of a consumer group; stores its position once everything before it is settled.',
  config,
  example: `topic: events.waf
kind: waf
also: [{ topic: events.falco, kind: falco }]
group: waf
from: earliest
commitMs: 1000
state: detect.state
snapshotMs: 10000
deathsMax: 3
recordsMax: 500
bytesMax: 1048576
`,
  topicsWritten: ({ state }) => (state === undefined ? [] : [stateTopic(state)]),
  open: openTopicSource,
})

/** Snapshots are read whole by whoever takes a partition over, so they are in few places. */
function stateTopic(name: string): TopicConfig {
  return { name, partitions: 4, compacted: true, retention: { ageMsMax: 7 * 86_400_000, bytesMax: 10 * 1024 ** 3 } }
}

/** Throws TOPIC_UNKNOWN while nobody has made the topic. */
async function openTopicSource(given: z.output<typeof config>, deps: Deps): Promise<Source> {
  const { topic: name, kind, also, deathsMax, state, ...options } = given
  const group = given.group ?? deps.pipeline
  const topics = [{ topic: name, kind }, ...also].map(each => {
    const guard = new PoisonGuard(join(deps.stateFolder, 'poison', `${group}-${each.topic}`), deathsMax, deps.log)
    return { ...each, guard }
  })
  const source = new TopicSource({ ...options, state, group, topics }, deps)
  const log = await deps.topics()
  if (state !== undefined) await log.ensure(stateTopic(state))
  await source.start(log)
  return source
}
