/**
 * Memory of the pipelines that remember: `npm run bench:state -- [keys] [holds]` starts a Kafka and this; on one of yours
 * `HAETAE_KAFKA_BROKERS=host:port,… node bench/state-memory.ts [keys] [holds]`. The most resident memory (VmHWM) of
 *
 * - `detect` while that many clients each do what a correlation counts, snapshots of it all being written every 10 s, and of a second
 *   process that takes over what the first, killed, has left;
 * - `block` that begins with that many holds in its ledger, each changed three times before.
 *
 * Uses the topics of these pipelines: not for a cluster in use. Linux only: it reads /proc.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import type { Hold } from '../platform/response/hold.ts'
import type { TopicRecord } from '../platform/topics/contract.ts'
import type { KafkaTopics } from '../platform/topics/kafka/kafka.ts'
import { openKafka } from '../platform/topics/kafka/open.ts'
import { readKafkaSettings } from '../platform/topics/kafka/settings.ts'
import { generateWaf } from './generate/waf.ts'

const LAUNCHER = fileURLToPath(new URL('../pipelines/haetae.mjs', import.meta.url))
const MIB = 1024 * 1024
const WAIT_MS_MAX = 600_000
/** Two snapshots. */
const SNAPSHOTS_MS = 25_000
const AT_ONCE = 500

const keys = Number(process.argv[2] ?? 200_000)
/** As many as the ledger has by default. */
const holds = Number(process.argv[3] ?? 100_000)
const settings = readKafkaSettings(process.env)
if (!settings) throw new Error('HAETAE_KAFKA_BROKERS is not set: npm run bench:state starts a Kafka')
const topics = await openKafka(settings, { clock: systemClock, log: silentLog, metrics: createMetrics() })
const folder = mkdtempSync(join(tmpdir(), 'haetae-bench-state-'))
const retention = { ageMsMax: 24 * 3_600_000, bytesMax: 20 * 1024 ** 3 }

const clientOf = (number: number): string => `100.${64 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`

