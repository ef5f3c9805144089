/**
 * What producing to and consuming from a Kafka costs this process, for each client library, in turn:
 * `HAETAE_KAFKA_BROKERS=host:port HAETAE_KAFKA_REPLICATION=1 node bench/kafka.ts [count]`. Makes a topic of its own.
 */
import { systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import type { TopicRecord, Topics } from '../platform/topics/contract.ts'
import { openKafka } from '../platform/topics/kafka/open.ts'
import { readKafkaSettings } from '../platform/topics/kafka/settings.ts'
import { generateWaf } from './generate/waf.ts'
import { cpuPerMillion, measured, type Sample } from './measure.ts'

const APPENDS_AT_ONCE = 8
const RECORDS_AT_ONCE = 500
const DISTINCT = 20_000
const ROUNDS = 3

const count = Number(process.argv[2] ?? 400_000)
const retention = { ageMsMax: 3_600_000, bytesMax: 20 * 1024 ** 3 }
const config = { name: `bench-${process.pid}`, partitions: 4, compacted: false, retention }

function records(): TopicRecord[] {
  const nowMs = systemClock.now()
  const texts = generateWaf({ seed: 1, count: DISTINCT, startMs: nowMs - 3_600_000, durationMs: 3_600_000 })
  return [...texts].map((text, index) => ({ key: `203.0.${index % 250}.7`, value: Buffer.from(text), timeMs: nowMs }))
}

async function produce(topics: Topics, source: readonly TopicRecord[]): Promise<Sample> {
  let sent = 0
  return measured(async () => {
    const append = async (): Promise<void> => {
      while (sent < count) {
        const from = sent % (source.length - RECORDS_AT_ONCE)
        sent += RECORDS_AT_ONCE
        const { retry } = await topics.append(config.name, source.slice(from, from + RECORDS_AT_ONCE))
        if (retry.length > 0) throw new Error(`${retry.length} records were given back`)
      }
    }
    await Promise.all(Array.from({ length: APPENDS_AT_ONCE }, append))
    return { events: sent, bytes: 0 }
  })
}

async function consume(topics: Topics, group: string): Promise<Sample> {
  const listener = { assigned: () => undefined, revoked: () => undefined }
  const bounds = { recordsMax: 500, bytesMax: 1024 ** 2 }
  const subscription = await topics.subscribe({ group, topics: [config.name], from: 'earliest', listener, ...bounds })
  const sample = await measured(async () => {
    let [events, bytes] = [0, 0]
    while (events < count) {
      const fetched = await subscription.poll(AbortSignal.timeout(60_000))
      if (!fetched) throw new Error(`${events} of ${count} records came`)
      events += fetched.records.length
      for (const { value } of fetched.records) bytes += value?.length ?? 0
    }
    return { events, bytes }
  })
  await subscription.close()
  return sample
}

const settings = readKafkaSettings(process.env)
if (!settings) throw new Error('HAETAE_KAFKA_BROKERS is not set')
const source = records()
for (let round = 1; round <= ROUNDS; round++) {
  for (const client of ['kafkajs', 'platformatic'] as const) {
    const name = `${config.name}-${client}-${round}`
    const topics = await openKafka(
      { ...settings, client },
      { clock: systemClock, log: silentLog, metrics: createMetrics() },
    )
    if (round === 1 && client === 'kafkajs') await topics.apply(config)
    for (const [what, sample] of [
      ['produce', await produce(topics, source)],
      ['consume', await consume(topics, name)],
    ] as const) {
      const perSecond = Math.round(sample.events / sample.seconds)
      console.log(`${client} ${what}: ${cpuPerMillion(sample).toFixed(1)} CPU s a million, ${perSecond} records/s`)
    }
    await topics.close()
  }
}
