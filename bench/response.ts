/**
 * How long an attacker goes on: `npm run bench:response -- [--rate N] [--seconds N] [--rounds N] [--json]`. `haetae up`, whole as `npm start` runs
 * it, takes made-up traffic at a rate while attackers are planted among it; each is blocked in the fake WAF, which takes one write a
 * second as AWS's does. Prints, from the arrival of the record that completed the evidence to the acknowledged write, p50, p95 and
 * p99: in all, our own part (until the hold is durable) and that of the writer's pacing. Says which rate was reached, and what waited.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { readHoldings } from '../pipelines/holds.ts'
import { readSettings } from '../pipelines/settings.ts'
import { connectOwner } from '../platform/topics/client.ts'
import { attackOf, bodies, stamped } from './response/traffic.ts'

const LAUNCHER = fileURLToPath(new URL('../pipelines/haetae.mjs', import.meta.url))
const KEY = 'bench'
const CONNECTIONS = 4
/** The budget takes 60 a minute, and a bench must not trip it. */
const ATTACKERS_MAX = 54
const WAIT_MS_MAX = 120_000

interface Round {
  /** Records accepted in a second, and asked for. */
  readonly rate: number
  readonly asked: number
  readonly refused: number
  /** Records that detection had not read when the sending ended. */
  readonly behind: number
  readonly blocked: number
  readonly attackers: number
  readonly all: Spread
  readonly own: Spread
  readonly pacing: Spread
}
interface Spread {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rate: { type: 'string', default: '20000' },
      seconds: { type: 'string', default: '15' },
      rounds: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
    },
  })
  const [rate, seconds, rounds] = [values.rate, values.seconds, values.rounds].map(Number) as [number, number, number]
  const loadBefore = loadavg()[0]!
  const done: Round[] = []
  for (let n = 0; n < rounds; n++) {
    const round = await oneRound(n, rate, seconds)
    done.push(round)
    if (!values.json) console.log(lineOf(n, round))
  }
  if (values.json) console.log(JSON.stringify({ loadBefore, rounds: done }, null, 2))
  else console.log(`load of the machine before: ${loadBefore.toFixed(1)}`)
}

