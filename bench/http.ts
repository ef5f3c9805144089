/**
 * Ingest over HTTP: what one thread takes in, from the socket to whatever the sinks promise. `node bench/http.ts` prints
 * it with a sink that stores nothing, and into the embedded topic log.
 */
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Deps, Sink } from '../engine/contract.ts'
import { type NamedSink, run } from '../engine/pipeline.ts'
import type { NamedStage } from '../engine/stages.ts'
import { key } from '../enrichers/key.ts'
import { systemClock } from '../platform/clock.ts'
import { createLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import { openEmbedded } from '../platform/topics/embedded.ts'
import { topic } from '../sinks/topic.ts'
import { http, openHttp } from '../sources/http.ts'
import type { LoadMessage, LoadOptions } from './http-load.ts'

export type LoadShape = Pick<LoadOptions, 'requests' | 'recordsPerRequest' | 'connections' | 'gzip'>

export interface HttpBenchOptions extends LoadShape {
  readonly stages: readonly NamedStage[]
  readonly sinks: readonly NamedSink[]
}

export interface HttpBenchResult {
  readonly events: number
  readonly bodyBytes: number
  readonly seconds: number
  /** Of this process alone: the client is another one. */
  readonly cpuSeconds: number
}

const KEY = 'bench'

/** Runs the http source and the engine here against a client in another process. Throws if anything was not answered 200. */
export async function benchHttp(options: HttpBenchOptions): Promise<HttpBenchResult> {
  const deps = benchDeps()
  process.env['HAETAE_BENCH_KEY'] = KEY
  const source = await openHttp(http.config.parse({ port: 0, accessKey: { env: 'HAETAE_BENCH_KEY' } }), deps)
  const stop = new AbortController()
  const plan = {
    name: 'bench',
    source,
    stages: options.stages,
    detectors: [],
    sinks: options.sinks,
    alertSinks: [],
    deadLetter: { write: () => Promise.reject(new Error('the benchmark has no bad records')) },
    deliveriesMax: 16,
    residentBytesMax: 64 * 1024 * 1024,
    drainMs: 1000,
  }
  const running = run(plan, deps, stop.signal)
  try {
    return await drive({ ...options, port: source.port, key: KEY, warmUp: Math.ceil(options.requests / 4) })
  } finally {
    stop.abort()
    await running
  }
}

async function drive(options: LoadOptions): Promise<HttpBenchResult> {
  const { port, key, requests, warmUp, recordsPerRequest, connections, gzip } = options
  const load = { port, key, requests, warmUp, recordsPerRequest, connections, gzip }
  const client = fork(fileURLToPath(new URL('http-load.ts', import.meta.url)), [JSON.stringify(load)])
  const next = () => {
    return new Promise<LoadMessage>((resolve, reject) => {
      client.once('message', message => resolve(message as LoadMessage))
      client.once('exit', code => reject(new Error(`the load generator ended early with code ${code}`)))
    })
  }
  await next()
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  client.send('go')
  const done = await next()
  const seconds = (performance.now() - startMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  if (done.is !== 'done' || done.notStored > 0) throw new Error('not every request was answered 200')
  return { events: requests * recordsPerRequest, bodyBytes: done.bodyBytes, seconds, cpuSeconds: (user + system) / 1e6 }
}

const none = () => Promise.reject(new Error('not in this benchmark'))

function benchDeps(topics: Deps['topics'] = none): Deps {
  return {
    pipeline: 'bench',
    log: createLog('warn'),
    metrics: createMetrics(),
    clock: systemClock,
    stateFolder: tmpdir(),
    topics,
    positions: {
      note: () => undefined,
      committed: () => undefined,
      setNote: none,
      onAssigned: () => undefined,
      onRevoked: () => undefined,
    },
    deadLetter: none,
  }
}

const storesNothing: Sink = {
  wants: 'raw',
  write: () => Promise.resolve({ retry: [], reject: [] }),
  close: () => Promise.resolve(),
}

/** The pipeline `ingest` as it is: HTTP, key, embedded topic on disk. */
export async function benchIngest(options: LoadShape): Promise<HttpBenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-bench-'))
  const { clock, log, metrics } = benchDeps()
  const topics = await openEmbedded({ folder, clock, log, metrics })
  try {
    const deps = benchDeps(() => Promise.resolve(topics))
    const stages = [{ name: 'key', stage: await key.open(key.config.parse({}), deps) }]
    const sinks = [{ name: 'topic', sink: await topic.open(topic.config.parse({ topic: 'events.waf' }), deps) }]
    return await benchHttp({ ...options, stages, sinks })
  } finally {
    await topics.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function main(): Promise<void> {
  const usual: LoadShape = { requests: 400, recordsPerRequest: 500, connections: 8, gzip: false }
  const nothing = { stages: [], sinks: [{ name: 'nothing', sink: storesNothing }] }
  const print = (name: string, { events, bodyBytes, seconds, cpuSeconds }: HttpBenchResult) => {
    const perSecond = Math.round(events / seconds).toLocaleString('en')
    const perMillion = ((cpuSeconds / events) * 1e6).toFixed(1)
    const megabytes = Math.round(bodyBytes / seconds / 1e6)
    console.log(`${name.padEnd(24)} ${perSecond} events/s, ${megabytes} MB/s, ${perMillion} CPU s per million`)
  }
  print('http to nothing', await benchHttp({ ...usual, ...nothing }))
  print('http, gzip, to nothing', await benchHttp({ ...usual, ...nothing, gzip: true }))
  print('http to durable', await benchIngest(usual))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
