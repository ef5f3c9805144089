import type { Clock } from '../../clock.ts'
import { placeOf } from '../place.ts'
import { decodeAssignment, encodeAssignment, encodeSubscription, protocolName, shareOut } from './assignment.ts'
import { ANSWER_MS_MAX, type Requests } from './cluster.ts'
import { asFailure, check, KafkaFailure } from './failures.ts'
import { heartbeat, joinGroup, leaveGroup, type Membership, offsetCommit, syncGroup } from './messages/groups.ts'
import type { Message, PartitionRef } from './messages/message.ts'
import { pauseMs } from './pause.ts'

export interface MemberTimes {
  /** Without a heartbeat for this long the broker gives our partitions to others. */
  readonly sessionMs: number
  readonly heartbeatMs: number
  /** How long the others are waited for when partitions are shared out anew. */
  readonly rebalanceMs: number
  /** How often the leader of the group looks whether a topic got more partitions. */
  readonly metadataMs: number
}

export interface MemberOptions {
  readonly cluster: Requests
  readonly clock: Clock
  readonly group: string
  readonly reader: string
  readonly topics: readonly string[]
  readonly times: MemberTimes
  readonly listener: MemberListener
}

interface MemberListener {
  /** The partitions are ours; the promise is waited for, and what it throws makes us join again. */
  assigned(share: Share): Promise<void>
  /**
   * The group is shared out anew, or our place in it is lost. Called before another member can be given our partitions;
   * until `assigned` says which are left, nothing may be read of them or committed.
   */
  suspended(): void
  /** Something failed and is tried again. */
  troubled(failure: KafkaFailure): void
  /** The end: we cannot be a member of the group until a person changes something. */
  failed(failure: KafkaFailure): void
}

export interface Share {
  readonly partitions: readonly PartitionRef[]
  /** Of the group, from 1. */
  readonly generation: number
  /** What was ours in the share before was nobody else's since. */
  readonly continued: boolean
}

export interface CommittedTo extends PartitionRef {
  readonly offset: bigint
  readonly note: string | undefined
}

/** A courtesy: who does not answer finds out by the session. */
const LEAVE_MS_MAX = 2_000

/**
 * One member of a consumer group: joins, keeps its place by heartbeats on a timer whatever else goes on, and commits
 * only while it is what the broker takes it for. While a new share is asked for all partitions rest; those that come back
 * without anybody having had them go on where they were.
 */
export class Member {
  readonly #options: MemberOptions
  readonly #stop = new AbortController()
  #membership: Membership | undefined
  /** The one before, while there is none. */
  #before: Membership | undefined
  /** Kept from one generation to the next. */
  #id = ''
  #coordinator: number | undefined
  /** By the monotonic clock: until then the broker certainly counts us in. */
  #validUntilMs = 0
  #loop: Promise<void> = Promise.resolve()
  #rejoin = new AbortController()
  readonly #lane: string

  constructor(options: MemberOptions) {
    this.#options = options
    this.#lane = `group ${options.group} ${lanes++}`
  }

  /** Joins for good: from now on until close() or `failed`. */
  start(): void {
    this.#loop = this.#live()
  }

  /** False when the session may have run out unnoticed, such as after the process was stopped for a while. */
  get current(): boolean {
    return this.#membership !== undefined && this.#options.clock.monotonicMs() < this.#validUntilMs
  }

  /** Gives everything up and joins again. */
  again(): void {
    this.#rejoin.abort()
  }

