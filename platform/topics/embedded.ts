import { existsSync, mkdirSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { asError, HaetaeError } from '../errors.ts'
import type { FolderLock } from '../folder-lock.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { Appender } from './append.ts'
import { BLOCK_BYTES_MAX } from './block.ts'
import { Catalog } from './catalog.ts'
import { Committer, type Write } from './committer.ts'
import { Compaction } from './compaction.ts'
import type {
  Appended,
  FetchedRecord,
  GroupLag,
  SubscribeOptions,
  Subscription,
  TopicConfig,
  TopicRecord,
} from './contract.ts'
import type { EmbeddedLog, PartitionState, Slice } from './embedded-log.ts'
import { Groups } from './groups.ts'
import { lockLog } from './lock.ts'
import { type MarkerBounds, Markers } from './markers.ts'
import { topicMetrics } from './measures.ts'
import { type OwnerServer, serveOwner } from './owner.ts'
import { GroupPositions } from './positions.ts'
import { PartitionReader } from './reader.ts'
import { LogRetention } from './retention.ts'
import { LogRoom } from './room.ts'
import { Space } from './space.ts'
import { LOG_FILE, Store } from './store.ts'

export interface EmbeddedOptions {
  /** Belongs to the log alone; made with mode 0700. */
  readonly folder: string
  /** Of all blocks together. Past it, and with nothing left to delete, appends are refused with TOPIC_FULL. */
  readonly bytesMax?: number
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly markers?: MarkerBounds
  /** Between two rounds of retention, compaction and pruning. */
  readonly upkeepMs?: number
  /** Tests only: leave out every sync, to show that its absence is noticed. */
  readonly unsafeNoSync?: boolean
}

const BYTES_MAX = 20 * 1024 ** 3
const SLICE_RECORDS_MAX = 10_000
const MARKERS: MarkerBounds = { ageMsMax: 24 * 3_600_000, countMax: 1_000_000 }
const UPKEEP_MS = 5_000
const NEW_LOG_BYTES = 2 * 1024 * 1024

/**
 * The embedded log: `Topics` on one LMDB file in one process. Other processes talk to this one over `topics.sock`
 * (owner.ts, client.ts). Throws TOPIC_OWNED when another process has the folder, TOPIC_CORRUPT when it holds something
 * this version cannot read.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<EmbeddedTopics> {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  const lock = lockLog(options.folder)
  try {
    assertRoomForNew(options.folder)
    const topics = new EmbeddedTopics(options, lock)
    await topics.serve()
    return topics
  } catch (error) {
    lock.release()
    throw error
  }
}

/** LMDB must not meet a full disk (room.ts), and a new log is written before anything can be set aside. */
function assertRoomForNew(folder: string): void {
  const { bavail, bsize } = statfsSync(folder)
  if (existsSync(join(folder, LOG_FILE)) || bavail * bsize >= NEW_LOG_BYTES) return
  throw new HaetaeError('TOPIC_FULL', `the disk has no room for a topic log in ${folder}: make room on it`)
}

export class EmbeddedTopics implements EmbeddedLog {
  readonly #options: EmbeddedOptions
  readonly #lock: FolderLock
  readonly #store: Store
  readonly #committer: Committer
  readonly #catalog: Catalog
  readonly #positions: GroupPositions
  readonly #space: Space
  readonly #room: LogRoom
  readonly #markers: Markers
  readonly #groups: Groups
  readonly #retention: LogRetention
  readonly #compaction: Compaction
  readonly #appender: Appender
  readonly #measure: ReturnType<typeof topicMetrics>
  readonly #ensuring = new Map<string, Promise<void>>()
  readonly #stop = new AbortController()
  #upkeep: Promise<void> = Promise.resolve()
  #server: OwnerServer | undefined
  #closing: Promise<void> | undefined

  constructor(options: EmbeddedOptions, lock: FolderLock) {
    const { folder, clock, bytesMax = BYTES_MAX, unsafeNoSync = false } = options
    this.#options = options
    this.#lock = lock
    this.#space = new Space({ folder, bytesMax, clock })
    this.#store = new Store({ folder, mapBytes: Math.ceil(bytesMax * 1.25) + 64 * 1024 ** 2, unsafeNoSync })
    this.#room = new LogRoom({
      folder,
      file: LOG_FILE,
      usedBytes: () => this.#store.usedBytes,
      freeBytesInside: () => this.#space.freedInside,
    })
    this.#committer = new Committer({
      store: this.#store,
      room: this.#room,
      refused: error => this.#trouble(() => this.#space.refused(error)),
      failed: error => this.#trouble(() => this.#space.failed(error)),
    })
    this.#catalog = new Catalog(this.#store, folder)
    this.#positions = new GroupPositions(this.#store, this.#catalog, folder)
    for (const { partitions } of this.#catalog.topics) for (const { bytes } of partitions) this.#space.grew(bytes)
    const parts = {
      store: this.#store,
      committer: this.#committer,
      catalog: this.#catalog,
      positions: this.#positions,
      space: this.#space,
      clock,
    }
    this.#markers = new Markers(this.#store, options.markers ?? MARKERS)
    this.#retention = new LogRetention(parts)
    this.#groups = new Groups({ ...parts, progressed: () => this.#retention.progressed() })
    this.#compaction = new Compaction(parts)
    this.#measure = topicMetrics(options.metrics)
    this.#appender = new Appender({
      ...parts,
      markers: this.#markers,
      retention: this.#retention,
      measure: this.#measure,
      appended: partitions => this.#groups.ring(partitions),
      slowest: () => this.#slowest(),
    })
    this.#measureSpace()
    this.#upkeep = this.#upkeepLoop()
  }

  get full(): boolean {
    return this.#space.full
  }

  async serve(): Promise<void> {
    this.#server = await serveOwner(this, this.#options.folder, this.#options.log)
  }

  ensure(config: TopicConfig): Promise<void> {
    const before = this.#ensuring.get(config.name) ?? Promise.resolve()
    const after = before.catch(() => undefined).then(() => this.#ensure(config))
    this.#ensuring.set(config.name, after)
    return after
  }

  async append(topic: string, records: readonly TopicRecord[], marker?: string): Promise<Appended> {
    this.#assertOpen()
    return this.#appender.append(this.#catalog.known(topic), records, marker)
  }

  async subscribe(options: SubscribeOptions): Promise<Subscription> {
    this.#assertOpen()
    return this.#groups.subscribe(options)
  }

  async *readCompacted(
    name: string,
    wants: (key: string) => boolean = () => true,
  ): AsyncGenerator<FetchedRecord & { readonly partition: number }> {
    this.#assertOpen()
    const topic = this.#catalog.known(name)
    if (!topic.config.compacted) {
      throw new HaetaeError('TOPIC_MISMATCH', `the topic ${name} is not compacted: subscribe to it instead`)
    }
    yield* this.#compaction.newestRecords(topic, wants)
  }

  async recordsBetween(name: string, partition: number, from: bigint, to: bigint, bytesMax: number): Promise<Slice> {
    while (this.#store.busy) await this.#store.busy
    this.#assertOpen()
    const read = this.#catalog.known(name).partitions[partition]
    if (!read) throw new HaetaeError('TOPIC_UNKNOWN', `the topic ${name} has no partition ${partition}`)
    const end = Math.min(read.end, Number(to))
    const reader = new PartitionReader(this.#store, read, Math.max(read.start, Number(from)))
    const records = reader.next < end ? reader.take(SLICE_RECORDS_MAX, bytesMax, end) : []
    return { records, next: reader.next >= end ? to : BigInt(reader.next) }
  }

  lag(): Promise<readonly GroupLag[]> {
    return Promise.resolve(this.#groups.lag())
  }

  describe(): readonly PartitionState[] {
    return [...this.#catalog.topics].flatMap(({ config, partitions }) =>
      partitions.map(({ index, start, end, bytes }) => {
        return { topic: config.name, partition: index, start: BigInt(start), end: BigInt(end), bytes }
      }),
    )
  }

  forgetGroup(group: string): Promise<void> {
    return this.#groups.forget(group)
  }

  isRead(group: string): boolean {
    return this.#groups.isRead(group)
  }

  moveGroup(group: string, topic: string, partition: number, offset: bigint): Promise<void> {
    return this.#groups.move(group, topic, partition, offset)
  }

  /** One round of retention, compaction and pruning; runs by itself every `upkeepMs`. */
  async maintain(): Promise<void> {
    const stale = this.#store.busy ? undefined : this.#markers.prune(this.#options.clock.now())
    if (stale) await this.#committer.submit({ kind: 'upkeep', bytes: 0, ...stale })
    await this.#retention.apply()
    await this.#reconsider()
    await this.#compaction.apply()
    if (!this.#space.diskTrouble) this.#room.restoreReserve()
    this.#measureSpace()
    this.#measure.lag(this.#groups.lag())
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#stop.abort()
      await this.#server?.close()
      await this.#groups.close()
      await this.#upkeep
      await this.#committer.barrier().catch(() => undefined)
      await this.#store.close()
      await this.#room.close()
      this.#lock.release()
    })()
    return this.#closing
  }

  async #ensure(config: TopicConfig): Promise<void> {
    this.#assertOpen()
    if (this.#catalog.matching(config)) return
    const topic = this.#catalog.create(config)
    await this.#committer.submit({
      kind: 'upkeep',
      bytes: 0,
      apply: transaction => this.#catalog.write(transaction, topic),
      committed: () => this.#catalog.add(topic),
    })
  }

  async #upkeepLoop(): Promise<void> {
    const { clock, log, upkeepMs = UPKEEP_MS } = this.#options
    for (;;) {
      await clock.wait(upkeepMs, this.#stop.signal)
      if (this.#stop.signal.aborted) return
      try {
        await this.maintain()
      } catch (thrown) {
        log.warn('upkeep of the topic log failed and is tried again', { error: asError(thrown).message })
      }
    }
  }

  /** The first of a row is said. */
  #trouble(note: () => HaetaeError): HaetaeError {
    const first = !this.#space.diskTrouble
    const error = note()
    if (first) this.#options.log.error(error.message, { code: error.code })
    this.#measureSpace()
    return error
  }

  /** While appends are refused those who see it may not try: something of an append's size is tried for them. */
  async #reconsider(): Promise<void> {
    if (!this.#space.full) return
    await this.#retention.relieve(BLOCK_BYTES_MAX)
    if (!this.#space.diskTrouble) return
    const committed = (): void => this.#space.recovered()
    const apply: Write['apply'] = transaction => this.#catalog.writeTurn(transaction)
    const trial: Write = { kind: 'append', bytes: BLOCK_BYTES_MAX, apply, committed }
    await this.#committer.submit(trial).catch(() => undefined)
  }

  #measureSpace(): void {
    this.#measure.space(this.#space.used, this.#space.bytesMax, this.#space.full)
  }

  /** Who holds back the deletion of most records, for the message about a full log. */
  #slowest(): string {
    const behind = this.#groups.lag().sort((a, b) => Number(b.end - b.committed - (a.end - a.committed)))[0]
    if (!behind || behind.end === behind.committed) return ''
    const records = behind.end - behind.committed
    return ` (the group ${behind.group} is ${records} records behind in ${behind.topic}/${behind.partition})`
  }

  #assertOpen(): void {
    if (!this.#closing) return
    throw new HaetaeError(
      'TOPIC_CLOSED',
      `the topic log in ${this.#options.folder} was closed: the process is stopping`,
    )
  }
}
