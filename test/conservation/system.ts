import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { hasCode } from '../../platform/errors.ts'
import type { KafkaTopics } from '../../platform/topics/kafka/kafka.ts'
import { httpfsFolder } from '../real/servers/duckdb-extension.ts'
import { type RealKafka, startKafka } from '../real/servers/kafka.ts'
import { type Client, openTopicsOn } from '../real/servers/kafka-topics.ts'
import { type RealOpenSearch, startOpenSearch } from '../real/servers/opensearch.ts'
import { type RealS3, startS3 } from '../real/servers/s3.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { freePorts } from '../support/free-ports.ts'
import { pause } from '../support/program.ts'
import { SmallDisk } from './disk.ts'
import { Member, ROOT } from './member.ts'
import type { Plant } from './plants.ts'
import { BulkWatch } from './wire.ts'

export const TOPIC = 'events.waf'
/** The groups that must have everything. */
export const groups = ['waf', 'waf-lake'] as const
export const KEY = 'test-key-of-the-conservation-test'
/** The consumer whose state is on a small disk of its own, where that can be made. */
const SMALL_DISK_MEMBER = 'waf-lake-1'
const SMALL_DISK_MIB = 48
const GROUP_EMPTY_MS_MAX = 60_000
const memberNames = ['ingest', 'waf-1', 'waf-2', 'waf-lake-1', 'waf-lake-2']

/** What rounds share: real Kafka of three nodes, OpenSearch, S3. */
export class Servers {
  readonly kafka: RealKafka
  search: RealOpenSearch
  readonly store: RealS3
  readonly httpfs: string
  readonly #home: string

  private constructor(kafka: RealKafka, search: RealOpenSearch, store: RealS3, httpfs: string) {
    this.kafka = kafka
    this.search = search
    this.store = store
    this.httpfs = httpfs
    this.#home = mkdtempSync(join(tmpdir(), 'haetae-conservation-'))
  }