  /** Rejects with a KafkaFailure; `rejoin` when the partitions are not ours any more. */
  async commit(positions: readonly CommittedTo[]): Promise<void> {
    const membership = this.#membership
    if (!membership) throw new KafkaFailure('REBALANCE_IN_PROGRESS', 'rejoin')
    try {
      const answers = await this.#ask(offsetCommit, { ...membership, positions })
      for (const { code, topic, partition } of answers) check(code, placeOf({ topic, partition }))
    } catch (thrown) {
      const failure = asFailure(thrown)
      if (failure.cure === 'rejoin' && membership === this.#membership) this.again()
      if (failure.cure === 'again') this.#coordinator = undefined
      throw failure
    }
  }

  /** Leaves, so that the others need not wait for the session to run out. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.#rejoin.abort()
    const node = this.#coordinator
    // A join waits at the broker for the others: it is not waited for.
    if (!this.#membership && node !== undefined) await this.#options.cluster.closeLane(node, this.#lane)
    await this.#loop
  }

  async #live(): Promise<void> {
    for (let attempt = 0; !this.#stop.signal.aborted; ) {
      try {
        await this.#join()
        attempt = 0
        await this.#beat()
      } catch (thrown) {
        const failure = asFailure(thrown)
        this.#giveUp()
        if (this.#stop.signal.aborted) break
        if (failure.reason === 'UNKNOWN_MEMBER_ID' || failure.reason === 'ILLEGAL_GENERATION') this.#id = ''
        if (failure.cure === 'fatal') {
          this.#options.listener.failed(failure)
          return
        }
        if (failure.cure !== 'rejoin') {
          this.#options.listener.troubled(failure)
          this.#coordinator = undefined
          await this.#options.clock.wait(pauseMs(attempt++), this.#stop.signal)
        }
      }
    }
    await this.#leave()
  }

  async #join(): Promise<void> {
    const { group, topics, reader, times, listener, cluster } = this.#options
    this.#rejoin = new AbortController()
    const waitMs = times.rebalanceMs + ANSWER_MS_MAX
    const asked = {
      group,
      sessionMs: times.sessionMs,
      rebalanceMs: times.rebalanceMs,
      protocol: protocolName(reader, topics),
      subscription: encodeSubscription(topics),
    }
    let joined = await this.#ask(joinGroup, { ...asked, member: this.#id }, waitMs)
    if (joined.code === 79) joined = await this.#ask(joinGroup, { ...asked, member: joined.member }, waitMs)
    check(joined.code)
    this.#id = joined.member
    const membership = { group, generation: joined.generation, member: joined.member }
    const leads = joined.leader === joined.member
    const counts = leads ? await this.#partitionCounts() : []
    const shares = shareOut(
      joined.members.map(({ id }) => id),
      counts,
    )
    const assignments = [...shares].map(([member, share]) => ({ member, assignment: encodeAssignment(share) }))
    const synced = await this.#ask(syncGroup, { ...membership, assignments }, waitMs)
    check(synced.code)
    const before = this.#before
    const continued = before?.member === joined.member && before.generation + 1 === joined.generation
    this.#membership = membership
    this.#validUntilMs = this.#options.clock.monotonicMs() + times.sessionMs
    this.#counts = leads ? counts : undefined
    const mine = decodeAssignment(synced.assignment)
    await cluster.refresh(topics)
    const { generation } = membership
    await this.#whileBeating(() => listener.assigned({ partitions: mine, generation, continued }))
    this.#before = membership
  }

  /** Of the generation we lead; undefined when another does. */
  #counts: readonly { readonly topic: string; readonly partitions: number }[] | undefined

  async #partitionCounts(): Promise<readonly { readonly topic: string; readonly partitions: number }[]> {
    const infos = await this.#options.cluster.refresh(this.#options.topics)
    for (const { code, topic } of infos) check(code, topic)
    return infos.map(({ topic, partitions }) => ({ topic, partitions: partitions.length }))
  }

  /** Until the group is shared out anew, or something fails: throws in any case but a stop. */
  async #beat(): Promise<void> {
    const { times, clock } = this.#options
    let lookedMs = clock.monotonicMs()
    const stop = AbortSignal.any([this.#stop.signal, this.#rejoin.signal])
    for (;;) {
      await clock.wait(times.heartbeatMs, stop)
      if (this.#stop.signal.aborted) return
      if (this.#rejoin.signal.aborted) throw new KafkaFailure('REBALANCE_IN_PROGRESS', 'rejoin', 'asked for')
      await this.#heartbeat()
      if (!this.#counts || clock.monotonicMs() - lookedMs < times.metadataMs) continue
      lookedMs = clock.monotonicMs()
      await this.#lookForPartitions(this.#counts)
    }
  }

  async #heartbeat(): Promise<void> {
    const { times, clock } = this.#options
    const sentMs = clock.monotonicMs()
    try {
      check((await this.#ask(heartbeat, this.#membership!, times.sessionMs)).code)
      this.#validUntilMs = sentMs + times.sessionMs
    } catch (thrown) {
      const failure = asFailure(thrown)
      // The coordinator moves or restarts: our place is kept there for as long as the session.
      if (failure.cure !== 'again' || clock.monotonicMs() >= this.#validUntilMs) throw failure
      this.#coordinator = undefined
    }
  }

  async #lookForPartitions(before: readonly { readonly topic: string; readonly partitions: number }[]): Promise<void> {
    const now = await this.#partitionCounts().catch(() => before)
    if (now.every(({ topic, partitions }) => before.find(each => each.topic === topic)?.partitions === partitions))
      return
    throw new KafkaFailure('REBALANCE_IN_PROGRESS', 'rejoin', 'a topic got more partitions')
  }

  /** Positions are looked up before the first heartbeat is due; when that takes long, our place must not be lost. */
  async #whileBeating(work: () => Promise<void>): Promise<void> {
    const done = new AbortController()
    const beats = (async () => {
      for (;;) {
        await this.#options.clock.wait(this.#options.times.heartbeatMs, done.signal)
        if (done.signal.aborted) return
        await this.#heartbeat()
      }
    })()
    beats.catch(() => undefined)
    try {
      await Promise.race([work(), beats])
    } finally {
      done.abort()
    }
  }

  #giveUp(): void {
    if (!this.#membership) return
    this.#membership = undefined
    this.#options.listener.suspended()
  }

  async #leave(): Promise<void> {
    const { group, cluster } = this.#options
    const generation = this.#membership?.generation ?? -1
    this.#giveUp()
    const node = this.#coordinator
    if (node === undefined) return
    const leaving = { group, generation, member: this.#id }
    if (this.#id !== '') await this.#ask(leaveGroup, leaving, LEAVE_MS_MAX).catch(() => undefined)
    await cluster.closeLane(node, this.#lane)
  }

  async #ask<Q, A>(message: Message<Q, A>, request: Q, timeoutMs?: number): Promise<A> {
    const { cluster, group } = this.#options
    this.#coordinator ??= await cluster.coordinator(group)
    const node = this.#coordinator
    try {
      return await cluster.send(node, this.#lane, message, request, timeoutMs)
    } catch (error) {
      if (this.#coordinator === node) this.#coordinator = undefined
      throw error
    }
  }
}

let lanes = 0
