import { asError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Reloaded } from './control.ts'
import type { PipelineConfig } from './load.ts'
import { type Revision, readRevision } from './revision.ts'

export interface ReloadingParts {
  /** Reads and checks the files anew, those of rules too. Throws what is wrong, with its line. */
  readonly load: () => Promise<readonly PipelineConfig[]>
  /**
   * Runs these pipelines; those that are not in `changed` never notice. Returns why that could not be done: then those that ran were
   * started again. Rejects when nothing was touched.
   */
  readonly replace: (
    configs: readonly PipelineConfig[],
    changed: (pipeline: string) => boolean,
  ) => Promise<string | undefined>
  readonly log: Log
  readonly metrics: Metrics
}

/** Of rules that cannot be read any more. Its name is a number, as the gauge shows it as one. */
const nothing: Revision = { name: '000000000000', pipelines: new Map() }

/** Names of pipelines that are new, gone or another. */
function changedSince(before: Revision, after: Revision): ReadonlySet<string> {
  const names = [...before.pipelines.keys(), ...after.pipelines.keys()]
  return new Set(names.filter(name => before.pipelines.get(name) !== after.pipelines.get(name)))
}

/** The configuration that runs, and the way to another. */
export class Reloading {
  readonly #parts: ReloadingParts
  readonly #hash: ReturnType<Metrics['gauge']>
  readonly #reloads: ReturnType<Metrics['counter']>
  #configs: readonly PipelineConfig[]
  #revision: Revision
  #turn: Promise<unknown> = Promise.resolve()

  /** `revision`: of `configs`, read before they are opened. */
  constructor(configs: readonly PipelineConfig[], revision: Revision, parts: ReloadingParts) {
    this.#parts = parts
    this.#configs = configs
    this.#revision = revision
    this.#hash = parts.metrics.gauge('haetae_config_hash', 'The revision that runs, as a number; /readyz has it in hex')
    this.#reloads = parts.metrics.counter('haetae_config_reloads_total', 'Reloads by what came of them', ['outcome'])
    this.#hash.set(Number.parseInt(this.revision, 16))
    parts.log.info('configuration', { revision: this.revision, pipelines: configs.map(({ name }) => name) })
  }

  get revision(): string {
    return this.#revision.name
  }

  /** One after the other. Never rejects: what is wrong is the answer, and the old configuration goes on. */
  reload(): Promise<Reloaded> {
    const next = this.#turn.then(() => this.#reload())
    this.#turn = next
    return next
  }

  async #reload(): Promise<Reloaded> {
    let configs: readonly PipelineConfig[]
    let revision: Revision
    try {
      configs = await this.#parts.load()
      revision = await readRevision(configs)
    } catch (thrown) {
      return this.#answer('invalid', asError(thrown).message)
    }
    const before = this.#revision
    const changed = changedSince(before, revision)
    if (changed.size === 0) return this.#answer('unchanged', 'nothing has changed')
    let refusal: string | undefined
    try {
      refusal = await this.#parts.replace(configs, name => changed.has(name))
    } catch (thrown) {
      return this.#answer('refused', asError(thrown).message)
    }
    if (refusal !== undefined) return this.#answer('refused', `${refusal}${await this.#startedAgain()}`)
    // What was written between the look at the files and the opening may run or not: the next reload opens it anew.
    const unsure = changedSince(revision, await readRevision(configs).catch(() => nothing))
    this.#configs = configs
    this.#runs(revision, unsure)
    const meanwhile = unsure.size > 0 ? ', and files of rules changed meanwhile: reload again' : ''
    return this.#answer('applied', `${before.name} was replaced${meanwhile}`)
  }

  /** The old pipelines, started again, read the rules as they are now. Returns what is to be said of that. */
  async #startedAgain(): Promise<string> {
    const now = await readRevision(this.#configs).catch(() => nothing)
    const rewritten = changedSince(this.#revision, now)
    if (rewritten.size === 0) return ''
    this.#runs(now, rewritten)
    return `; files of rules changed meanwhile, and ${[...rewritten].join(', ')} may run with the new ones: reload again`
  }

  /** The next reload opens those anew that are `unsure`. */
  #runs({ name, pipelines }: Revision, unsure: ReadonlySet<string>): void {
    this.#revision = { name, pipelines: new Map([...pipelines].filter(([each]) => !unsure.has(each))) }
    this.#hash.set(Number.parseInt(name, 16))
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
