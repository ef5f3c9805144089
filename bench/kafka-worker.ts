/** The measured processes of bench/kafka-pipeline.ts, and what fills their topic. */
import { systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import type { TopicRecord } from '../platform/topics/contract.ts'
import type { KafkaTopics } from '../platform/topics/kafka/kafka.ts'
import { openKafka } from '../platform/topics/kafka/open.ts'
import { readKafkaSettings } from '../platform/topics/kafka/settings.ts'
import { eachLine } from './input.ts'
import { measured, type Sample } from './measure.ts'
import { BenchPipeline } from './pipelines.ts'

/** What one measured process is to do. */
export interface ChildOrder {
  readonly from: 'file' | 'kafka' | 'produce'
  readonly topic: string
  readonly group: string
  readonly sinkType: string
  readonly sinkConfig: object
  readonly input: string
  readonly warmUp: string
  readonly client: string
}

export interface Measured extends Sample {
  /** The most that the process ever had, its warm-up and the records to produce included. */
  readonly residentMiBMax: number
}

/** What a measured process says: that it may begin, and then what it cost. */
export type WorkerMessage = { readonly is: 'ready' } | { readonly is: 'sample'; readonly sample: Measured }

/** As the pipeline `waf`; `waf-lake` has `dedupe` before them. */
const STAGES = ['parse-waf', 'geoip', 'redact']
const APPENDS_AT_ONCE = 8
const RECORDS_AT_ONCE = 500
/** A group of two is shared out anew when the second comes: until then neither reads. */
const SETTLED_MS = 4_000
const PARTITIONS = 4

/** Of HAETAE_KAFKA_BROKERS and what belongs to it. */
export function openBenchKafka(client: string): Promise<KafkaTopics> {
  const settings = readKafkaSettings({ ...process.env, HAETAE_KAFKA_CLIENT: client })
  if (!settings) throw new Error('HAETAE_KAFKA_BROKERS is not set: npm run bench:kafka starts a Kafka')
  return openKafka(settings, { clock: systemClock, log: silentLog, metrics: createMetrics() })
}

/** Makes the topic and writes each line of the file into it. */
export async function fillTopic(client: string, topic: string, path: string): Promise<void> {
  const kafka = await openBenchKafka(client)
  const retention = { ageMsMax: 24 * 3_600_000, bytesMax: 20 * 1024 ** 3 }
  await kafka.apply({ name: topic, partitions: PARTITIONS, compacted: false, retention })
  await append(kafka, topic, recordsOf(path))
  await kafka.close()
}

export async function memberChild(order: ChildOrder): Promise<void> {
  const tell = (message: WorkerMessage): Promise<void> =>
    new Promise(resolve => process.send?.(message, () => resolve()))
  const go = new Promise<void>(resolve => {
    process.on('message', message => {
      if (message === 'go') resolve()
    })
  })
  const begin = async (): Promise<void> => {
    await tell({ is: 'ready' })
    await go
  }
  const sample = await runs[order.from](order, begin)
  await tell({ is: 'sample', sample: { ...sample, residentMiBMax: process.resourceUsage().maxRSS / 1024 } })
  process.exit()
}

type Run = (order: ChildOrder, begin: () => Promise<void>) => Promise<Sample>

const runs: Readonly<Record<ChildOrder['from'], Run>> = {
  async file({ input, warmUp }, begin) {
    const pipeline = await BenchPipeline.open(STAGES)
    await pipeline.file(warmUp, 'drop', {})
    await begin()
    return measured(() => pipeline.file(input, 'drop', {}))
  },
  async produce({ topic, input, warmUp, client, group }, begin) {
    const kafka = await openBenchKafka(client)
    const name = `${topic}-${group}`
    const retention = { ageMsMax: 3_600_000, bytesMax: 20 * 1024 ** 3 }
    await kafka.apply({ name, partitions: PARTITIONS, compacted: false, retention })
    await append(kafka, name, recordsOf(warmUp))
    const records = recordsOf(input)
    await begin()
    const sample = await measured(async () => {
      await append(kafka, name, records)
      return { events: records.length, bytes: records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0) }
    })
    await kafka.close()
    return sample
  },
  async kafka({ topic, group, sinkType, sinkConfig, warmUp, client }, begin) {
    const kafka = await openBenchKafka(client)
    const pipeline = await BenchPipeline.open(sinkType === 'lake' ? ['dedupe', ...STAGES] : STAGES)
    await pipeline.file(warmUp, 'drop', {})
    const stop = new AbortController()
    process.on('message', message => {
      if (message === 'stop') stop.abort()
    })
    const total = { events: 0, bytes: 0, seconds: 0, cpuSeconds: 0 }
    let cpu = process.cpuUsage()
    let startMs = performance.now()
    const joined = async (): Promise<void> => {
      await new Promise(resolve => setTimeout(resolve, SETTLED_MS))
      await begin()
      cpu = process.cpuUsage()
      startMs = performance.now()
    }
    // Until the last record was durable: what follows is waiting to be told so.
    const settled = ({ events, bytes }: { readonly events: number; readonly bytes: number }): void => {
      total.events += events
      total.bytes += bytes
      total.seconds = (performance.now() - startMs) / 1000
      const { user, system } = process.cpuUsage(cpu)
      total.cpuSeconds = (user + system) / 1e6
    }
    await pipeline.member(kafka, { topic, group, sinkType, sinkConfig }, joined, settled, stop.signal)
    await kafka.close()
    return total
  },
}

function recordsOf(path: string): TopicRecord[] {
  const records: TopicRecord[] = []
  const timeMs = systemClock.now()
  eachLine(path, (chunk, from, to) => {
    records.push({ key: `203.0.${records.length % 250}.7`, value: Buffer.from(chunk.subarray(from, to)), timeMs })
  })
  return records
}

/** Several appends at once, as concurrent requests of the ingest pipeline make them. */
async function append(kafka: KafkaTopics, topic: string, records: readonly TopicRecord[]): Promise<void> {
  let next = 0
  const one = async (): Promise<void> => {
    while (next < records.length) {
      const from = next
      next += RECORDS_AT_ONCE
      const { retry } = await kafka.append(topic, records.slice(from, next))
      if (retry.length > 0) throw new Error(`${retry.length} records were given back`)
    }
  }
  await Promise.all(Array.from({ length: APPENDS_AT_ONCE }, one))
}
