import { BATCH_BYTES_MAX } from '../engine/contract.ts'
import { systemClock } from '../platform/clock.ts'
import { HaetaeError } from '../platform/errors.ts'
import { geoIpStatus } from '../platform/geoip/shared.ts'
import { createLog, silentLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import type { Topics } from '../platform/topics/contract.ts'
import type { Runtime } from './compose.ts'
import { type Reloaded, serveControl } from './control.ts'
import { Health } from './health.ts'
import { type PipelineConfig, writtenTopics } from './load.ts'
import { offlineDeps } from './offline.ts'
import type { StatusServer } from './pages.ts'
import { PipelineSet } from './pipeline-set.ts'
import { RecentEvents } from './recent.ts'
import { Reloading } from './reloading.ts'
import { makeStateFolder, type Settings } from './settings.ts'
import { serveStatus } from './status.ts'
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
  /** Reads the configuration again and applies it; the answer says what came of it. */
  readonly reload: () => Promise<readonly Reloaded[]>
}

export interface ProcessOptions {
  /** Reads the configuration anew. Throws what is wrong with it, with its line. Absent: it cannot be reloaded. */
  readonly load?: () => readonly PipelineConfig[]
  /** Number among the workers of a container, for the log. */
  readonly worker?: number
}

export async function startProcess(
  pipelines: readonly PipelineConfig[],
  settings: Settings,
  { load = () => pipelines, worker }: ProcessOptions = {},
): Promise<Running> {
  makeStateFolder(settings)
  const plainLog = createLog(settings.logLevel)
  const log = worker === undefined ? plainLog : plainLog.child({ worker })
  const metrics = createMetrics({ processMetrics: true })
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
  const { promise: listening, resolve: listens } = Promise.withResolvers<number>()
  const watched = watchedOf(pipelines)
  const set = new PipelineSet({
    runtime,
    health,
    // Before anything reads them: on the first start there are none yet. In Kafka only a person makes topics.
    async prepare(configs) {
      if (settings.kafka) return
      for (const config of writtenTopics(configs)) await (await runtime.topics()).ensure(config)
    },
    observers: ({ name }) => (name === watched ? [{ name: 'status-page', sink: recent }] : []),
    opened({ source }) {
      if ('port' in source && typeof source.port === 'number') listens(source.port)
    },
  })
  const reloading = new Reloading(pipelines, {
    load: () => checked(load(), settings),
    replace: configs => set.replace(configs),
    log,
    metrics,
  })
  const status = await serveStatus({
    host: settings.statusHost,
    port: settings.statusPort,
    hosts: [],
    health,
    metrics,
    recent,
    revision: () => reloading.revision,
    lag: async () => (opening ? (await opening).lag() : []),
    geoip: geoIpStatus,
    now: () => systemClock.now(),
  })
  const control = await serveControl(settings.stateFolder, async () => [await reloading.reload()], log)
  printCeiling(pipelines, log)
  set.start(pipelines)
  const running = async (): Promise<void> => {
    try {
      await set.done
    } finally {
      await control.close()
      await status.close()
      await (await opening)?.close()
    }
  }
  return {
    runtime,
    health,
    status,
    listening,
    done: running(),
    stop: () => set.stop(),
    reload: async () => [await reloading.reload()],
  }
}

/** The pipeline whose events the status page shows: none that is not redacted. */
function watchedOf(pipelines: readonly PipelineConfig[]): string | undefined {
  const redacted = pipelines.filter(({ stages }) => stages.some(({ spec }) => spec.type === 'redact'))
  return (redacted.find(({ kind }) => kind === 'waf') ?? redacted[0])?.name
}

/** Detectors read files of rules, and what is wrong there must be known before anything is stopped. */
async function checked(pipelines: readonly PipelineConfig[], settings: Settings): Promise<readonly PipelineConfig[]> {
  for (const { name, detectors } of pipelines) {
    const deps = { ...offlineDeps(name, settings), log: silentLog }
    for (const { spec, config } of detectors) await spec.open(config, deps)
  }
  return pipelines
}

function usesTopics({ source, sinks }: PipelineConfig): boolean {
  return source.spec.type === 'topic' || sinks.some(({ spec }) => spec.type === 'topic')
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

/** A pipeline that a person named must have what it requires. */
export function demand(pipeline: PipelineConfig, env: NodeJS.ProcessEnv): void {
  const missing = pipeline.requires.filter(name => !env[name])
  if (missing.length === 0) return
  throw new HaetaeError('CONFIG_INVALID', `${pipeline.file}: needs ${missing.join(', ')} in the environment`)
}
