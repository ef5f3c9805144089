import type { Clock } from '../../clock.ts'
import { placeOf } from '../place.ts'
import { Reader, Writer } from './bytes.ts'
import { check, connectionFailure, KafkaFailure } from './failures.ts'
import { type BrokerInfo, metadata, type TopicInfo } from './messages/cluster.ts'
import { findCoordinator } from './messages/groups.ts'
import type { Message } from './messages/message.ts'
import type { Address, Channel, Transport } from './transport.ts'

export interface ClusterOptions {
  readonly transport: Transport
  /** Asked until one answers; the cluster says who else belongs to it. */
  readonly brokers: readonly Address[]
  readonly clock: Clock
}

/** What a request may take when it does not wait for anything at the broker. */
export const ANSWER_MS_MAX = 10_000

/**
 * A lane is one connection for one purpose: the broker works on one request of a connection at a time, and a heartbeat
 * must not queue behind a fetch that waits for records.
 */
export type Lane = string

/** What a consumer asks of a cluster. */
export type Requests = Pick<Cluster, 'refresh' | 'leader' | 'coordinator' | 'send' | 'closeLane'>

/** Connections to the brokers, and who leads what. Failures are KafkaFailures; nothing is tried twice here. */
export class Cluster {
  readonly #options: ClusterOptions
  readonly #channels = new Map<string, Promise<Channel>>()
  readonly #brokers = new Map<number, BrokerInfo>()
  readonly #topics = new Map<string, TopicInfo>()
  #controller = -1
  #first = 0
  #closed = false

  constructor(options: ClusterOptions) {
    this.#options = options
  }

  /** Asks a broker and remembers. A topic that does not exist has a `code`. */
  async refresh(topics: readonly string[]): Promise<readonly TopicInfo[]> {
    const answer = await this.#any(metadata, topics)
    // One that died or was taken away is not asked any more: it is named again once it is back.
    this.#brokers.clear()
    for (const broker of answer.brokers) this.#brokers.set(broker.id, broker)
    this.#controller = answer.controller
    for (const topic of answer.topics) {
      if (topic.code === 0 || topic.code === 5) this.#topics.set(topic.topic, topic)
      else this.#topics.delete(topic.topic)
    }
    return answer.topics
  }

  /** As last seen. */
  topic(name: string): TopicInfo | undefined {
    return this.#topics.get(name)
  }

  get brokerIds(): readonly number[] {
    return [...this.#brokers.keys()]
  }

  /** Throws `again` while there is none, or no such topic. */
  leader(topic: string, partition: number): number {
    const place = placeOf({ topic, partition })
    const known = this.#topics.get(topic)?.partitions[partition]
    if (!known) throw new KafkaFailure('UNKNOWN_TOPIC_OR_PARTITION', 'again', place)
    if (known.leader < 0) throw new KafkaFailure('LEADER_NOT_AVAILABLE', 'again', place)
    return known.leader
  }

  async controller(): Promise<number> {
    if (this.#controller < 0) await this.refresh([])
    return this.#controller
  }

  async coordinator(group: string): Promise<number> {
    const { code, detail, id, host, port } = await this.#any(findCoordinator, group)
    check(code, detail)
    this.#brokers.set(id, { id, host, port })
    return id
  }

  async send<Q, A>(
    node: number,
    lane: Lane,
    message: Message<Q, A>,
    request: Q,
    timeoutMs = ANSWER_MS_MAX,
  ): Promise<A> {
    const broker = this.#brokers.get(node)
    if (!broker) throw connectionFailure(`node ${node} is not known`)
    return this.#sendTo(broker, `${node} ${lane}`, message, request, timeoutMs)
  }

  /** Requests on the lane that wait for an answer are rejected. */
  async closeLane(node: number, lane: Lane): Promise<void> {
    await this.#drop(`${node} ${lane}`)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#channels.keys()].map(name => this.#drop(name)))
  }

  /** Of any broker: those that are known first, then those of the configuration, in turn. */
  async #any<Q, A>(message: Message<Q, A>, request: Q): Promise<A> {
    const addresses: readonly Address[] = [...this.#brokers.values(), ...this.#options.brokers]
    let last: unknown
    for (let tries = 0; tries < addresses.length; tries++) {
      const address = addresses[this.#first % addresses.length]!
      try {
        return await this.#sendTo(address, `${address.host}:${address.port} any`, message, request, ANSWER_MS_MAX)
      } catch (error) {
        last = error
        this.#first++
      }
    }
    throw last
  }

  async #sendTo<Q, A>(
    address: Address,
    name: string,
    message: Message<Q, A>,
    request: Q,
    timeoutMs: number,
  ): Promise<A> {
    const writer = new Writer()
    message.write(writer, request)
    const channel = await this.#openChannel(address, name)
    const asked = channel.request({ apiKey: message.key, apiVersion: message.version, body: writer.done() })
    let answer: Buffer
    try {
      answer = await this.#inTime(asked, timeoutMs, `${message.name} at ${address.host}:${address.port}`)
    } catch (error) {
      // Whatever else is on its way there shares the fate of this one.
      await this.#drop(name, channel)
      throw error
    }
    try {
      return message.read(new Reader(answer))
    } catch (cause) {
      throw new KafkaFailure('UNREADABLE_ANSWER', 'fatal', `${message.name} version ${message.version}`, { cause })
    }
  }

  async #inTime<T>(asked: Promise<T>, limitMs: number, what: string): Promise<T> {
    const done = new AbortController()
    const late = this.#options.clock.wait(limitMs, done.signal).then(() => {
      throw connectionFailure(`${what}: no answer within ${limitMs} ms`)
    })
    late.catch(() => undefined)
    try {
      return await Promise.race([asked, late])
    } finally {
      done.abort()
    }
  }

  /** One that was lost while nobody used it is replaced, so that its next user need not fail to find out. */
  async #openChannel(address: Address, name: string): Promise<Channel> {
    const channel = await this.#channel(address, name)
    if (channel.open) return channel
    await this.#drop(name, channel)
    return this.#channel(address, name)
  }

  #channel(address: Address, name: string): Promise<Channel> {
    if (this.#closed) return Promise.reject(connectionFailure('closed by this process'))
    const known = this.#channels.get(name)
    if (known) return known
    const connecting = this.#options.transport.connect(address)
    this.#channels.set(name, connecting)
    connecting.catch(() => this.#channels.delete(name))
    return connecting
  }

  async #drop(name: string, only?: Channel): Promise<void> {
    const known = this.#channels.get(name)
    if (!known) return
    const channel = await known.catch(() => undefined)
    if (!channel || (only && channel !== only)) return
    if (this.#channels.get(name) === known) this.#channels.delete(name)
    await channel.close()
  }
}
