import type { Log } from '../platform/log.ts'

/** 'paused': it starts or runs, but something refuses until a person acts. */
export type PipelineState = 'starting' | 'running' | 'paused' | 'stopped' | 'failed'

export interface PipelineHealth {
  readonly name: string
  readonly state: PipelineState
  /** Why it failed or is paused; for operators, never a secret. */
  readonly detail: string | undefined
  readonly readsFrom: string
  readonly writesTo: string
}

/** What the process knows about its pipelines, for /readyz, /healthz and the status page. */
export class Health {
  readonly startedMs: number
  readonly #pipelines = new Map<string, PipelineHealth>()
  /** Why a component of a pipeline is paused, by pipeline and component. */
  readonly #paused = new Map<string, Map<string, string>>()
  readonly #notices: string[] = []
  readonly #log: Log

  constructor(startedMs: number, log: Log) {
    this.startedMs = startedMs
    this.#log = log
  }

  /** It begins, or begins anew: what its components waited for before is of no interest. */
  register(name: string, readsFrom: string, writesTo: string): void {
    this.#paused.delete(name)
    this.#pipelines.set(name, { name, state: 'starting', detail: undefined, readsFrom, writesTo })
  }

  /** It is not part of this process any more. */
  forget(name: string): void {
    this.#pipelines.delete(name)
    this.#paused.delete(name)
  }

  set(name: string, state: Exclude<PipelineState, 'paused'>, detail?: string): void {
    const known = this.#pipelines.get(name)
    if (!known) return
    this.#pipelines.set(name, { ...known, state, detail })
    this.#log.info('pipeline state', { pipeline: name, state, ...(detail === undefined ? {} : { detail }) })
  }

  /** A component does nothing until a person acts, or cannot start yet; undefined: it goes on. Who calls says it in the log. */
  paused(name: string, component: string, reason: string | undefined): void {
    const components = this.#paused.get(name) ?? new Map<string, string>()
    this.#paused.set(name, components)
    if (reason === undefined) components.delete(component)
    else components.set(component, reason)
  }

  /** A line for people, shown at the top of the status page. */
  notice(text: string): void {
    this.#notices.push(text)
  }

  get notices(): readonly string[] {
    return this.#notices
  }

  get pipelines(): readonly PipelineHealth[] {
    return [...this.#pipelines.values()].map(pipeline => {
      const paused = [...(this.#paused.get(pipeline.name) ?? [])]
      const lives = pipeline.state === 'starting' || pipeline.state === 'running'
      if (!lives || paused.length === 0) return pipeline
      return {
        ...pipeline,
        state: 'paused',
        detail: paused.map(([component, why]) => `${component}: ${why}`).join('; '),
      }
    })
  }

  /** What is missing before traffic should come; empty when ready. */
  missing(): string[] {
    return this.pipelines
      .filter(({ state }) => state !== 'running')
      .map(({ name, state, detail }) => `pipeline ${name} is ${state}${detail ? `: ${detail}` : ''}`)
  }

  /** A process whose pipeline failed for good does not recover by itself. */
  failed(): boolean {
    return this.pipelines.some(({ state }) => state === 'failed')
  }
}
