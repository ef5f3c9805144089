import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { TopicRecord } from '../../platform/topics/contract.ts'
import { EarlierProgram, end, until } from './program.ts'
import { KEPT_TOPICS, SEARCHES, search } from './response.ts'

const SNAPSHOTS = 'haetae_topic_appended_records_total{topic="detect.state"}'

/**
 * What detectors, incidents and the ledger remember, below `<out>/response`: a client that has almost searched too often, an incident
 * of another, one blocked by a person, the audit of all of it, and searches that were read after the last snapshot. And the same as
 * Kafka's record batches, one file a topic, below `<out>/kafka`.
 */
export async function makeResponse(program: string, out: string): Promise<void> {
  const state = join(out, 'response')
  const lake = mkdtempSync(join(tmpdir(), 'haetae-fixture-lake-'))
  const earlier = await EarlierProgram.of(program, state, lake)
  const process = await earlier.up(200)
  await earlier.send(Array.from({ length: SEARCHES.snapshot }, (_, at) => search(at)))
  await earlier.send([search(0, '198.51.100.9').replace('"/search"', '"/.git/config"')])
  await until(async () => (await earlier.metric('haetae_incidents_open')) >= 1)
  earlier.haetae(
    'decisions',
    'add',
    '203.0.113.9',
    '--ttl',
    '4h',
    '--reason',
    'made for the upgrade test',
    '--by',
    'tester',
  )
  await until(async () => (await earlier.metric('haetae_holds_count{pipeline="block",state="active"}')) >= 1)
  const read = SEARCHES.snapshot + 1
  await until(async () => (await earlier.metric('haetae_events_acked_total{pipeline="detect"}')) >= read)
  const parts = await earlier.metric(SNAPSHOTS)
  await until(async () => (await earlier.metric(SNAPSHOTS)) > parts)
  // A position is stored at once with its snapshot.
  await new Promise(done => setTimeout(done, 2_000))
  await earlier.send(Array.from({ length: SEARCHES.read }, (_, at) => search(SEARCHES.snapshot + at)))
  await until(
    async () => (await earlier.metric('haetae_events_acked_total{pipeline="detect"}')) >= read + SEARCHES.read,
  )
  await end(process, 'SIGKILL')
  rmSync(lake, { recursive: true, force: true })
  // What is no state: every start makes it.
  for (const name of ['control', 'ingest.key', 'deadletter', 'pipelines'])
    rmSync(join(state, name), { recursive: true, force: true })
  await writeKafka(program, state, join(out, 'kafka'))
}

interface EarlierTopics {
  readCompacted(topic: string): AsyncIterable<TopicRecord>
  close(): Promise<void>
}

async function writeKafka(program: string, state: string, folder: string): Promise<void> {
  const load = (path: string): Promise<unknown> => import(pathToFileURL(join(program, path)).href)
  const { encodeBatch } = (await load('platform/topics/kafka/batch.ts')) as {
    encodeBatch(records: readonly TopicRecord[]): Buffer
  }
  const { openEmbedded } = (await load('platform/topics/embedded.ts')) as {
    openEmbedded(options: object): Promise<EarlierTopics>
  }
  const { systemClock: clock } = (await load('platform/clock.ts')) as { systemClock: unknown }
  const { silentLog: log } = (await load('platform/log.ts')) as { silentLog: unknown }
  const { createMetrics } = (await load('platform/metrics.ts')) as { createMetrics(): unknown }
  const options = { folder: join(state, 'topics'), bytesMax: 64 * 1024 ** 2, upkeepMs: 1e9, clock, log }
  const topics = await openEmbedded({ ...options, metrics: createMetrics() })
  mkdirSync(folder, { recursive: true })
  for (const topic of KEPT_TOPICS) {
    const records: TopicRecord[] = []
    for await (const { key, value, timeMs } of topics.readCompacted(topic)) {
      records.push({ key, value: value && Buffer.from(value), timeMs })
    }
    if (records.length === 0) throw new Error(`${topic} is empty`)
    writeFileSync(join(folder, `${topic}.bin`), encodeBatch(records))
  }
  await topics.close()
}