  static async start(): Promise<Servers> {
    const starting = [startKafka({ nodes: 3 }), startOpenSearch(), startS3()] as const
    const [kafka, search, store] = await Promise.allSettled(starting)
    const failed = [kafka, search, store].find(each => each.status === 'rejected')
    if (kafka.status !== 'fulfilled' || search.status !== 'fulfilled' || store.status !== 'fulfilled') {
      for (const each of [kafka, search, store]) if (each.status === 'fulfilled') await each.value.stop()
      throw failed?.reason
    }
    const servers = new Servers(kafka.value, search.value, store.value, await httpfsFolder())
    await haetae(['topics', 'apply'], { HAETAE_KAFKA_BROKERS: kafka.value.brokers, HAETAE_STATE: servers.#home })
    return servers
  }

  /** A folder of its own for each round. */
  folder(name: string): string {
    const folder = join(this.#home, name)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    return folder
  }

  async stop(): Promise<void> {
    await Promise.all([this.kafka.stop(), this.search.stop(), this.store.stop()])
    rmSync(this.#home, { recursive: true, force: true })
  }
}

interface SystemOptions {
  readonly name: string
  readonly seed: number
  readonly client: Client
  readonly plant: Plant | undefined
}

/** Haetae as it is deployed, on the servers: an ingest, two of each consumer, and a proxy on each way that can be bad. */
export interface System {
  readonly servers: Servers
  readonly members: readonly Member[]
  readonly ingest: FaultProxy
  readonly search: FaultProxy
  readonly store: FaultProxy
  readonly wire: BulkWatch
  readonly topics: KafkaTopics
  readonly disk: SmallDisk | undefined
  /** Of the lake. */
  readonly location: string
  /** Where each partition ended when the round began. */
  readonly firstOffsets: ReadonlyMap<number, bigint>
}

/** Starts everything; resolves when all members are ready. Groups begin at the end of the topic, the index and the lake are empty. */
export async function startSystem(servers: Servers, options: SystemOptions): Promise<System> {
  const { name, seed, client } = options
  const topics = openTopicsOn(servers.kafka.brokers, client, { replication: 3 })
  const firstOffsets = await startAfresh(servers, topics)
  const ports = await freePorts(memberNames.length + 1)
  const wire = new BulkWatch()
  const ingest = await startFaultProxy(`http://127.0.0.1:${ports[0]}`, seed)
  const search = await startFaultProxy(servers.search.url, seed + 1, request => wire.watch(request))
  const store = await startFaultProxy(servers.store.url, seed + 2)
  const location = `s3://${servers.store.bucket}/${name}`
  const env = {
    ...environment(servers, options),
    AWS_ENDPOINT_URL_S3: store.url,
    OPENSEARCH_URL: search.url,
    HAETAE_INGEST_PORT: String(ports[0]),
    HAETAE_LAKE: location,
  }
  const folder = servers.folder(name)
  const disk = SmallDisk.mount(join(folder, SMALL_DISK_MEMBER), SMALL_DISK_MIB)
  const members = memberNames.map((member, at) => {
    const pipeline = member.replace(/-\d$/, '')
    return new Member({ name: member, pipeline, stateFolder: join(folder, member), statusPort: ports[at + 1]!, env })
  })
  const system = { servers, members, ingest, search, store, wire, topics, disk, location, firstOffsets }
  try {
    for (const member of members) member.start()
    await Promise.all(members.map(member => member.ready()))
  } catch (error) {
    await stopSystem(system)
    throw error
  }
  return system
}

function environment({ store, kafka }: Servers, { client, plant }: SystemOptions): Readonly<Record<string, string>> {
  return {
    ...store.env,
    OPENSEARCH_USERNAME: '',
    HAETAE_KAFKA_BROKERS: kafka.brokers,
    HAETAE_KAFKA_CLIENT: client,
    HAETAE_FIREHOSE_KEY: KEY,
    HAETAE_LAKE_FLUSH_MS: '1500',
    HAETAE_TEST_PLANT: JSON.stringify(plant?.edits ?? []),
  }
}

export function memberOf({ members }: System, name: string): Member {
  const found = members.find(member => member.name === name)
  if (!found) throw new Error(`no member is called ${name}`)
  return found
}

/** Records that a group has not settled yet, by group. */
export async function lagsOf({ topics, firstOffsets }: System): Promise<Readonly<Record<string, number>>> {
  const ranges = await topics.rangesOf([TOPIC])
  const committed = new Map<string, bigint>()
  for (const lag of await topics.lagOf([TOPIC])) committed.set(`${lag.group}/${lag.partition}`, lag.committed)
  const lagOf = (group: string): number => {
    const waiting = ranges.map(({ partition, end }) => {
      const first = firstOffsets.get(partition) ?? 0n
      return Number(end - (committed.get(`${group}/${partition}`) ?? first))
    })
    return waiting.reduce((sum, each) => sum + each, 0)
  }
  return Object.fromEntries(groups.map(group => [group, lagOf(group)]))
}

/** Ends what still runs. The servers stay. */
export async function stopSystem({ members, ingest, search, store, topics, disk }: System): Promise<void> {
  await Promise.all(members.map(member => member.remove()))
  await Promise.all([ingest, search, store].map(proxy => proxy.stop()))
  await topics.close()
  disk?.unmount()
}

const execute = promisify(execFile)

/** A command of the real program; gives its output. */
export async function haetae(command: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const { stdout } = await execute(process.execPath, ['pipelines/haetae.mjs', ...command], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    maxBuffer: 1024 ** 3,
  })
  return stdout
}

/** What an earlier round left, or a failed one, is not this one's. */
async function startAfresh(servers: Servers, topics: KafkaTopics): Promise<ReadonlyMap<number, bigint>> {
  await fetch(`${servers.search.url}/haetae-waf-*`, { method: 'DELETE' }).then(answer => answer.arrayBuffer())
  const ranges = await topics.rangesOf([TOPIC])
  for (const { partition, start, end } of ranges) {
    if (start === end) continue
    for (const group of groups) await whenEmpty(() => topics.moveGroup(group, TOPIC, partition, end))
  }
  return new Map(ranges.map(({ partition, end }) => [partition, end]))
}

/** A member that was killed belongs to its group until its session is over. */
async function whenEmpty(move: () => Promise<void>): Promise<void> {
  const untilMs = Date.now() + GROUP_EMPTY_MS_MAX
  for (;;) {
    try {
      return await move()
    } catch (error) {
      if (!hasCode(error, 'TOPIC_MISMATCH') || Date.now() > untilMs) throw error
      await pause(500)
    }
  }
}
