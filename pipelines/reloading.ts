import { asError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Reloaded } from './control.ts'
import type { PipelineConfig } from './load.ts'
import { revisionOf } from './revision.ts'

export interface ReloadingParts {
  /** Reads and checks the files anew. Throws what is wrong, with its line. */
  readonly load: () => Promise<readonly PipelineConfig[]>
  /** Returns why it could not be applied. */
  readonly replace: (configs: readonly PipelineConfig[]) => Promise<string | undefined>
  readonly log: Log
  readonly metrics: Metrics
}

/** The configuration that runs, and the way to another. */
export class Reloading {
  readonly #parts: ReloadingParts
  readonly #hash: ReturnType<Metrics['gauge']>
  readonly #reloads: ReturnType<Metrics['counter']>
  #configs: readonly PipelineConfig[]
  #turn: Promise<unknown> = Promise.resolve()

  constructor(configs: readonly PipelineConfig[], parts: ReloadingParts) {
    this.#parts = parts
    this.#configs = configs
    this.#hash = parts.metrics.gauge('haetae_config_hash', 'The revision that runs, as a number; /readyz has it in hex')
    this.#reloads = parts.metrics.counter('haetae_config_reloads_total', 'Reloads by what came of them', ['outcome'])
    this.#hash.set(Number.parseInt(this.revision, 16))
    parts.log.info('configuration', { revision: this.revision, pipelines: configs.map(({ name }) => name) })
  }

  get revision(): string {
    return revisionOf(this.#configs)
  }

  /** One after the other. Never rejects: what is wrong is the answer, and the old configuration goes on. */
  reload(): Promise<Reloaded> {
    const next = this.#turn.then(() => this.#reload())
    this.#turn = next
    return next
  }

  async #reload(): Promise<Reloaded> {
    let configs: readonly PipelineConfig[]
    try {
      configs = await this.#parts.load()
    } catch (thrown) {
      return this.#answer('invalid', asError(thrown).message)
    }
    const before = this.revision
    if (revisionOf(configs) === before && configs.every(({ detectors }) => detectors.length === 0)) {
      return this.#answer('unchanged', 'nothing has changed')
    }
    const refusal = await this.#parts.replace(configs)
    if (refusal !== undefined) return this.#answer('refused', refusal)
    this.#configs = configs
    this.#hash.set(Number.parseInt(this.revision, 16))
    return this.#answer('applied', before === this.revision ? 'rules were read anew' : `${before} was replaced`)
  }

  #answer(outcome: 'applied' | 'unchanged' | 'invalid' | 'refused', message: string): Reloaded {
    this.#reloads.add({ outcome })
    const valid = outcome !== 'invalid'
    const applied = outcome === 'applied' || outcome === 'unchanged'
    const { revision } = this
    const { log } = this.#parts
    if (applied) log.info(`reload: ${outcome}`, { revision, message })
    else log.error(`reload: ${outcome}, the old configuration goes on`, { revision, message })
    return { pid: process.pid, pipelines: this.#configs.map(({ name }) => name), valid, applied, revision, message }
  }
}
