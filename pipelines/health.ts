import type { Log } from '../platform/log.ts'

export type PipelineState = 'starting' | 'running' | 'stopped' | 'failed'

export interface PipelineHealth {
  readonly name: string
  readonly state: PipelineState
  /** Why it failed or waits; for operators, never a secret. */
  readonly detail: string | undefined
  readonly readsFrom: string
  readonly writesTo: string
}

/** What the process knows about its pipelines, for /readyz, /healthz and the status page. */
export class Health {
  readonly startedMs: number
  readonly #pipelines = new Map<string, PipelineHealth>()
  readonly #notices: string[] = []
  readonly #log: Log

  constructor(startedMs: number, log: Log) {
    this.startedMs = startedMs
    this.#log = log
  }

  register(name: string, readsFrom: string, writesTo: string): void {
    this.#pipelines.set(name, { name, state: 'starting', detail: undefined, readsFrom, writesTo })
  }

  set(name: string, state: PipelineState, detail?: string): void {
    const known = this.#pipelines.get(name)
    if (!known) return
    this.#pipelines.set(name, { ...known, state, detail })
    this.#log.info('pipeline state', { pipeline: name, state, ...(detail === undefined ? {} : { detail }) })
  }

  /** A line for people, shown at the top of the status page. */
  notice(text: string): void {
    this.#notices.push(text)
  }

  get notices(): readonly string[] {
    return this.#notices
  }

  get pipelines(): readonly PipelineHealth[] {
    return [...this.#pipelines.values()]
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
