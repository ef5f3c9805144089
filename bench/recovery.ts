/**
 * How long the lag is not normal after a consumer was killed at half capacity, on a Kafka of yours:
 * `HAETAE_KAFKA_BROKERS=host:port,… node bench/recovery.ts [records a second] [kills]`. Two processes run the `waf` pipeline into
 * nothing; the killed one is started again after 300 ms, as a Deployment does. Without a rate it measures what the two can do and takes half of
 * it. Uses the topic `events.waf` and the group `waf-recovery`: not for a cluster in use.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import type { TopicRecord } from '../platform/topics/contract.ts'
import { openKafka } from '../platform/topics/kafka/open.ts'
import { readKafkaSettings } from '../platform/topics/kafka/settings.ts'
import { generateWaf } from './generate.ts'

const TOPIC = 'events.waf'
const PIPELINE = 'waf-recovery'
const LAUNCHER = fileURLToPath(new URL('../pipelines/haetae.mjs', import.meta.url))
const RESTART_MS = 300
const STEADY_MS = 10_000
const LOOK_MS = 250
const SEND_MS = 50
const BACKLOG = 100_000
const RECOVERY_MS_MAX = 120_000

const settings = readKafkaSettings(process.env)
if (!settings) throw new Error('HAETAE_KAFKA_BROKERS is not set')
const kills = Number(process.argv[3] ?? 3)
const topics = await openKafka(settings, { clock: systemClock, log: silentLog, metrics: createMetrics() })
const retention = { ageMsMax: 3_600_000, bytesMax: 20 * 1024 ** 3 }
await topics.apply({ name: TOPIC, partitions: 4, compacted: false, retention })
const folder = mkdtempSync(join(tmpdir(), 'haetae-bench-recovery-'))
const file = join(folder, `${PIPELINE}.yaml`)
const stages = ['parse-waf', 'geoip', 'redact'].map(type => `  - type: ${type}\n`).join('')
writeFileSync(
  file,
  `pipeline: ${PIPELINE}\nsource: { type: topic, topic: ${TOPIC}, kind: waf }\nstages:\n${stages}sinks:\n  - type: drop\n`,
)

const records = makeRecords()
let sent = 0

function makeRecords(): TopicRecord[] {
  const nowMs = systemClock.now()
  const texts = [...generateWaf({ seed: 1, count: 20_000, startMs: nowMs - 3_600_000, durationMs: 3_600_000 })]
  return texts.map((text, at) => ({ key: `203.0.${at % 250}.7`, value: Buffer.from(text), timeMs: nowMs }))
}

async function append(count: number): Promise<void> {
  const next = Array.from({ length: count }, (_, at) => records[(sent + at) % records.length]!)
  sent += count
  const { retry } = await topics.append(TOPIC, next)
  if (retry.length > 0) throw new Error(`${retry.length} records were given back`)
}

/** Sends at this pace until `signal` aborts. */
async function send(perSecond: number, signal: AbortSignal): Promise<void> {
  const startMs = systemClock.monotonicMs()
  let mine = 0
  while (!signal.aborted) {
    const due = Math.floor(((systemClock.monotonicMs() - startMs) / 1_000) * perSecond)
    if (due > mine) await append(Math.min(due - mine, 500))
    mine += Math.min(Math.max(due - mine, 0), 500)
    if (due - mine < 500) await sleep(SEND_MS)
  }
}

async function lag(): Promise<number> {
  const mine = (await topics.lagOf([TOPIC])).filter(({ group }) => group === PIPELINE)
  return mine.reduce((sum, { committed, end }) => sum + Number(end - committed), 0)
}

function start(name: string): ChildProcess {
  const state = join(folder, name)
  mkdirSync(state, { recursive: true })
  const env = { ...process.env, HAETAE_STATE: state, HAETAE_STATUS_PORT: '0', HAETAE_LOG_LEVEL: 'error' }
  const child = spawn(process.execPath, ['--max-semi-space-size=8', LAUNCHER, 'run', file], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...env, MALLOC_ARENA_MAX: '2' },
  })
  process.once('exit', () => child.kill('SIGKILL'))
  return child
}

/** Records a second that the two consumers settle when they are never short of work. */
async function capacity(): Promise<number> {
  while (sent < BACKLOG) await append(500)
  // The first commit of a session comes after it has begun: the time before it is not counted, nor has the group a lag before it.
  let before = await lag()
  for (; before === 0; before = await lag()) await sleep(LOOK_MS)
  const startMs = systemClock.monotonicMs()
  for (let left = before; ; left = await lag()) {
    if (left < before / 10) return ((before - left) / (systemClock.monotonicMs() - startMs)) * 1_000
    await sleep(LOOK_MS)
  }
}

/** The highest lag of a while in which nothing happens. */
async function steadyLag(): Promise<number> {
  let most = 0
  const untilMs = systemClock.monotonicMs() + STEADY_MS
  while (systemClock.monotonicMs() < untilMs) {
    most = Math.max(most, await lag())
    await sleep(LOOK_MS)
  }
  return most
}

/** Seconds from the kill until lag is within `normal` again and stays there for as long as a commit takes; and its peak. */
async function recovery(normal: number): Promise<{ readonly seconds: number; readonly peak: number }> {
  const startMs = systemClock.monotonicMs()
  let [peak, normalSinceMs] = [0, Number.NaN]
  while (systemClock.monotonicMs() - startMs < RECOVERY_MS_MAX) {
    const now = await lag()
    const atMs = systemClock.monotonicMs()
    peak = Math.max(peak, now)
    if (now > normal) normalSinceMs = Number.NaN
    else if (Number.isNaN(normalSinceMs)) normalSinceMs = atMs
    if (peak > normal && atMs - normalSinceMs > 3_000) return { seconds: (normalSinceMs - startMs) / 1_000, peak }
    await sleep(LOOK_MS)
  }
  return { seconds: Number.POSITIVE_INFINITY, peak }
}

let consumers = [start('a'), start('b')]
const perSecond = Number(process.argv[2] ?? 0) || (await capacity()) / 2
console.log(`${Math.round(perSecond)} records a second to two consumers`)
const stop = new AbortController()
const sending = send(perSecond, stop.signal)
while ((await lag()) > perSecond * 3 || sent === 0) await sleep(LOOK_MS)
for (let kill = 1; kill <= kills; kill++) {
  const normal = await steadyLag()
  const [victim, other] = consumers
  victim!.kill('SIGKILL')
  const restarting = sleep(RESTART_MS).then(() => start(kill % 2 === 1 ? 'a' : 'b'))
  const { seconds, peak } = await recovery(normal)
  // Each in turn.
  consumers = [other!, await restarting]
  console.log(`kill ${kill}: lag normal (at most ${normal}) again after ${seconds.toFixed(1)} s, at its peak ${peak}`)
}
stop.abort()
await sending
for (const consumer of consumers) consumer.kill('SIGTERM')
await topics.close()
await sleep(2_000)
rmSync(folder, { recursive: true, force: true })
process.exit(0)
