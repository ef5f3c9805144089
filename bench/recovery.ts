/**
 * How long the lag is not ordinary after a consumer was killed at half capacity: `npm run bench:recovery` starts a Kafka and this; on one
 * of yours `HAETAE_KAFKA_BROKERS=host:port,… node bench/recovery.ts [--rate RECORDS_A_SECOND] [--kills N]`. Processes run the pipeline
 * `waf` into nothing: two of which one is killed, in turn, and is started again after 300 ms, as a Deployment does; then one alone. Without
 * a rate it measures what they can do before each kill, and sends half of it. Uses the topic `events.waf`: not for a cluster in use.
 *
 * Before each kill the lag must have been steady for 20 s, and its highest then is the bound of what is ordinary (lag-band.ts), or what
 * comes in 2 s if that is more; the time counts from the kill to the first of 5 s within it, once the lag had left it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import type { TopicRecord } from '../platform/topics/contract.ts'
import { openKafka } from '../platform/topics/kafka/open.ts'
import { readKafkaSettings } from '../platform/topics/kafka/settings.ts'
import { generateWaf } from './generate/waf.ts'
import { type Band, backSince, type LagSample, steadyBand } from './lag-band.ts'
import { spread } from './measure.ts'

const TOPIC = 'events.waf'
const PIPELINE = 'waf-recovery'
const LAUNCHER = fileURLToPath(new URL('../pipelines/haetae.mjs', import.meta.url))
const RESTART_MS = 300
const STEADY_MS = 20_000
/** A band that reaches further up than what comes in so long is no ordinary one: the machine does other things. */
const BAND_MS_MAX = 3_000
/** Positions are stored once a second: what comes in so long is never more lag than usual, however quiet it was before. */
const ALWAYS_ORDINARY_MS = 2_000
const STAYS_MS = 5_000
const LOOK_MS = 250
const SEND_MS = 50
const BACKLOG = 120_000
const WAIT_MS_MAX = 240_000

const { values: given } = parseArgs({
  options: { rate: { type: 'string' }, kills: { type: 'string', default: '5' } },
})
const kills = Number(given.kills)
const settings = readKafkaSettings(process.env)
if (!settings) throw new Error('HAETAE_KAFKA_BROKERS is not set: npm run bench:recovery starts a Kafka')
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
    const count = Math.min(due - mine, 500)
    if (count > 0) await append(count)
    mine += count
    if (due - mine < 500) await sleep(SEND_MS)
  }
}

async function lag(): Promise<LagSample> {
  const mine = (await topics.lagOf([TOPIC])).filter(({ group }) => group === PIPELINE)
  const total = mine.reduce((sum, { committed, end }) => sum + Number(end - committed), 0)
  return { atMs: systemClock.monotonicMs(), records: total }
}

function start(name: string): ChildProcess {
  const state = join(folder, name)
  mkdirSync(state, { recursive: true })
  const env = { ...process.env, HAETAE_STATE: state, HAETAE_STATUS_PORT: '0', HAETAE_LOG_LEVEL: 'error' }
  const child = spawn(process.execPath, ['--max-semi-space-size=8', LAUNCHER, 'run', file], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...env, MALLOC_ARENA_MAX: '2' },
  })
  process.once('exit', () => child.kill('SIGKILL'))
  child.once('exit', code => {
    if (code !== null && code !== 0) console.error(`consumer ${name} ended by itself with code ${code}`)
  })
  return child
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const startMs = systemClock.monotonicMs(); !(await holds()); await sleep(LOOK_MS)) {
    if (systemClock.monotonicMs() - startMs > WAIT_MS_MAX)
      throw new Error(`${what}: not within ${WAIT_MS_MAX / 1000} s`)
  }
}

/** Records a second that the consumers settle, all at work, when they are never short of work. */
async function capacity(): Promise<number> {
  for (const end = sent + BACKLOG; sent < end; ) await append(500)
  let from = await lag()
  // What a start costs is not counted.
  await until('the backlog shrinks', async () => {
    const now = await lag()
    const shrinks = now.records < BACKLOG * 0.9
    if (shrinks) from = now
    return shrinks
  })
  let to = from
  await until('the backlog is worked off', async () => {
    to = await lag()
    return to.records < BACKLOG / 10
  })
  return ((from.records - to.records) / (to.atMs - from.atMs)) * 1_000
}

async function steady(perSecond: number): Promise<Band> {
  const samples: LagSample[] = []
  let band: Band | undefined
  await until('the lag is steady: the consumers do not keep up with this rate', async () => {
    samples.push(await lag())
    band = steadyBand(samples, STEADY_MS)
    return band !== undefined && band.most <= (perSecond * BAND_MS_MAX) / 1_000
  })
  return band!
}

/** Milliseconds from now until the lag is within its bound again, and its peak until then; what it was meanwhile when it never is. */
async function recovery(most: number): Promise<{ readonly ms: number; readonly peak: number }> {
  const startMs = systemClock.monotonicMs()
  const samples: LagSample[] = []
  let sinceMs: number | undefined
  try {
    await until('the lag is ordinary again', async () => {
      const now = await lag()
      samples.push(now)
      const away = samples.findIndex(each => each.records > most)
      sinceMs = away < 0 ? undefined : backSince(samples.slice(away), most, STAYS_MS)
      return sinceMs !== undefined
    })
  } catch (thrown) {
    console.log(
      `  lag: ${samples.map(({ atMs, records: some }) => `${Math.round((atMs - startMs) / 1_000)} s ${some}`).join(', ')}`,
    )
    throw thrown
  }
  return { ms: sinceMs! - startMs, peak: Math.max(...samples.map(each => each.records)) }
}

/** Kills one of the consumers, in turn, and starts it again. */
async function measure(names: readonly string[], title: string): Promise<void> {
  console.log(title)
  const consumers = new Map(names.map(name => [name, start(name)]))
  const seconds: number[] = []
  for (let kill = 0; kill < kills; kill++) {
    const perSecond = given.rate === undefined ? (await capacity()) / 2 : Number(given.rate)
    const stop = new AbortController()
    const sending = send(perSecond, stop.signal)
    const band = await steady(perSecond)
    const name = names[kill % names.length]!
    const load = loadavg()[0]!
    consumers.get(name)!.kill('SIGKILL')
    const restarting = sleep(RESTART_MS).then(() => consumers.set(name, start(name)))
    const bound = Math.max(band.most, (perSecond * ALWAYS_ORDINARY_MS) / 1_000)
    const { ms, peak } = await recovery(bound)
    await restarting
    stop.abort()
    await sending
    seconds.push(ms / 1_000)
    const said = `${band.median} before it (at most ${band.most}), at its peak ${peak}, load ${load.toFixed(1)}`
    console.log(
      `  kill ${kill + 1}, ${Math.round(perSecond)} records a second: lag ordinary again after ${(ms / 1_000).toFixed(1)} s; ${said}`,
    )
  }
  const { min, median, max } = spread(seconds)
  console.log(`  ${kills} kills: median ${median.toFixed(1)} s (${min.toFixed(1)}–${max.toFixed(1)})`)
  for (const consumer of consumers.values()) consumer.kill('SIGTERM')
  await Promise.all([...consumers.values()].map(gone))
}

function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise(resolve => child.once('exit', () => resolve()))
}

await measure(['a', 'b'], 'one of two consumers')
await measure(['a'], 'one consumer alone')
await topics.close()
rmSync(folder, { recursive: true, force: true })
process.exit(0)
