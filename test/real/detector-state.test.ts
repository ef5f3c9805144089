import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { RecordEvent } from '../../engine/event.ts'
import type { FetchedRecord, TopicRecord, Topics } from '../../platform/topics/contract.ts'
import { placeOf } from '../../platform/topics/place.ts'
import { countingDetector } from '../support/counting-detector.ts'
import { pause } from '../support/program.ts'
import { options } from '../topics/support.ts'
import { type RealKafka, startKafka } from './servers/kafka.ts'
import { keptTopic, openTopicsOn, topicsOfTests } from './servers/kafka-topics.ts'

const EVENTS = 6_000
const CHUNK = 100
const CONSUMER = fileURLToPath(new URL('state-consumer.ts', import.meta.url))

let kafka: RealKafka
beforeAll(async () => {
  kafka = await startKafka()
})
afterAll(() => kafka?.stop())

const tested = topicsOfTests(() => kafka.brokers)
const running: ChildProcess[] = []
let output = ''
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL')
})

async function consumer(client: string, names: readonly string[]): Promise<ChildProcess> {
  const env = { ...process.env, HAETAE_KAFKA_BROKERS: kafka.brokers, HAETAE_KAFKA_CLIENT: client }
  const child = spawn(process.execPath, [CONSUMER, ...names, `count-${client}`], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.push(child)
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-5_000)
  })
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
  expect(child.exitCode, output).toBeNull()
  return child
}

function eventOf(n: number): TopicRecord {
  const client = `192.0.2.${(n * 7) % 41}`
  return { key: client, value: Buffer.from(JSON.stringify({ n, client })), timeMs: Date.now() }
}

async function read(topics: Topics, topic: string, count: number) {
  const subscription = await topics.subscribe(options(topic))
  const found: { readonly stream: string; readonly record: FetchedRecord }[] = []
  while (found.length < count) {
    const fetched = await subscription.poll(AbortSignal.timeout(5_000))
    if (!fetched) break
    for (const record of fetched.records) found.push({ stream: placeOf(fetched), record })
  }
  await subscription.close()
  return found
}

/** What a detector that was never disturbed tells, by id. */
async function undisturbed(topics: Topics, events: string): Promise<ReadonlyMap<string, string>> {
  const detector = countingDetector()
  const alerts = new Map<string, string>()
  for (const { stream, record } of await read(topics, events, EVENTS)) {
    const event = new RecordEvent('waf', record.value!, 0, { stream, position: record.offset })
    detector.detect([event], alert => alerts.set(alert.id, alert.raw.toString()))
  }
  return alerts
}

test.each(['kafkajs', 'platformatic'] as const)(
  'by %s, two consumers of which one is killed again and again give the alerts of a single undisturbed one',
  async client => {
    const topics = tested.open(client)
    const configs = [
      keptTopic({ partitions: 4 }),
      keptTopic({ partitions: 2, compacted: true }),
      keptTopic({ partitions: 1 }),
    ]
    // The source makes sure of its topic with settings of its own.
    configs[1] = { ...configs[1]!, partitions: 4, retention: { ageMsMax: 7 * 86_400_000, bytesMax: 10 * 1024 ** 3 } }
    configs[2] = { ...configs[2]!, retention: { ageMsMax: 168 * 3_600_000, bytesMax: 10 * 1024 ** 3 } }
    for (const config of configs) await topics.apply(config)
    const names = configs.map(({ name }) => name)
    const [events, state, alerts] = names as [string, string, string]
    const steady = await consumer(client, names)
    let victim = await consumer(client, names)
    for (let sent = 0; sent < EVENTS; sent += CHUNK) {
      await topics.append(
        events,
        Array.from({ length: CHUNK }, (_, at) => eventOf(sent + at)),
      )
      await pause(200)
      if (sent % 2_000 !== 1_000) continue
      victim.kill('SIGKILL')
      await once(victim, 'exit')
      await pause(500)
      victim = await consumer(client, names)
    }
    const lag = async (): Promise<number> => {
      const asked = openTopicsOn(kafka.brokers, client)
      const lags = await asked.lagOf([events])
      await asked.close()
      return lags.reduce(
        (sum, { group, committed, end }) => sum + (group === `count-${client}` ? Number(end - committed) : 0),
        0,
      )
    }
    await expect.poll(lag, { timeout: 120_000, interval: 1_000, message: output }).toBe(0)
    for (const child of [steady, victim]) {
      child.kill('SIGTERM')
      expect(await once(child, 'exit'), output).toEqual([0, null])
    }

    const expected = await undisturbed(topics, events)
    const given = await read(topics, alerts, Number.POSITIVE_INFINITY)
    const byId = new Map(
      given.map(({ record }) => [
        (JSON.parse(record.value!.toString()) as { message: string }).message,
        record.value!.toString(),
      ]),
    )
    const wrong = [...expected].filter(([id, content]) => byId.get(id) !== content).map(([id]) => id)
    expect(wrong).toEqual([])
    expect(byId.size).toBe(expected.size)
    expect(expected.size).toBeGreaterThan(EVENTS / 4)
    // What is kept does not grow with what was read: superseded snapshots are deleted.
    let kept = 0
    for await (const { value } of topics.readCompacted(state)) kept += value === null ? 0 : 1
    expect(kept).toBeLessThan(200)
  },
)
