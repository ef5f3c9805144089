import { z } from 'zod'
import { HaetaeError } from '../errors.ts'
import type { TopicConfig } from './contract.ts'
import type { Store, Transaction } from './store.ts'

/** Written into every log; one with a higher number was written by a later version and is refused. */
const FORMAT = 1
const FORMAT_KEY = Buffer.from('format')
const TURN_KEY = Buffer.from('turn')
const PARTITIONS_MAX = 1024

/** Names as Kafka allows them, so that a topic can move there. */
const NAME = /^[A-Za-z0-9._-]{1,249}$/

export function isName(name: string): boolean {
  return NAME.test(name) && name !== '.' && name !== '..'
}

/** Throws TOPIC_MISMATCH for a name or a number of partitions that no implementation can hold. */
export function assertPossible({ name, partitions }: TopicConfig): void {
  if (isName(name) && Number.isInteger(partitions) && partitions >= 1 && partitions <= PARTITIONS_MAX) return
  throw new HaetaeError(
    'TOPIC_MISMATCH',
    `no topic can be called ${JSON.stringify(name)} with ${partitions} partitions: 1 to 249 of A-Z a-z 0-9 . _ - ` +
      `and 1 to ${PARTITIONS_MAX} partitions`,
  )
}

/** One partition as it stands in memory. Offsets are safe integers here and bigints outside. */
export interface Partition {
  readonly topic: Topic
  readonly index: number
  /** First offset that may still be there. */
  start: number
  /** Offset after the last durable record. */
  end: number
  /** Offset after the last record of the group being committed. */
  next: number
  /** Space that the blocks take in the file. */
  bytes: number
  /** Bytes appended since the last compaction. */
  uncompactedBytes: number
}

export interface Topic {
  readonly id: number
  readonly config: TopicConfig
  readonly partitions: readonly Partition[]
}

const storedTopic = z.object({
  id: z.number().int().min(0).max(0xffff),
  partitions: z.number().int().min(1).max(PARTITIONS_MAX),
  compacted: z.boolean(),
  ageMsMax: z.number(),
  bytesMax: z.number(),
})
const storedRange = z.object({ start: z.number().int().min(0), end: z.number().int().min(0) })

/** Space of a block in the file: a value over about half a page gets pages of its own. */
export function storedBytes(valueBytes: number): number {
  return valueBytes > 1_900 ? Math.ceil((valueBytes + 16) / 4096) * 4096 : valueBytes + 64
}

/** The topics of a log and their partitions, read once at open. */
export class Catalog {
  readonly #folder: string
  readonly #topics = new Map<string, Topic>()
  readonly #byId = new Map<number, Topic>()
  #nextId = 0
  #turn = 0

  /** Throws TOPIC_CORRUPT for a log of a later version or one that makes no sense. Returns what a new log needs written. */
  constructor(store: Store, folder: string) {
    this.#folder = folder
    const format = store.get('meta', FORMAT_KEY)?.toString()
    if (format !== undefined && format !== String(FORMAT)) throw this.#otherFormat(format)
    for (const { key, value } of store.entries('meta')) {
      const name = key.toString().startsWith('topic:') ? key.toString().slice('topic:'.length) : undefined
      if (name !== undefined) this.#load(store, name, value)
    }
  }

  get topics(): IterableIterator<Topic> {
    return this.#topics.values()
  }

  get(name: string): Topic | undefined {
    return this.#topics.get(name)
  }

  byId(id: number): Topic | undefined {
    return this.#byId.get(id)
  }

