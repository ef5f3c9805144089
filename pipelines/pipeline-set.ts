import { type NamedSink, type Plan, run } from '../engine/pipeline.ts'
import { asError } from '../platform/errors.ts'
import { openPipeline } from './compose.ts'
import type { Health } from './health.ts'
import type { PipelineConfig } from './load.ts'
import type { Runtime } from './runtime.ts'

/** How long new configuration may take to open before it counts as applied: what it waits for then, /readyz says. */
const OPEN_MS_MAX = 5_000

export interface PipelineSetParts {
  readonly runtime: Runtime
  readonly health: Health
  /** Called before pipelines with new configuration start; for the first, whoever starts them has done it. */
  readonly prepare: (pipelines: readonly PipelineConfig[]) => Promise<void>
  /** Sinks that watch a pipeline beside its own. */
  readonly observers: (config: PipelineConfig) => readonly NamedSink[]
  readonly opened: (plan: Plan) => void
}

/** One pipeline from its start to its end. */
interface Running {
  readonly config: PipelineConfig
  readonly stop: AbortController
  /** New configuration that may still turn out to be of no use: its failure is not that of the process. */
  trial: boolean
  /** Why it ended, once it has. */
  failure: Error | undefined
  /** Resolves when every component is open, or when it ended before. */
  readonly opened: Promise<void>
  /** Why it ended; undefined when it was stopped or its input ended. */
  readonly ended: Promise<Error | undefined>
}

/** The pipelines of one process: started together, stopped together, and one by one replaced by newer configuration. */
export class PipelineSet {
  /** Resolves when every pipeline stopped; rejects with the first failure, after all have stopped. */
  readonly done: Promise<void>
  readonly #parts: PipelineSetParts
  readonly #running = new Map<string, Running>()
  readonly #done = Promise.withResolvers<void>()
  #failure: Error | undefined
  #stopping = false
  #replacing = false

  constructor(parts: PipelineSetParts) {
    this.#parts = parts
    this.done = this.#done.promise
  }

  /** At once; what fails, `done` says. */
  start(configs: readonly PipelineConfig[]): void {
    for (const config of configs) this.#register(config)
    for (const config of configs) this.#launch(config, false)
    this.#endIfOver()
  }

  stop(): void {
    this.#stopping = true
    for (const { stop } of this.#running.values()) stop.abort()
    this.#endIfOver()
  }

  /**
   * Drains the pipelines that are `changed` or no longer wanted, and starts those of `configs` that do not run; the others never notice.
   * When one of the new cannot be opened at all, the old ones are started again and the reason is returned. Rejects with
   * nothing touched when they cannot be prepared. Never called concurrently.
   */
  async replace(
    configs: readonly PipelineConfig[],
    changed: (pipeline: string) => boolean,
  ): Promise<string | undefined> {
    const before = [...this.#running.values()].map(({ config }) => config)
    const fresh = configs.filter(({ name }) => changed(name) || !this.#running.has(name))
    const kept = new Set(configs.filter(config => !fresh.includes(config)).map(({ name }) => name))
    const gone = before.filter(({ name }) => !kept.has(name))
    this.#replacing = true
    try {
      await this.#parts.prepare(fresh)
      await this.#end(gone)
      for (const { name } of gone) if (!configs.some(config => config.name === name)) this.#parts.health.forget(name)
      const failure = await this.#tryOut(fresh)
      if (failure === undefined) return undefined
      await this.#end(fresh)
      for (const { name } of fresh) this.#parts.health.forget(name)
      for (const config of gone) {
        this.#register(config)
        this.#launch(config, false)
      }
      return failure.message
    } finally {
      this.#replacing = false
      this.#endIfOver()
    }
  }

  async #end(configs: readonly PipelineConfig[]): Promise<void> {
    const ending = configs.flatMap(({ name }) => this.#running.get(name) ?? [])
    for (const { stop } of ending) stop.abort()
    await Promise.all(ending.map(({ ended }) => ended))
  }

  /** Why one of them cannot be opened; undefined when all are, or wait for something. */
  async #tryOut(configs: readonly PipelineConfig[]): Promise<Error | undefined> {
    if (this.#stopping) return new Error('the process is stopping')
    const tried = configs.map(config => {
      this.#register(config)
      return this.#launch(config, true)
    })
    const { clock } = this.#parts.runtime
    const over = new AbortController()
    await Promise.race([Promise.all(tried.map(({ opened }) => opened)), clock.wait(OPEN_MS_MAX, over.signal)])
    over.abort()
    // Without a turn in between: what fails from here on is a failure of the process, and none falls between the two.
    const failed = tried.find(({ failure }) => failure !== undefined)
    if (failed) return failed.failure
    for (const each of tried) each.trial = false
    return undefined
  }

  #register({ name, source, sinks, alertSinks }: PipelineConfig): void {
    this.#parts.health.register(name, describe(source), [...sinks, ...alertSinks].map(describe).join(', '))
  }

  #launch(config: PipelineConfig, trial: boolean): Running {
    const stop = new AbortController()
    const opened = Promise.withResolvers<void>()
    const ended = this.#run(config, stop.signal, opened.resolve)
    const running: Running = { config, stop, trial, failure: undefined, opened: opened.promise, ended }
    this.#running.set(config.name, running)
    if (this.#stopping) stop.abort()
    void ended.then(failure => {
      running.failure = failure
      this.#running.delete(config.name)
      opened.resolve()
      // A process with half its pipelines would look alive while events pile up: end, and let it be restarted.
      if (failure && !running.trial) this.#fail(failure)
      this.#endIfOver()
    })
    return running
  }

  async #run(config: PipelineConfig, signal: AbortSignal, opened: () => void): Promise<Error | undefined> {
    const { runtime, health, observers, opened: tell } = this.#parts
    try {
      const open = await openPipeline(config, runtime, signal, observers(config))
      if (open) {
        tell(open.plan)
        opened()
        health.set(config.name, 'running')
        try {
          await run(open.plan, runtime, signal)
        } finally {
          await open.close()
        }
      }
      health.set(config.name, 'stopped')
      return undefined
    } catch (thrown) {
      const error = asError(thrown)
      health.set(config.name, 'failed', error.message)
      return error
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.stop()
  }

  #endIfOver(): void {
    if (this.#replacing || this.#running.size > 0) return
    if (this.#failure) this.#done.reject(this.#failure)
    else this.#done.resolve()
  }
}

function describe({ spec, config }: { readonly spec: { readonly type: string }; readonly config: unknown }): string {
  const topic = typeof config === 'object' && config !== null && 'topic' in config ? ` ${String(config.topic)}` : ''
  return `${spec.type}${topic}`
}
