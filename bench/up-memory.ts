/** Resident memory of `haetae up` from its start until everything it was sent is in the lake. Linux only: it reads /proc. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectOwner } from '../platform/topics/client.ts'
import { generateWaf } from './generate.ts'
import type { Spread } from './measure.ts'
import { quarters } from './memory.ts'

export interface UpMemoryResult {
  readonly events: number
  readonly peakMiB: number
  /** What the process itself says at its start. */
  readonly ceilingMiB: number
  readonly quarters: readonly Spread[]
}

const LAUNCHER = fileURLToPath(new URL('../pipelines/haetae.mjs', import.meta.url))
const KEY = 'bench'
const SAMPLE_MS = 100
const RECORDS_A_REQUEST = 500
const CONNECTIONS = 8
/** The first quarter of the records comes at this pace, the rest as fast as it is answered. */
const STEADY_PER_SECOND = 5_000

/** Sends `count` records, all different, as Firehose does. Throws when the process ends before it is told to. */
export async function upMemory(count: number): Promise<UpMemoryResult> {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-bench-up-'))
  const up = startUp(folder)
  const samples: number[] = []
  const timer = setInterval(() => samples.push(statusMiB(up, 'VmRSS')), SAMPLE_MS)
  try {
    const { url, ceilingMiB } = await greeting(up)
    await send(url, count)
    await settled(folder)
    return { events: count, peakMiB: statusMiB(up, 'VmHWM'), ceilingMiB, quarters: quarters(samples) }
  } finally {
    clearInterval(timer)
    const ended = up.exitCode === null ? once(up, 'exit') : undefined
    up.kill()
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
}

export function upMemoryText({ events, peakMiB, ceilingMiB, quarters: parts }: UpMemoryResult): string {
  const medians = parts.map(({ median }) => Math.round(median)).join(', ')
  return `memory of up over ${events.toLocaleString('en')} records: at most ${Math.round(peakMiB)} MiB resident, of a ceiling of ${ceilingMiB}; median of each quarter of the run: ${medians} MiB`
}

function startUp(folder: string): ChildProcess {
  return spawn(process.execPath, [...process.execArgv, LAUNCHER, 'up', '--no-sample'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      OPENSEARCH_URL: '',
      HAETAE_STATE: folder,
      HAETAE_LAKE: join(folder, 'lake'),
      HAETAE_FIREHOSE_KEY: KEY,
      HAETAE_INGEST_PORT: '0',
      HAETAE_STATUS_PORT: '0',
      HAETAE_LOG_LEVEL: 'info',
    },
  })
}

async function greeting(up: ChildProcess): Promise<{ readonly url: string; readonly ceilingMiB: number }> {
  let said = ''
  up.stderr!.setEncoding('utf8')
  for await (const text of up.stderr!) {
    said += text as string
    const [, url] = /ingest +(http:\/\/[\d.:]+)\/firehose/.exec(said) ?? []
    const [, ceiling] = /"ceilingMiB":(\d+)/.exec(said) ?? []
    if (!url || !ceiling) continue
    return { url, ceilingMiB: Number(ceiling) }
  }
  throw new Error(`haetae up ended at its start: ${said}`)
}

async function send(url: string, count: number): Promise<void> {
  const startMs = Date.now()
  const records = generateWaf({ seed: 1, count, startMs: startMs - 3_600_000, durationMs: 3_600_000 })[
    Symbol.iterator
  ]()
  const steady = count / 4
  let sent = 0
  const connection = async (): Promise<void> => {
    for (;;) {
      const batch: string[] = []
      for (let next = records.next(); !next.done; next = records.next()) {
        if (batch.push(`{"data":"${Buffer.from(next.value).toString('base64')}"}`) === RECORDS_A_REQUEST) break
      }
      if (batch.length === 0) return
      const id = `bench-${sent}`
      sent += batch.length
      await post(url, id, `{"requestId":"${id}","timestamp":${startMs},"records":[${batch.join(',')}]}`)
      const dueMs = startMs + (Math.min(sent, steady) / STEADY_PER_SECOND) * 1000
      if (sent < steady) await pause(Math.max(0, dueMs - Date.now()))
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, connection))
}

/** Repeats what is not answered 200, as Firehose does. */
async function post(url: string, id: string, body: string): Promise<void> {
  const headers = {
    'Content-Type': 'application/json',
    'X-Amz-Firehose-Protocol-Version': '1.0',
    'X-Amz-Firehose-Request-Id': id,
    'X-Amz-Firehose-Access-Key': KEY,
  }
  for (;;) {
    const answer = await fetch(`${url}/firehose/waf`, { method: 'POST', headers, body })
    await answer.arrayBuffer()
    if (answer.status === 200) return
    if (answer.status !== 503) throw new Error(`a request was answered ${answer.status}`)
    await pause(500)
  }
}

/** Resolves when every group has committed all there is. */
async function settled(stateFolder: string): Promise<void> {
  const owner = await connectOwner(join(stateFolder, 'topics'))
  if (!owner) throw new Error('haetae up ended')
  try {
    while ((await owner.lag()).some(({ committed, end }) => committed !== end)) await pause(500)
  } finally {
    owner.close()
  }
}

/** NaN when the process has ended. */
function statusMiB({ pid }: ChildProcess, field: 'VmRSS' | 'VmHWM'): number {
  try {
    const [, kib] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Number(kib) / 1024
  } catch {
    return Number.NaN
  }
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
