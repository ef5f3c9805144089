import { BATCH_BYTES_MAX } from '../engine/contract.ts'
import { type NamedSink, type Plan, run } from '../engine/pipeline.ts'
import { systemClock } from '../platform/clock.ts'
import { asError, HaetaeError } from '../platform/errors.ts'
import { geoIpStatus } from '../platform/geoip/shared.ts'
import { createLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import type { Topics } from '../platform/topics/contract.ts'
import { openPipeline, type Runtime } from './compose.ts'
import { Health } from './health.ts'
import { type PipelineConfig, writtenTopics } from './load.ts'
import { RecentEvents } from './recent.ts'
import { makeStateFolder, type Settings } from './settings.ts'
import { type StatusServer, serveStatus } from './status.ts'
import { openTopics } from './topics.ts'

/** Resident bytes per raw byte being written: the record, its parsed form, its encoding, and what V8 has not collected. */
const MEMORY_FACTOR = 4
/** A process that has opened its GeoIP databases and seen no event, as measured. */
const PROCESS_BASE_BYTES = 230 * 1024 * 1024

/** One running process: its pipelines, its topic log, its status page. */
export interface Running {
  readonly runtime: Runtime
  readonly health: Health
  readonly status: StatusServer
  /** Resolves with the port of the first http source once it listens; never when there is none. */
  readonly listening: Promise<number>
  /** Resolves when every pipeline stopped; rejects with the first failure, after all have stopped. */
  readonly done: Promise<void>
  readonly stop: () => void
}

export async function startProcess(pipelines: readonly PipelineConfig[], settings: Settings): Promise<Running> {
  makeStateFolder(settings)
  const log = createLog(settings.logLevel)
  const metrics = createMetrics({ processMetrics: true })
  const stop = new AbortController()
  let opening: Promise<Topics> | undefined
  const health = new Health(systemClock.now(), log)
  const runtime: Runtime = {
    settings,
    log,
    metrics,
    clock: systemClock,
    topics: () => (opening ??= openTopics(settings, log, metrics)),
    paused: (pipeline, component, reason) => health.paused(pipeline, component, reason),
  }
  const recent = new RecentEvents()
  // The log is taken before anything listens: a second process must fail at once, not after it took the ports.
  if (pipelines.some(usesTopics)) await runtime.topics()
  const status = await serveStatus({
    host: settings.statusHost,
    port: settings.statusPort,
    health,
    metrics,
    recent,
    lag: async () => (opening ? (await opening).lag() : []),
    geoip: geoIpStatus,
    now: () => systemClock.now(),
  })
  printCeiling(pipelines, log)
  for (const { name, source, sinks } of pipelines) {
    health.register(name, describe(source), sinks.map(describe).join(', '))
  }
  const { promise: listening, resolve: listens } = Promise.withResolvers<number>()
  const opened = ({ source }: Plan): void => {
    if ('port' in source && typeof source.port === 'number') listens(source.port)
  }
  const running = async (): Promise<void> => {
    try {
      await runAll(pipelines, runtime, health, recent, stop, opened)
    } finally {
      await status.close()
      await (await opening)?.close()
    }
  }
  const done = running()
  return { runtime, health, status, listening, done, stop: () => stop.abort() }
}

async function runAll(
  pipelines: readonly PipelineConfig[],
  runtime: Runtime,
  health: Health,
  recent: RecentEvents,
  stop: AbortController,
  opened: (plan: Plan) => void,
): Promise<void> {
  // Before anything reads them: on the first start there are none yet. In Kafka only a person makes topics.
  if (!runtime.settings.kafka)
    for (const config of writtenTopics(pipelines)) await (await runtime.topics()).ensure(config)
  const redacted = pipelines.filter(({ stages }) => stages.some(({ spec }) => spec.type === 'redact'))
  const watched = redacted.find(({ kind }) => kind === 'waf') ?? redacted[0]
  const observer: NamedSink = { name: 'status-page', sink: recent }
  const results = await Promise.allSettled(
    pipelines.map(async pipeline => {
      try {
        const observers = pipeline === watched ? [observer] : []
        const { plan, close } = await openPipeline(pipeline, runtime, stop.signal, observers)
        opened(plan)
        health.set(pipeline.name, 'running')
        try {
          await run(plan, runtime, stop.signal)
        } finally {
          await close()
        }
        health.set(pipeline.name, 'stopped')
      } catch (thrown) {
        health.set(pipeline.name, 'failed', asError(thrown).message)
        // A process with half its pipelines would look alive while events pile up: end, and let it be restarted.
        stop.abort()
        throw thrown
      }
    }),
  )
  const failed = results.find(result => result.status === 'rejected')
  if (failed) throw asError(failed.reason)
}

function usesTopics(pipeline: PipelineConfig): boolean {
  return pipeline.source.spec.type === 'topic' || writtenTopics([pipeline]).length > 0
}

function describe({ spec, config }: { readonly spec: { readonly type: string }; readonly config: unknown }): string {
  const topic = typeof config === 'object' && config !== null && 'topic' in config ? ` ${String(config.topic)}` : ''
  return `${spec.type}${topic}`
}

/** The most memory that this process is meant to take: said once, so that a container's limit can be set above it. */
function printCeiling(pipelines: readonly PipelineConfig[], log: Runtime['log']): void {
  const residentBytesMax = pipelines.reduce((sum, pipeline) => sum + pipeline.residentBytesMax + BATCH_BYTES_MAX, 0)
  const heldBytesMax = pipelines
    .flatMap(({ source, sinks, alertSinks }) => [source, ...sinks, ...alertSinks].map(({ config }) => config))
    .reduce<number>((sum, config) => sum + heldBytes(config), 0)
  const ceilingBytes = PROCESS_BASE_BYTES + residentBytesMax * MEMORY_FACTOR + heldBytesMax
  log.info('memory ceiling', { residentBytesMax, heldBytesMax, ceilingMiB: Math.round(ceilingBytes / 1024 ** 2) })
}

/** What a component may hold besides the batches: request bodies (http), DuckDB's memory (lake). */
function heldBytes(config: unknown): number {
  if (typeof config !== 'object' || config === null) return 0
  const bounds = config as Readonly<Record<string, unknown>>
  return [bounds['inflightBytesMax'], bounds['memoryBytesMax']].reduce<number>(
    (sum, bound) => sum + (typeof bound === 'number' ? bound : 0),
    0,
  )
}

/** Aborts on SIGTERM or SIGINT; a second one, a moment later, ends the process without waiting for the drain. */
export function stopOnSignals(stop: () => void, log: Runtime['log']): void {
  let firstMs: number | undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    const nowMs = systemClock.monotonicMs()
    if (firstMs === undefined) {
      firstMs = nowMs
      log.info('stopping: what was read is being settled', { signal })
      stop()
    } else if (nowMs - firstMs > 500) process.exit(130)
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}

/** A pipeline that a person named must have what it requires. */
export function demand(pipeline: PipelineConfig, env: NodeJS.ProcessEnv): void {
  const missing = pipeline.requires.filter(name => !env[name])
  if (missing.length === 0) return
  throw new HaetaeError('CONFIG_INVALID', `${pipeline.file}: needs ${missing.join(', ')} in the environment`)
}
