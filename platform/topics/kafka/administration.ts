import type { Clock } from '../../clock.ts'
import { HaetaeError } from '../../errors.ts'
import { assertPossible } from '../catalog.ts'
import type { TopicConfig } from '../contract.ts'
import type { Cluster } from './cluster.ts'
import { check, failureOf, KafkaFailure } from './failures.ts'
import { alterConfigs, createPartitions, createTopics, describeConfigs } from './messages/cluster.ts'
import { patiently } from './offsets.ts'

const LANE = 'admin'
/** A record of 1 MiB, the most that an event may have, with room for what is around it. */
const MESSAGE_BYTES_MAX = 2 * 1024 * 1024
/** Times are those of reception; a clock that jumped must not stop ingest. */
const ANY_TIME = String(2n ** 63n - 1n)

export interface TopicStanding {
  readonly partitions: number
  readonly replication: number
  readonly settings: ReadonlyMap<string, string>
}

export interface PlannedChange {
  readonly topic: string
  /** refuse: it cannot be made as it is asked for. */
  readonly action: 'create' | 'add partitions' | 'change settings' | 'none' | 'refuse'
  readonly detail: string
}

/** The settings of a topic as we want them, by Kafka's names. */
function wantedSettings(config: TopicConfig, replication: number): Readonly<Record<string, string>> {
  const { compacted, retention, partitions } = config
  return {
    'cleanup.policy': compacted ? 'compact' : 'delete',
    'retention.ms': compacted ? '-1' : String(Math.round(retention.ageMsMax)),
    'retention.bytes': compacted ? '-1' : String(Math.ceil(retention.bytesMax / partitions)),
    'min.insync.replicas': String(Math.max(1, replication - 1)),
    'compression.type': 'zstd',
    'max.message.bytes': String(MESSAGE_BYTES_MAX),
    'message.timestamp.after.max.ms': ANY_TIME,
    'unclean.leader.election.enable': 'false',
  }
}

/** undefined when the topic does not exist. Throws a KafkaFailure. */
export async function standingOf(cluster: Cluster, topic: string): Promise<TopicStanding | undefined> {
  const [info] = await cluster.refresh([topic])
  if (!info || info.code === 3) return undefined
  check(info.code, topic)
  const names = Object.keys(
    wantedSettings({ name: topic, partitions: 1, compacted: false, retention: NO_RETENTION }, 1),
  )
  const node = await cluster.controller()
  const [described] = await cluster.send(node, LANE, describeConfigs, { topics: [topic], names })
  check(described?.code ?? -1, described?.detail)
  const replication = Math.max(0, ...info.partitions.map(({ replicas }) => replicas))
  return { partitions: info.partitions.length, replication, settings: described!.settings }
}

const NO_RETENTION = { ageMsMax: 1, bytesMax: 1 }

export function isCompacted({ settings }: TopicStanding): boolean {
  return (settings.get('cleanup.policy') ?? '').split(',').includes('compact')
}

/** Throws TOPIC_UNKNOWN or TOPIC_MISMATCH unless the topic is there and can be used as `config` says. */
export function assertAsWanted(
  config: TopicConfig,
  standing: TopicStanding | undefined,
): asserts standing is TopicStanding {
  const { name, partitions, compacted } = config
  if (!standing) throw unknownTopic(name)
  const how = 'haetae topics plan shows what differs'
  if (standing.partitions < partitions) {
    const what = `the topic ${name} has ${standing.partitions} partitions, and ${partitions} are asked for`
    throw new HaetaeError('TOPIC_MISMATCH', `${what}: haetae topics apply adds them`)
  }
  if (isCompacted(standing) !== compacted) {
    const policy = standing.settings.get('cleanup.policy')
    const what = `the topic ${name} has cleanup.policy ${policy}, and compacted: ${compacted} is asked for`
    throw new HaetaeError('TOPIC_MISMATCH', `${what}: ${how}`)
  }
}

export function unknownTopic(name: string): HaetaeError {
  return new HaetaeError('TOPIC_UNKNOWN', `the topic ${name} does not exist in Kafka: haetae topics apply makes it`)
}

/** What `applyTopic` would do. Changes nothing. */
export async function planTopic(cluster: Cluster, config: TopicConfig, replication: number): Promise<PlannedChange> {
  assertPossible(config)
  const topic = config.name
  const standing = await standingOf(cluster, topic)
  const wanted = wantedSettings(config, replication)
  if (!standing) {
    const detail = `${config.partitions} partitions, ${replication} replicas, ${settingsText(wanted)}`
    return { topic, action: 'create', detail }
  }
  if (isCompacted(standing) !== config.compacted) {
    const detail = `cleanup.policy is ${standing.settings.get('cleanup.policy')}: use another topic, or delete this one`
    return { topic, action: 'refuse', detail }
  }
  const replicas =
    standing.replication === replication ? '' : ` (it has ${standing.replication} replicas, not ${replication})`
  if (standing.partitions < config.partitions) {
    const detail = `from ${standing.partitions} to ${config.partitions}: keys move to other partitions${replicas}`
    return { topic, action: 'add partitions', detail }
  }
  const changes = differing(standing, wanted)
  if (Object.keys(changes).length === 0) return { topic, action: 'none', detail: `as wanted${replicas}` }
  return { topic, action: 'change settings', detail: `${settingsText(changes)}${replicas}` }
}

/** Makes the topic as `config` says, or adds what is missing. Never deletes and never takes partitions away. */
export async function applyTopic(
  cluster: Cluster,
  clock: Clock,
  config: TopicConfig,
  replication: number,
): Promise<PlannedChange> {
  const planned = await planTopic(cluster, config, replication)
  const { topic, action } = planned
  if (action === 'refuse') throw new HaetaeError('TOPIC_MISMATCH', `the topic ${topic}: ${planned.detail}`)
  const settings = wantedSettings(config, replication)
  const node = await cluster.controller()
  if (action === 'create') {
    const { partitions } = config
    const [made] = await cluster.send(node, LANE, createTopics, [{ topic, partitions, replication, settings }], 40_000)
    if (made?.code !== 36) check(made?.code ?? -1, made?.detail) // 36: somebody else made it meanwhile
  } else {
    if (action === 'add partitions') {
      const asked = { topic, count: config.partitions }
      const [grown] = await cluster.send(node, LANE, createPartitions, asked, 40_000)
      check(grown?.code ?? -1, grown?.detail)
    }
    if (action !== 'none') {
      const [changed] = await cluster.send(node, LANE, alterConfigs, { topic, settings })
      check(changed?.code ?? -1, changed?.detail)
    }
  }
  await patiently(clock, () => assertReady(cluster, config))
  return planned
}

/** Brokers hear of a new topic one after another. */
async function assertReady(cluster: Cluster, { name, partitions }: TopicConfig): Promise<void> {
  const [info] = await cluster.refresh([name])
  const failure = failureOf(info?.code ?? 3, name)
  if (failure) throw failure
  const led = info!.partitions.filter(({ leader }) => leader >= 0).length
  if (led < partitions)
    throw new KafkaFailure('LEADER_NOT_AVAILABLE', 'again', `${name}: ${led} of ${partitions} partitions`)
}

function differing({ settings }: TopicStanding, wanted: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(wanted).filter(([name, value]) => settings.get(name) !== value))
}

function settingsText(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ')
}
