import { LedgerStore } from '../../../response/holds/store.ts'
import type { MemoryTopics } from '../../support/memory-topics.ts'
import type { ledgerTopics } from '../../support/owner.ts'

/** What is broken on purpose, so that it can be seen that the oracle sees it. */
export type Plant = 'no intents' | 'no second telling' | 'half a ledger' | 'audit forgotten'

export class PlantedStore extends LedgerStore {
  readonly #plant: Plant | undefined
  constructor(topics: MemoryTopics, names: typeof ledgerTopics, now: () => number, plant: Plant | undefined) {
    super(topics, names, now)
    this.#plant = plant
  }

  override async load(): ReturnType<LedgerStore['load']> {
    const ledger = await super.load()
    if (this.#plant === 'no second telling') ledger.unaudited = () => []
    if (this.#plant === 'half a ledger') {
      for (const hold of [...ledger.holds.values()].slice(0, 2)) if (hold.state === 'active') ledger.forget(hold)
      ledger.take()
    }
    return ledger
  }

  override save(changes: Parameters<LedgerStore['save']>[0], signal: AbortSignal): Promise<void> {
    if (this.#plant !== 'no intents') return super.save(changes, signal)
    const states = changes.states.filter(each => each.type !== 'entry' || each.state === 'placed')
    return super.save({ ...changes, states }, signal)
  }
}
