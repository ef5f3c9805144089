import { type NamedSink, type Plan, run } from '../engine/pipeline.ts'
import { systemClock } from '../platform/clock.ts'
import { asError, HaetaeError } from '../platform/errors.ts'
import { geoIpStatus } from '../platform/geoip/shared.ts'
import { createLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import { sayCeiling } from './ceiling.ts'
import { openPipeline, type Runtime } from './compose.ts'
import { Health } from './health.ts'
import type { PipelineConfig } from './load.ts'
import { makeTopics, usesTopics } from './make-topics.ts'
import { RecentEvents } from './recent.ts'
import { makeStateFolder, type Settings } from './settings.ts'
import { SharedTopics } from './shared-topics.ts'
import { type StatusServer, serveStatus } from './status.ts'
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
}

/** Rejects with TOPIC_OWNED, TOPIC_UNKNOWN or LISTEN_FAILED, and then nothing is left open. */
export async function startProcess(pipelines: readonly PipelineConfig[], settings: Settings): Promise<Running> {
  makeStateFolder(settings)
  const log = createLog(settings.logLevel)
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
  }
  const recent = new RecentEvents()
  const listen = (): Promise<StatusServer> =>
    serveStatus({
      host: settings.statusHost,
      port: settings.statusPort,
      hosts: settings.statusHosts,
      health,
      metrics,
      recent,
      lag: () => topics.lag(),
      geoip: geoIpStatus,
      now: () => systemClock.now(),
    })
  try {
    // The embedded log is taken before anything listens: a second process must fail at once, not after it took the ports. In Kafka
    // only a person makes topics, and it may be away: whoever needs it waits for it.
    if (!settings.kafka && pipelines.some(usesTopics)) {
      const opened = await topics.get()
      if ('describe' in opened) await makeTopics(pipelines, opened)
    }
    const status = await listen()
    return running(pipelines, { runtime, health, recent, status, topics })
  } catch (error) {
    await topics.close()
    throw error
  }
}

interface Parts extends Pick<Running, 'runtime' | 'health' | 'status'> {
  readonly recent: RecentEvents
  readonly topics: SharedTopics
}

function running(pipelines: readonly PipelineConfig[], { runtime, health, recent, status, topics }: Parts): Running {
  sayCeiling(pipelines, runtime.log)
  for (const { name, source, sinks } of pipelines) {
    health.register(name, describe(source), sinks.map(describe).join(', '))
  }
  const stop = new AbortController()
  const { promise: listening, resolve: listens } = Promise.withResolvers<number>()
  const opened = ({ source }: Plan): void => {
    if ('port' in source && typeof source.port === 'number') listens(source.port)
  }
  const untilDone = async (): Promise<void> => {
    try {
      await runAll(pipelines, runtime, health, recent, stop, opened)
    } finally {
      await status.close()
      await topics.close()
    }
  }
  return { runtime, health, status, listening, done: untilDone(), stop: () => stop.abort() }
}

async function runAll(
  pipelines: readonly PipelineConfig[],
  runtime: Runtime,
  health: Health,
  recent: RecentEvents,
  stop: AbortController,
  opened: (plan: Plan) => void,
): Promise<void> {
  const redacted = pipelines.filter(({ stages }) => stages.some(({ spec }) => spec.type === 'redact'))
  const watched = redacted.find(({ kind }) => kind === 'waf') ?? redacted[0]
  const observer: NamedSink = { name: 'status-page', sink: recent }
  const results = await Promise.allSettled(
    pipelines.map(async pipeline => {
      try {
        const open = await openPipeline(pipeline, runtime, stop.signal, pipeline === watched ? [observer] : [])
        if (open) {
          opened(open.plan)
          health.set(pipeline.name, 'running')
          try {
            await run(open.plan, runtime, stop.signal)
          } finally {
            await open.close()
          }
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

function describe({ spec, config }: { readonly spec: { readonly type: string }; readonly config: unknown }): string {
  const topic = typeof config === 'object' && config !== null && 'topic' in config ? ` ${String(config.topic)}` : ''
  return `${spec.type}${topic}`
}

/** A pipeline that a person named must have what it requires. */
export function demand(pipeline: PipelineConfig, env: NodeJS.ProcessEnv): void {
  const missing = pipeline.requires.filter(name => !env[name])
  if (missing.length === 0) return
  throw new HaetaeError('CONFIG_INVALID', `${pipeline.file}: needs ${missing.join(', ')} in the environment`)
}
