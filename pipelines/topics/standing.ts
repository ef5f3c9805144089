/** What the topics are, and what they should be. */
import { connectOwner } from '../../platform/topics/client.ts'
import type { GroupLag, TopicConfig } from '../../platform/topics/contract.ts'
import type { PlannedChange } from '../../platform/topics/kafka/administration.ts'
import type { KafkaTopics } from '../../platform/topics/kafka/kafka.ts'
import type { Settings } from '../settings.ts'
import { counted } from '../terminal.ts'
import { withKafka } from './ask.ts'
import { configuredTopics } from './configured.ts'

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

/** Where the topics are and how they stand, for people. */
export interface Standing {
  readonly detail: string
  /** Nothing more is taken until somebody makes room. */
  readonly isFull: boolean
}

/** undefined when no process owns the embedded log. Throws when Kafka does not answer. */
export async function topicsStanding(settings: Settings): Promise<Standing | undefined> {
  if (settings.kafka) return withKafka(settings, kafka => kafkaStanding(settings, kafka))
  const owner = await connectOwner(settings.topicsFolder)
  if (!owner) return undefined
  try {
    const { pid, full, partitions } = await owner.describe()
    const bytes = partitions.reduce((sum, partition) => sum + partition.bytes, 0)
    const waiting = counted(waitingOf(await owner.lag()), 'record')
    const detail = `process ${pid} owns the log: ${Math.round(bytes / 1024 ** 2)} MiB${full ? ', FULL' : ''}, ${waiting} waiting`
    return { detail, isFull: full }
  } finally {
    owner.close()
  }
}

async function kafkaStanding(settings: Settings, kafka: KafkaTopics): Promise<Standing> {
  const plans = await Promise.all(configuredTopics(settings).map(config => kafka.plan(config)))
  const open = plans.filter(({ action }) => action !== 'none').map(({ topic, action }) => `${topic}: ${action}`)
  const there = plans.filter(({ action }) => action !== 'create').map(({ topic }) => topic)
  const waiting = counted(waitingOf(await kafka.lagOf(there)), 'record')
  const todo = open.length === 0 ? '' : `; haetae topics apply would do: ${open.join(', ')}`
  return { detail: `Kafka answers: ${waiting} waiting${todo}`, isFull: false }
}

function waitingOf(lags: readonly GroupLag[]): number {
  return lags.reduce((sum, { committed, end }) => sum + Number(end - committed), 0)
}
