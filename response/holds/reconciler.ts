import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { Hold } from '../../platform/response/hold.ts'
import type { IpSets } from '../waf/ip-sets.ts'
import { auditOfPlacing, auditOfRemoval } from './audits.ts'
import type { Ledger } from './ledger.ts'
import type { Meters } from './meters.ts'
import { type Plan, planOf, type SetChange } from './plan.ts'
import type { Entry } from './state.ts'

export interface ReconcilerOptions {
  readonly sets: IpSets
  readonly dryRun: boolean
  readonly clock: Clock
  readonly log: Log
  readonly meters: Meters
}

export interface Intent extends SetChange {
  readonly fresh: readonly string[]
}

/**
 * The three moments at which ledger and IP sets meet, each one step of the ledger: what is seen in the sets, what is about to be
 * written (durable before the request, so that whoever comes after a death knows what may have been done), what was acknowledged.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  /** Notes what is there and what is gone; what is left is to be written. */
  observe(ledger: Ledger): Plan {
    const { sets, meters } = this.#options
    const { place } = sets
    const plan = this.#plan(ledger)
    for (const entry of plan.placed) {
      this.#placed(ledger, entry)
    }
    for (const { cidr, set } of plan.foreign) this.#applied(ledger, cidr, set.name)
    for (const entry of plan.cleared) this.#cleared(ledger, entry)
    for (const entry of plan.vanished) this.#vanished(ledger, entry)
    meters.entries.set(ledger.entriesOf(place).size, { place })
    const waiting = plan.changes.reduce((sum, { add, remove }) => sum + add.length + remove.length, 0)
    meters.waiting.set(waiting + plan.homeless.length, { place })
    // A suspended hold wants its network nowhere: what is to be written is known only now.
    return plan.vanished.length > 0 ? this.#plan(ledger) : plan
  }

  /** What to write into this set now, noted as about to be done; `fresh` of it for the first time. */
  intend(ledger: Ledger, setId: string): Intent | undefined {
    const { sets, clock, dryRun } = this.#options
    const { place } = sets
    const change = this.#plan(ledger).changes.find(({ set }) => set.id === setId)
    if (!change) return undefined
    const { set, add, remove } = change
    const fresh = add.filter(cidr => !ledger.entriesOf(place).has(cidr))
    for (const cidr of add) {
      const common = { type: 'entry', place, set: set.id, ipSet: set.name, cidr } as const
      ledger.putState({ ...common, state: 'placing', sinceMs: clock.now() })
    }
    for (const cidr of remove) {
      const entry = ledger.entriesOf(place).get(cidr)
      if (!entry || entry.state === 'removing') continue
      // Put there by a request whose answer nobody heard, for a hold that has ended since.
      if (entry.state === 'placing') ledger.tell(auditOfPlacing(entry, clock.now(), dryRun))
      ledger.putState({ ...entry, state: 'removing' })
    }
    return { ...change, fresh }
  }

  /** Nothing was written: whatever of the new ones is in the set by now, somebody else has put there. */
  withdraw(ledger: Ledger, { fresh }: Intent): void {
    const entries = ledger.entriesOf(this.#options.sets.place)
    for (const cidr of fresh) {
      const entry = entries.get(cidr)
      if (entry) ledger.clearEntry(entry)
    }
  }

  /** The set is as it was to be. */
  acknowledge(ledger: Ledger, { add, remove }: SetChange): void {
    const { place } = this.#options.sets
    const entries = ledger.entriesOf(place)
    for (const cidr of add) {
      const entry = entries.get(cidr)
      if (entry) this.#placed(ledger, entry)
    }
    for (const cidr of remove) {
      const entry = entries.get(cidr)
      if (entry) this.#cleared(ledger, entry)
    }
  }

  #plan(ledger: Ledger): Plan {
    const { sets, dryRun } = this.#options
    return planOf(ledger.wanted(dryRun), ledger.entriesOf(sets.place), sets.sets)
  }

  #placed(ledger: Ledger, entry: Entry): void {
    const { clock, dryRun } = this.#options
    const told = this.#applied(ledger, entry.cidr, entry.ipSet)
    if (entry.state === 'placed') return
    // Its holds ended while the request was under way.
    if (entry.state === 'placing' && !told) ledger.tell(auditOfPlacing(entry, clock.now(), dryRun))
    ledger.putState({ ...entry, state: 'placed' })
  }

  /** Tells it for every active hold on the network that did not know it yet; whether there was one. */
  #applied(ledger: Ledger, cidr: string, ipSet: string): boolean {
    const { sets, clock, meters } = this.#options
    const { place } = sets
    const unaware = this.#active(ledger, cidr).filter(({ applied }) => !applied.some(each => each.place === place))
    for (const hold of unaware) {
      const nowMs = clock.now()
      if (hold.receivedMs !== undefined) meters.latency.observe(Math.max(0, nowMs - hold.receivedMs), { place })
      const next = { ...hold, applied: [...hold.applied, { place, ms: nowMs }] }
      ledger.put(next, { what: 'waf_written', time: nowMs, who: 'haetae', place, ipSet })
    }
    return unaware.length > 0
  }

  #cleared(ledger: Ledger, entry: Entry): void {
    const { clock, dryRun } = this.#options
    // One that was only about to be placed, and was not, has left no trace.
    if (entry.state !== 'placing') ledger.tell(auditOfRemoval(entry, clock.now(), dryRun))
    ledger.clearEntry(entry)
    for (const hold of ledger.holdsOn(entry.cidr)) {
      const applied = hold.applied.filter(each => each.place !== entry.place)
      if (hold.state === 'active' && applied.length < hold.applied.length) ledger.put({ ...hold, applied })
    }
  }

  #vanished(ledger: Ledger, entry: Entry): void {
    const { clock, log, meters } = this.#options
    const { place, ipSet, cidr } = entry
    log.warn('an operator removed a network of ours from an IP set: its holds are suspended', { place, ipSet })
    ledger.clearEntry(entry)
    for (const hold of this.#active(ledger, cidr)) {
      const reason = `removed by an operator from ${ipSet} in ${place}`
      ledger.put(
        { ...hold, state: 'suspended' },
        { what: 'hold_suspended', time: clock.now(), who: 'operator', reason },
      )
      meters.suspended.add()
    }
  }

  #active(ledger: Ledger, cidr: string): readonly Hold[] {
    return ledger.holdsOn(cidr).filter(({ state, dryRun }) => state === 'active' && dryRun === this.#options.dryRun)
  }
}