interface Running {
  readonly child: ChildProcess
  readonly url: string
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A process with one pipeline, once it is ready. */
async function start(file: string, name: string): Promise<Running> {
  const state = join(folder, name)
  mkdirSync(state, { recursive: true })
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child = spawn(process.execPath, ['--max-semi-space-size=8', LAUNCHER, 'run', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, HAETAE_STATE: state, HAETAE_STATUS_PORT: String(port), MALLOC_ARENA_MAX: '2' },
  })
  for (const last of ['exit', 'SIGTERM', 'SIGINT']) process.once(last, () => child.kill('SIGKILL'))
  child.once('exit', (code, signal) => {
    if (code !== 0 && signal === null) console.error(`${name} ended with ${code}:\n${said}`)
  })
  let said = ''
  child.stderr.on('data', chunk => {
    said = `${said}${chunk}`.slice(-20_000)
  })
  await until(`${name} is ready`, async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended:\n${said}`)
    return fetch(`${url}/readyz`).then(
      ({ status }) => status === 200,
      () => false,
    )
  })
  return { child, url }
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const startMs = systemClock.monotonicMs(); !(await holds()); await sleep(250)) {
    if (systemClock.monotonicMs() - startMs > WAIT_MS_MAX) throw new Error(`never: ${what}`)
  }
}

function mostMiB({ child }: Running): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return Math.round(Number(/^VmHWM:\s+(\d+)/m.exec(status)![1]) / 1024)
}

/** NaN while a busy process does not answer. */
async function metric({ child, url }: Running, name: string): Promise<number> {
  if (child.exitCode !== null || child.signalCode !== null) throw new Error('the measured process ended')
  const text = await fetch(`${url}/metrics`).then(
    answer => answer.text(),
    () => undefined,
  )
  if (text === undefined) return Number.NaN
  const lines = text.split('\n')
  return lines
    .filter(line => line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

async function end({ child }: Running, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
}

async function appendAll(topic: string, records: Iterable<TopicRecord>): Promise<void> {
  let batch: TopicRecord[] = []
  const send = async (): Promise<void> => {
    const { retry } = await topics.append(topic, batch)
    if (retry.length > 0) throw new Error(`${retry.length} records were given back`)
    batch = []
  }
  for (const record of records) if (batch.push(record) === AT_ONCE) await send()
  if (batch.length > 0) await send()
}

const RULES = `title: Any request
id: 953b895e-5cc9-454b-b183-7f3db55545aa
name: any_request
status: test
level: informational
logsource: { product: aws, service: waf }
detection:
  selection: { cs-uri-stem|startswith: / }
  condition: selection
---
title: Many requests
id: 953b895e-5cc9-454b-b183-7f3db55545ab
status: test
level: low
correlation:
  type: event_count
  rules: [any_request]
  group-by: [src_endpoint.ip]
  timespan: 1h
  condition: { gte: 100000 }
`

async function detect(): Promise<void> {
  const rules = join(folder, 'rules')
  mkdirSync(rules)
  writeFileSync(join(rules, 'many.yml'), RULES)
  const file = join(folder, 'detect-state.yaml')
  writeFileSync(
    file,
    `pipeline: detect-state
deliveriesMax: 2
residentBytesMax: 4194304
source: { type: topic, topic: events.waf, kind: waf, state: detect.state }
stages: [{ type: dedupe }, { type: parse-waf }, { type: geoip }]
detectors: [{ type: sigma, rules: [${rules}] }]
sinks: [{ type: drop, encode: false }]
alertSinks: [{ type: drop }]
`,
  )
  await topics.apply({ name: 'events.waf', partitions: 4, compacted: false, retention })
  await topics.apply({ name: 'detect.state', partitions: 4, compacted: true, retention })
  const nowMs = systemClock.now()
  const texts = [...generateWaf({ seed: 1, count: keys, startMs: nowMs - 60_000, durationMs: 60_000 })]
  const first = await start(file, 'detect')
  const records = function* (count: number): Generator<TopicRecord> {
    let number = 0
    for (const text of texts.slice(0, count)) {
      const client = clientOf(number++)
      const value = Buffer.from(text.replace(/"clientIp":"[^"]*"/, `"clientIp":"${client}"`))
      yield { key: client, value, timeMs: nowMs }
    }
  }
  await appendAll('events.waf', records(keys))
  await until('everything is counted', async () => (await metric(first, 'haetae_events_acked_total')) >= keys)
  await sleep(SNAPSHOTS_MS)
  const groups = await metric(first, 'haetae_correlation_groups_count')
  console.log(`detect, ${groups} groups: at most ${mostMiB(first)} MiB`)
  await end(first, 'SIGKILL')
  const second = await start(file, 'detect')
  // It says how many it knows once it counts again.
  await appendAll('events.waf', records(AT_ONCE))
  await until('it has taken over', async () => (await metric(second, 'haetae_correlation_groups_count')) >= groups)
  console.log(`detect, ${groups} groups taken over: at most ${mostMiB(second)} MiB`)
  await sleep(SNAPSHOTS_MS)
  console.log(`detect, ${groups} groups taken over, after its first snapshot: at most ${mostMiB(second)} MiB`)
  await end(second, 'SIGTERM')
}

function holdOf(number: number, seq: number, nowMs: number): Hold {
  const uid = hash('sha256', `hold ${number}`).slice(0, 32)
  const value = clientOf(number)
  const untilMs = nowMs + 3_600_000
  const change = (what: Hold['history'][number]['what']): Hold['history'][number] => ({
    what,
    time: nowMs,
    seq,
    who: 'detection',
    reason: 'Credential stuffing by one client',
    untilMs,
  })
  return {
    uid,
    target: { type: 'address', value },
    cidr: `${value}/32`,
    rule: 'credential_stuffing',
    reason: 'Credential stuffing by one client',
    alertUids: [uid],
    who: 'detection',
    source: 'detection',
    createdMs: nowMs,
    untilMs,
    // What an IP set can hold is active; the rest is remembered, as who comes again is blocked for longer.
    state: number < 9_000 ? 'active' : 'expired',
    ...(number < 9_000 ? {} : { endedMs: nowMs }),
    step: 1,
    dryRun: true,
    applied: [{ place: 'regional ap-northeast-2', ms: nowMs }],
    seq,
    history: [change('hold_created'), change('waf_written'), change('hold_expired')].slice(0, 1 + (seq % 3)),
  }
}

async function block(kafka: KafkaTopics): Promise<void> {
  const file = join(folder, 'block.yaml')
  const holdsMax = holds + 10_000
  writeFileSync(
    file,
    `pipeline: block
deliveriesMax: 1
residentBytesMax: 4194304
source: { type: topic, topic: decisions, kind: decision, commitMs: 200 }
stages: [{ type: parse-json }]
sinks: [{ type: blocks, holdsMax: ${holdsMax} }]
`,
  )
  for (const [name, compacted] of [
    ['decisions', false],
    ['audit', false],
    ['holds', true],
    ['holds.state', true],
  ] as const)
    await kafka.apply({
      name,
      partitions: 1,
      compacted,
      retention: { ageMsMax: 90 * 86_400_000, bytesMax: 10 * 1024 ** 3 },
    })
  const nowMs = systemClock.now()
  const times = 3
  const records = (function* (): Generator<TopicRecord> {
    for (let seq = 0; seq < holds * times; seq++) {
      const hold = holdOf(seq % holds, seq, nowMs)
      yield { key: hold.uid, value: Buffer.from(JSON.stringify(hold)), timeMs: nowMs }
    }
  })()
  await appendAll('holds', records)
  const only = await start(file, 'block')
  await until('the ledger is read', async () => (await metric(only, 'haetae_holds_count')) >= holds)
  await sleep(SNAPSHOTS_MS)
  const bytes = JSON.stringify(holdOf(1, times * holds, nowMs)).length
  const log = Math.round((bytes * holds * times) / MIB)
  console.log(`block, ${holds} holds in a topic of ${log} MiB: at most ${mostMiB(only)} MiB`)
  await end(only, 'SIGTERM')
}

try {
  await detect()
  await block(topics)
} finally {
  await topics.close()
  rmSync(folder, { recursive: true, force: true })
}
process.exit()