/** A process and a state of its own, so that no round pays for the one before. */
async function oneRound(n: number, rate: number, seconds: number): Promise<Round> {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-bench-response-'))
  const up = startUp(folder)
  try {
    const url = await greeting(up)
    const attackers = attackersOf(n, seconds)
    await warm(url, folder)
    const sending = send(url, rate, seconds)
    const planting = plant(url, attackers, seconds)
    const { accepted, refused, tookMs } = await sending
    await planting
    const behind = await waiting(folder)
    const latencies = await blocked(folder, attackers)
    return {
      rate: Math.round(accepted / (tookMs / 1_000)),
      asked: rate,
      refused,
      behind,
      blocked: latencies.length,
      attackers: attackers.length,
      all: spreadOf(latencies.map(({ own, pacing }) => own + pacing)),
      own: spreadOf(latencies.map(({ own }) => own)),
      pacing: spreadOf(latencies.map(({ pacing }) => pacing)),
    }
  } finally {
    const ended = up.exitCode === null ? once(up, 'exit') : undefined
    up.kill()
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The first block also waits for rules, databases and code to be loaded; it is not counted. */
async function warm(url: string, folder: string): Promise<void> {
  const address = '45.149.0.1'
  await pause(3_000)
  while (!(await post(url, attackOf(address)))) await pause(500)
  await blocked(folder, [address])
}

function startUp(folder: string): ChildProcess {
  return spawn(process.execPath, ['--max-semi-space-size=8', LAUNCHER, 'up', '--no-sample'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      OPENSEARCH_URL: '',
      HAETAE_BLOCKING: 'off',
      HAETAE_STATE: folder,
      HAETAE_LAKE: join(folder, 'lake'),
      HAETAE_FIREHOSE_KEY: KEY,
      HAETAE_INGEST_PORT: '0',
      HAETAE_STATUS_PORT: '0',
    },
  })
}

async function greeting(up: ChildProcess): Promise<string> {
  let said = ''
  up.stderr!.setEncoding('utf8')
  for await (const text of up.stderr!.iterator({ destroyOnReturn: false })) {
    said += text as string
    const [, url] = /ingest +(http:\/\/[\d.:]+)\/firehose/.exec(said) ?? []
    if (!url) continue
    up.stderr!.resume()
    return url
  }
  throw new Error(`haetae up ended at its start: ${said}`)
}

/** One each so often over the round, two seconds of it spared at both ends; addresses that no other round has. */
function attackersOf(n: number, seconds: number): readonly string[] {
  const count = Math.max(1, Math.min(ATTACKERS_MAX, Math.floor((seconds - 4) * 2)))
  return Array.from({ length: count }, (_, at) => `45.148.${10 + (n % 200)}.${at + 1}`)
}

async function plant(url: string, attackers: readonly string[], seconds: number): Promise<void> {
  await pause(2_000)
  for (const address of attackers) {
    const began = performance.now()
    while (!(await post(url, attackOf(address)))) await pause(100)
    await pause(Math.max(0, ((seconds - 4) * 1_000) / attackers.length - (performance.now() - began)))
  }
}

/** Records at the rate, each another one, or as many as are taken. */
async function send(url: string, rate: number, seconds: number) {
  const templates = bodies()
  const began = performance.now()
  const total = rate * seconds
  let begun = 0
  let accepted = 0
  let refused = 0
  const connection = async (): Promise<void> => {
    for (;;) {
      const elapsedMs = performance.now() - began
      if (begun >= total || elapsedMs > seconds * 1_000) return
      const aheadMs = (begun / rate) * 1_000 - elapsedMs
      if (aheadMs > 0) {
        await pause(aheadMs)
        continue
      }
      const template = templates[(begun / templates[0]!.records) % templates.length]!
      begun += template.records
      if (await post(url, stamped(template, Date.now()))) accepted += template.records
      else refused += template.records
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, connection))
  return { accepted, refused, tookMs: performance.now() - began }
}

async function post(url: string, body: Buffer): Promise<boolean> {
  const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/x-ndjson' }
  const answer = await fetch(`${url}/ingest/waf`, { method: 'POST', headers, body })
  await answer.arrayBuffer()
  if (answer.status !== 200 && answer.status !== 503) throw new Error(`a request was answered ${answer.status}`)
  return answer.status === 200
}

async function waiting(folder: string): Promise<number> {
  const owner = await connectOwner(join(folder, 'topics'))
  if (!owner) throw new Error('haetae up ended')
  try {
    const lags = (await owner.lag()).filter(({ group, topic }) => group === 'detect' && topic === 'events.waf')
    return Number(lags.reduce((sum, { committed, end }) => sum + end - committed, 0n))
  } finally {
    owner.close()
  }
}

/** Of each attacker that was blocked within two minutes of the end. */
async function blocked(folder: string, attackers: readonly string[]) {
  const settings = readSettings({ HAETAE_STATE: folder })
  const untilMs = performance.now() + WAIT_MS_MAX
  for (;;) {
    const { holds } = await readHoldings(settings)
    const found = holds.flatMap(({ target, receivedMs, history }) => {
      const created = history.find(({ what }) => what === 'hold_created')
      const written = history.find(({ what }) => what === 'waf_written')
      if (!attackers.includes(target.value) || receivedMs === undefined || !created || !written) return []
      return [{ target: target.value, own: created.time - receivedMs, pacing: written.time - created.time }]
    })
    const first = [...new Map(found.map(each => [each.target, each])).values()]
    if (first.length === attackers.length || performance.now() > untilMs) return first
    await pause(500)
  }
}

function spreadOf(given: readonly number[]): Spread {
  const sorted = given.toSorted((left, right) => left - right)
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}

function lineOf(
  n: number,
  { rate, asked, refused, behind, blocked: count, attackers, all, own, pacing }: Round,
): string {
  const part = (name: string, { p50, p95, p99 }: Spread): string => `${name} ${p50} / ${p95} / ${p99}`
  const parts = [part('all', all), part('own', own), part('pacing', pacing)].join(' · ')
  return `round ${n + 1}: ${rate.toLocaleString('en')} of ${asked.toLocaleString('en')} records/s taken (${refused} answered 503), ${count} of ${attackers} attackers blocked; p50 / p95 / p99 in ms: ${parts}; ${behind.toLocaleString('en')} records behind at the end`
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

await main()
