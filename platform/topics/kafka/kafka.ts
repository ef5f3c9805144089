import type { Clock } from '../../clock.ts'
import { HaetaeError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import { assertPossible } from '../catalog.ts'
import type {
  Appended,
  FetchedRecord,
  GroupLag,
  SubscribeOptions,
  Subscription,
  TopicConfig,
  TopicRecord,
  Topics,
} from '../contract.ts'
import { placeOf } from '../place.ts'
import {
  applyTopic,
  assertAsWanted,
  isCompacted,
  type PlannedChange,
  planTopic,
  standingOf,
  unknownTopic,
} from './administration.ts'
import { encodeBatch } from './batch.ts'
import { ANSWER_MS_MAX, Cluster } from './cluster.ts'
import { newestRecords, recordsBetween } from './compacted.ts'
import { explained } from './explain.ts'
import { asFailure, check, failureOf, KafkaFailure } from './failures.ts'
import { type KafkaMetrics, kafkaMetrics } from './measures.ts'
import type { MemberTimes } from './member.ts'
import { deleteGroups, listGroups, offsetCommit } from './messages/groups.ts'
import type { PartitionRef } from './messages/message.ts'
import { EARLIEST, LATEST, produce } from './messages/records.ts'
import { committedBy, offsetsAt, patiently } from './offsets.ts'
import { Producer } from './producer.ts'
import { KafkaSubscription } from './subscription.ts'
import type { Address, Transport } from './transport.ts'

export interface KafkaOptions {
  readonly transport: Transport
  readonly brokers: readonly Address[]
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** Of topics that are made by apply(). */
  readonly replication?: number
  readonly times?: Partial<MemberTimes>
  /** Between two looks at who leads what and at the lag of our own groups. */
  readonly upkeepMs?: number
}

const TIMES: MemberTimes = { sessionMs: 6_000, heartbeatMs: 1_500, rebalanceMs: 30_000, metadataMs: 30_000 }
const UPKEEP_MS = 10_000
const REPLICATION = 3
/** How long a broker waits for the replicas of a batch. */
const REPLICAS_MS = 8_000

interface Range extends PartitionRef {
  readonly start: bigint
  readonly end: bigint
}

/** `Topics` on Kafka. Nothing is asked of the brokers before the first use. */
export class KafkaTopics implements Topics {
  readonly #options: KafkaOptions
  readonly #cluster: Cluster
  readonly #producer: Producer
  readonly #measure: KafkaMetrics
  readonly #compacted = new Map<string, Promise<boolean>>()
  readonly #subscriptions = new Set<KafkaSubscription>()
  readonly #stop = new AbortController()
  readonly #upkeep: Promise<void>
  #closing: Promise<void> | undefined

  constructor(options: KafkaOptions) {
    const { transport, brokers, clock, log, metrics } = options
    this.#options = options
    this.#measure = kafkaMetrics(metrics)
    this.#cluster = new Cluster({ transport, brokers, clock })
    this.#producer = new Producer({
      send: (topic, partition, records) => this.#produce(topic, partition, records),
      refresh: topic => this.#cluster.refresh([topic]),
      clock,
      log,
      signal: this.#stop.signal,
    })
    this.#upkeep = this.#upkeepLoop()
  }

  async ensure(config: TopicConfig): Promise<void> {
    assertPossible(config)
    const standing = await this.#doing(`the topic ${config.name}`, () => standingOf(this.#cluster, config.name))
    assertAsWanted(config, standing)
    this.#compacted.set(config.name, Promise.resolve(config.compacted))
    if (standing.partitions === config.partitions) return
    this.#options.log.warn('a topic has more partitions than its configuration says: all are used', {
      topic: config.name,
      partitions: standing.partitions,
      configured: config.partitions,
    })
  }

  plan(config: TopicConfig): Promise<PlannedChange> {
    const { replication = REPLICATION } = this.#options
    return this.#doing(`the topic ${config.name}`, () => planTopic(this.#cluster, config, replication))
  }

  apply(config: TopicConfig): Promise<PlannedChange> {
    const { replication = REPLICATION, clock } = this.#options
    return this.#doing(`the topic ${config.name}`, () => applyTopic(this.#cluster, clock, config, replication))
  }

  async append(topic: string, records: readonly TopicRecord[]): Promise<Appended> {
    const compacted = await this.#known(topic)
    if (compacted && records.some(({ key }) => key === undefined)) {
      throw new HaetaeError('TOPIC_MISMATCH', `the topic ${topic} is compacted: each record needs a key`)
    }
    return this.#producer.append(topic, this.#partitions(topic), records)
  }

  async subscribe(options: SubscribeOptions): Promise<Subscription> {
    for (const topic of options.topics) await this.#known(topic)
    const { clock, log, times } = this.#options
    const parts = { cluster: this.#cluster, clock, log, measure: this.#measure, times: { ...TIMES, ...times } }
    const subscription = new KafkaSubscription(options, parts)
    this.#subscriptions.add(subscription)
    try {
      await subscription.start()
      return {
        poll: signal => subscription.poll(signal),
        commit: positions => subscription.commit(positions),
        close: () => this.#leave(subscription),
      }
    } catch (error) {
      await this.#leave(subscription)
      throw error
    }
  }

  async *readCompacted(
    topic: string,
    wants: (key: string) => boolean = () => true,
  ): AsyncGenerator<FetchedRecord & { readonly partition: number }> {
    if (!(await this.#known(topic))) {
      throw new HaetaeError('TOPIC_MISMATCH', `the topic ${topic} is not compacted: subscribe to it instead`)
    }
    try {
      yield* newestRecords(this.#cluster, this.#options.clock, topic, this.#partitions(topic), wants)
    } catch (thrown) {
      throw explained(thrown, `reading ${topic}`)
    }
  }

  /** Records of a partition from `from` until before `to`, those that are still there. Throws TOPIC_UNKNOWN. */
  async recordsBetween(topic: string, partition: number, from: bigint, to: bigint): Promise<readonly FetchedRecord[]> {
    await this.#known(topic)
    return this.#doing(`reading ${topic}`, () =>
      recordsBetween(this.#cluster, this.#options.clock, { topic, partition }, from, to),
    )
  }

  /** Of every group that has a position in a topic that this process uses. */
  lag(): Promise<readonly GroupLag[]> {
    return this.lagOf([...this.#compacted.keys()])
  }

  /** Of every group that has a position in one of these topics. */
  lagOf(topics: readonly string[]): Promise<readonly GroupLag[]> {
    return this.#doing('looking at the groups', () => this.#lags(topics))
  }

  /** Its positions are deleted. Throws TOPIC_MISMATCH while a member of it reads. */
  forgetGroup(group: string): Promise<void> {
    return this.#doing(`forgetting the group ${group}`, async () => {
      const node = await this.#cluster.coordinator(group)
      const [deleted] = await this.#cluster.send(node, 'lookup', deleteGroups, [group])
      check(deleted?.code ?? -1, group)
    })
  }

  /** The group goes on there. Throws TOPIC_MISMATCH while a member of it reads. */
  moveGroup(group: string, topic: string, partition: number, offset: bigint): Promise<void> {
    return this.#doing(`moving the group ${group}`, async () => {
      const node = await this.#cluster.coordinator(group)
      // Of no member: a broker takes it only while the group has none.
      const asked = { group, generation: -1, member: '', positions: [{ topic, partition, offset, note: undefined }] }
      const [answer] = await this.#cluster.send(node, 'lookup', offsetCommit, asked)
      const failure = failureOf(answer?.code ?? -1, `${group} ${placeOf({ topic, partition })}`)
      if (failure?.cure === 'rejoin') throw new KafkaFailure('NON_EMPTY_GROUP', 'fatal', 'stop its consumers first')
      if (failure) throw failure
    })
  }

  /** The first offset and the one after the last of every partition of those topics that exist. */
  rangesOf(topics: readonly string[]): Promise<readonly Range[]> {
    return this.#doing('looking at the topics', async () => {
      const infos = (await this.#cluster.refresh(topics)).filter(({ code }) => code === 0)
      const refs = infos.flatMap(({ topic, partitions }) => partitions.map(({ partition }) => ({ topic, partition })))
      const starts = await offsetsAt(this.#cluster, EARLIEST, refs)
      const ends = await offsetsAt(this.#cluster, LATEST, refs)
      return refs.map(ref => ({ ...ref, start: starts.get(placeOf(ref))!, end: ends.get(placeOf(ref))! }))
    })
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#stop.abort()
      await Promise.all([...this.#subscriptions].map(subscription => this.#leave(subscription)))
      await this.#producer.idle()
      await this.#upkeep
      await this.#cluster.close()
    })()
    return this.#closing
  }

  async #produce(topic: string, partition: number, records: readonly TopicRecord[]): Promise<void> {
    try {
      const batch = encodeBatch(records)
      const node = this.#cluster.leader(topic, partition)
      const request = { topic, partition, batch, timeoutMs: REPLICAS_MS }
      const [answer] = await this.#cluster.send(node, 'produce', produce, request, REPLICAS_MS + ANSWER_MS_MAX)
      check(answer?.code ?? -1, placeOf({ topic, partition }))
      // An answer about something else confirms nothing.
      if (answer?.topic !== topic || answer.partition !== partition) {
        throw new KafkaFailure('UNCONFIRMED', 'again', placeOf({ topic, partition }))
      }
      this.#measure.produced(topic, records.length, batch.length)
    } catch (thrown) {
      this.#measure.notProduced(topic, asFailure(thrown).reason)
      throw thrown
    }
  }

  /** Whether the topic is compacted; throws TOPIC_UNKNOWN when there is none. */
  #known(topic: string): Promise<boolean> {
    if (this.#closing) throw new HaetaeError('TOPIC_CLOSED', 'the topics were closed')
    const known = this.#compacted.get(topic)
    if (known && this.#cluster.topic(topic)) return known
    const asked = this.#doing(`the topic ${topic}`, async () => {
      const standing = await standingOf(this.#cluster, topic)
      if (!standing) throw unknownTopic(topic)
      return isCompacted(standing)
    })
    this.#compacted.set(topic, asked)
    asked.catch(() => this.#compacted.delete(topic))
    return asked
  }

  #partitions(topic: string): number {
    const partitions = this.#cluster.topic(topic)?.partitions.length
    if (!partitions) throw unknownTopic(topic)
    return partitions
  }

  async #leave(subscription: KafkaSubscription): Promise<void> {
    this.#subscriptions.delete(subscription)
    await subscription.close()
  }

  async #lags(topics: readonly string[]): Promise<readonly GroupLag[]> {
    if (topics.length === 0) return []
    const cluster = this.#cluster
    await cluster.refresh(topics)
    const listed = await Promise.all(cluster.brokerIds.map(id => cluster.send(id, 'lookup', listGroups, undefined)))
    const groups = listed.flatMap(({ code, groups: own }) => {
      check(code)
      return own.filter(({ protocolType }) => protocolType === 'consumer').map(({ group }) => group)
    })
    const lags: Omit<GroupLag, 'end'>[] = []
    for (const group of new Set(groups)) {
      for (const { topic, partition, offset } of (await committedBy(cluster, group)).values()) {
        if (topics.includes(topic)) lags.push({ group, topic, partition, committed: offset })
      }
    }
    const ends = await offsetsAt(cluster, LATEST, lags)
    return lags
      .map(lag => ({ ...lag, end: ends.get(placeOf(lag))! }))
      .sort((a, b) => a.group.localeCompare(b.group) || a.topic.localeCompare(b.topic) || a.partition - b.partition)
  }

  async #upkeepLoop(): Promise<void> {
    const { clock, upkeepMs = UPKEEP_MS } = this.#options
    for (;;) {
      await clock.wait(upkeepMs, this.#stop.signal)
      if (this.#stop.signal.aborted) return
      this.#measure.lag([...this.#subscriptions].flatMap(subscription => subscription.lags()))
      const topics = [...this.#compacted.keys()]
      if (topics.length > 0) await this.#cluster.refresh(topics).catch(() => undefined)
    }
  }

  /** What fails for a reason that passes is repeated for a while: a leader that changes must not fail a command. */
  async #doing<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await patiently(this.#options.clock, work)
    } catch (thrown) {
      throw explained(thrown, what)
    }
  }
}