  /** Throws TOPIC_UNKNOWN. */
  known(name: string): Topic {
    const topic = this.#topics.get(name)
    if (topic) return topic
    const there = [...this.#topics.keys()].join(', ') || 'none'
    throw new HaetaeError(
      'TOPIC_UNKNOWN',
      `the topic ${name} does not exist in ${this.#folder} (there: ${there}): start the pipeline that writes it`,
    )
  }

  /** The topic as ensured before; throws TOPIC_MISMATCH when it has other settings or the settings are impossible. */
  matching(config: TopicConfig): Topic | undefined {
    assertPossible(config)
    const { name } = config
    const topic = this.#topics.get(name)
    if (!topic || settings(topic.config) === settings(config)) return topic
    throw new HaetaeError(
      'TOPIC_MISMATCH',
      `the topic ${name} exists with ${settings(topic.config)}, and ${settings(config)} is asked for: a topic is never ` +
        'changed; ask for what it has, or write to a topic of another name',
    )
  }

  /** A topic that is not there yet. Writing it is the caller's part (`write`), then `add`. */
  create(config: TopicConfig): Topic {
    const topic: Topic = { id: this.#nextId++, config, partitions: [] }
    const partitions = Array.from({ length: config.partitions }, (_, index) => emptyPartition(topic, index))
    return Object.assign(topic, { partitions })
  }

  add(topic: Topic): void {
    this.#topics.set(topic.config.name, topic)
    this.#byId.set(topic.id, topic)
  }

  write(transaction: Transaction, topic: Topic): void {
    const { name, partitions, compacted, retention } = topic.config
    const value = { id: topic.id, partitions, compacted, ageMsMax: retention.ageMsMax, bytesMax: retention.bytesMax }
    transaction.put('meta', FORMAT_KEY, Buffer.from(String(FORMAT)))
    transaction.put('meta', Buffer.from(`topic:${name}`), Buffer.from(JSON.stringify(value)))
  }

  /** Kept apart from the blocks, as a partition whose blocks are all deleted must not begin again at 0. */
  writeRange(transaction: Transaction, { topic, index, end }: Partition, start: number): void {
    transaction.put('meta', rangeKey(topic.id, index), Buffer.from(JSON.stringify({ start, end })))
  }

  /** A change that means nothing (retention.ts says what for). */
  writeTurn(transaction: Transaction): void {
    this.#turn = (this.#turn + 1) % 1000
    transaction.put('meta', TURN_KEY, Buffer.from(String(this.#turn)))
  }

  #load(store: Store, name: string, value: Buffer): void {
    const stored = this.#parse(storedTopic, `topic:${name}`, value)
    const { id, partitions, compacted, ageMsMax, bytesMax } = stored
    const topic: Topic = {
      id,
      config: { name, partitions, compacted, retention: { ageMsMax, bytesMax } },
      partitions: [],
    }
    const loaded = Array.from({ length: partitions }, (_, index) => this.#loadPartition(store, topic, index))
    this.add(Object.assign(topic, { partitions: loaded }))
    this.#nextId = Math.max(this.#nextId, id + 1)
  }

  #loadPartition(store: Store, topic: Topic, index: number): Partition {
    const partition = emptyPartition(topic, index)
    const key = rangeKey(topic.id, index)
    const value = store.get('meta', key)
    const range = value ? this.#parse(storedRange, key.toString(), value) : { start: 0, end: 0 }
    const last = store.last(topic.id, index)
    partition.end = Math.max(range.end, last ? last.base + last.span : 0)
    partition.next = partition.end
    partition.start = Math.min(range.start, partition.end)
    for (const block of store.blocksFrom(topic.id, index, 0)) partition.bytes += storedBytes(block.bytes)
    partition.uncompactedBytes = partition.bytes
    return partition
  }

  #parse<T>(schema: z.ZodType<T>, key: string, value: Buffer): T {
    try {
      return schema.parse(JSON.parse(value.toString()))
    } catch (cause) {
      throw new HaetaeError(
        'TOPIC_CORRUPT',
        `the topic log in ${this.#folder} holds something unreadable under ${key}: restore it from a copy, or move the ` +
          'folder away to begin a new log',
        { cause },
      )
    }
  }

  #otherFormat(format: string): HaetaeError {
    return new HaetaeError(
      'TOPIC_CORRUPT',
      `the topic log in ${this.#folder} has format ${format.slice(0, 20)} and this version reads ${FORMAT}: run the ` +
        'version that wrote it, or move the folder away to begin a new log',
    )
  }
}

function emptyPartition(topic: Topic, index: number): Partition {
  return { topic, index, start: 0, end: 0, next: 0, bytes: 0, uncompactedBytes: 0 }
}

function rangeKey(topicId: number, partition: number): Buffer {
  return Buffer.from(`range:${topicId}:${partition}`)
}

function settings({ partitions, compacted, retention }: TopicConfig): string {
  return `${partitions} partitions, compacted ${compacted}, retention ${retention.ageMsMax} ms and ${retention.bytesMax} bytes`
}
