import { systemClock } from '../platform/clock.ts'
import { HaetaeError } from '../platform/errors.ts'
import { geoIpStatus } from '../platform/geoip/shared.ts'
import { createLog, type Log } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import { sayCeiling } from './ceiling.ts'
import { type Reloaded, serveControl } from './control.ts'
import { Health } from './health.ts'
import { tellHealth } from './health-news.ts'
import { type PipelineConfig, writtenTopics } from './load.ts'
import { makeTopics, usesTopics } from './make-topics.ts'
import type { StatusServer } from './pages.ts'
import { PipelineSet } from './pipeline-set.ts'
import { RecentEvents } from './recent.ts'
import { Reloading } from './reloading.ts'
import { fileProblemsOf, readRevision } from './revision.ts'
import type { Runtime } from './runtime.ts'
import { makeStateFolder, type Settings } from './settings.ts'
import { SharedTopics } from './shared-topics.ts'
import { serveStatus } from './status.ts'
import { openTopics } from './topics/open.ts'

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

/** Kafka, or the embedded log. */
type ProcessTopics = SharedTopics<Awaited<ReturnType<typeof openTopics>>>

export interface ProcessOptions {
  /** Reads the configuration anew. Throws what is wrong with it, with its line. Absent: it never changes. */
  readonly load?: () => readonly PipelineConfig[]
  /** Number among the workers of a container, for the log. */
  readonly worker?: number
  /** Called once the embedded log is ours, before anything is opened: a second process, which is refused it, has written nothing. */
  readonly owned?: () => void
}

/** Rejects with TOPIC_OWNED, TOPIC_UNKNOWN or LISTEN_FAILED, and then nothing is left open. */
export async function startProcess(
  pipelines: readonly PipelineConfig[],
  settings: Settings,
  { load = () => pipelines, worker, owned }: ProcessOptions = {},
): Promise<Running> {
  makeStateFolder(settings)
  const plainLog = createLog(settings.logLevel)
  const log = worker === undefined ? plainLog : plainLog.child({ worker })
  const metrics = createMetrics({ processMetrics: true })
  const topics = new SharedTopics(() => openTopics(settings, log, metrics))
  const health = new Health(systemClock.now(), log)
  const runtime: Runtime = {
    settings,
    log,
    metrics,
    clock: systemClock,
    topics: () => topics.get(),
    paused: (pipeline, component, reason) => health.paused(pipeline, component, reason),
    asks: (pipeline, component, question) => health.asks(pipeline, component, question),
  }
  const closing: (() => Promise<void>)[] = [() => topics.close()]
  const close = async (): Promise<void> => {
    for (const each of closing.toReversed()) await each()
  }
  try {
    await prepare(pipelines, settings, topics)
    owned?.()
    const parts = setOf(pipelines, runtime, health, topics)
    const reloading = new Reloading(pipelines, await readRevision(pipelines), {
      load: () => checked(load()),
      replace: (configs, changed) => parts.set.replace(configs, changed),
      log,
      metrics,
    })
    const reload = async (): Promise<readonly Reloaded[]> => [await reloading.reload()]
    const status = await serveStatus({
      host: settings.statusHost,
      port: settings.statusPort,
      hosts: settings.statusHosts,
      health,
      metrics,
      recent: parts.recent,
      revision: () => reloading.revision,
      lag: () => topics.lag(),
      geoip: geoIpStatus,
      now: () => systemClock.now(),
    })
    closing.push(() => status.close())
    const control = await serveControl(settings.stateFolder, reload, log)
    closing.push(() => control.close())
    sayCeiling(pipelines, log)
    parts.set.start(pipelines)
    const hasAudit = settings.kafka || writtenTopics(pipelines).some(({ name }) => name === 'audit')
    if (hasAudit) closing.push(telling(health, topics, log))
    const untilDone = async (): Promise<void> => {
      try {
        await parts.set.done
      } finally {
        await close()
      }
    }
    const { listening, set } = parts
    return { runtime, health, status, listening, done: untilDone(), stop: () => set.stop(), reload }
  } catch (error) {
    await close()
    throw error
  }
}

/** Says in the audit what waits for a person, as long as the process lives; the answer ends that. */
function telling(health: Health, topics: ProcessTopics, log: Log): () => Promise<void> {
  const stop = new AbortController()
  const done = tellHealth(health, () => topics.get(), { clock: systemClock, log }, stop.signal)
  return () => {
    stop.abort()
    return done
  }
}

/**
 * The embedded log is taken before anything listens: a second process must fail at once, not after it took the ports. In Kafka only a
 * person makes topics, and it may be away: whoever needs it waits for it.
 */
async function prepare(pipelines: readonly PipelineConfig[], settings: Settings, topics: ProcessTopics): Promise<void> {
  if (settings.kafka || !pipelines.some(usesTopics)) return
  const opened = await topics.get()
  if ('describe' in opened) await makeTopics(pipelines, opened)
}

interface SetParts {
  readonly set: PipelineSet
  readonly recent: RecentEvents
  readonly listening: Promise<number>
}

function setOf(
  pipelines: readonly PipelineConfig[],
  runtime: Runtime,
  health: Health,
  topics: ProcessTopics,
): SetParts {
  const recent = new RecentEvents()
  const watched = watchedOf(pipelines)
  const { promise: listening, resolve: listens } = Promise.withResolvers<number>()
  const set = new PipelineSet({
    runtime,
    health,
    prepare: configs => prepare(configs, runtime.settings, topics),
    observers: ({ name }) => (name === watched ? [{ name: 'status-page', sink: recent }] : []),
    opened({ source }) {
      if ('port' in source && typeof source.port === 'number') listens(source.port)
    },
  })
  return { set, recent, listening }
}

/** The pipeline whose events the status page shows: none that is not redacted. */
function watchedOf(pipelines: readonly PipelineConfig[]): string | undefined {
  const redacted = pipelines.filter(({ stages }) => stages.some(({ spec }) => spec.type === 'redact'))
  return (redacted.find(({ kind }) => kind === 'waf') ?? redacted[0])?.name
}

/** What is wrong in files of rules must be known before anything is stopped: rules that run must not get lost by a slip of the pen. */
async function checked(pipelines: readonly PipelineConfig[]): Promise<readonly PipelineConfig[]> {
  const problems = await fileProblemsOf(pipelines)
  if (problems.length > 0) throw new HaetaeError('CONFIG_INVALID', problems.join('\n'))
  return pipelines
}

/** A pipeline that a person named must have what it requires. */
export function demand(pipeline: PipelineConfig, env: NodeJS.ProcessEnv): void {
  const missing = pipeline.requires.filter(name => !env[name])
  if (missing.length === 0) return
  throw new HaetaeError('CONFIG_INVALID', `${pipeline.file}: needs ${missing.join(', ')} in the environment`)
}
