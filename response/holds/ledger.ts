import type { AuditRecord } from '../../platform/response/audit.ts'
import { HISTORY_MAX, type Hold, type HoldChange } from '../../platform/response/hold.ts'
import { auditOfAllow, auditOfBudget, auditOfChange } from './audits.ts'
import { type Allow, type BudgetState, type Entry, type StateRecord, stateKey } from './state.ts'

/** Records of one step of the ledger, to be made durable together, in this order: what is known, then what is told. */
export interface Changes {
  readonly holds: readonly Hold[]
  /** Ids of holds that are forgotten. */
  readonly forgotten: readonly string[]
  readonly states: readonly StateRecord[]
  readonly clearedStates: readonly StateRecord[]
  readonly audits: readonly AuditRecord[]
}

/**
 * The holds, what people allowed, the budget's state and what is in the IP sets, in memory. Every change also becomes a record of
 * `take()`; when those cannot be stored the ledger must be read again, as it then is ahead of what is durable.
 */
export class Ledger {
  readonly holds = new Map<string, Hold>()
  readonly allows = new Map<string, Allow>()
  /** By place, then by network. */
  readonly entries = new Map<string, Map<string, Entry>>()
  budget: BudgetState | undefined
  /** Of the newest change. */
  seq = 0
  /** Up to here everything is audited. */
  audited = 0
  readonly #byCidr = new Map<string, Set<string>>()
  #changed = new Map<string, Hold>()
  #forgotten: string[] = []
  /** By key; the last of a step is what counts. */
  #states = new Map<string, { readonly record: StateRecord; readonly isCleared: boolean }>()
  #audits: AuditRecord[] = []

  /** As it was read; not a change. */
  restore(hold: Hold): void {
    this.seq = Math.max(this.seq, hold.seq)
    this.#index(hold)
  }

  restoreState(record: StateRecord): void {
    switch (record.type) {
      case 'entry':
        this.entriesOf(record.place).set(record.cidr, record)
        break
      case 'allow':
        this.seq = Math.max(this.seq, record.seq)
        this.allows.set(record.cidr, record)
        break
      case 'budget':
        this.seq = Math.max(this.seq, record.seq)
        this.budget = record
        break
      case 'audited':
        this.audited = record.seq
        break
    }
  }

  /** What the last owner stored and perhaps did not audit any more: the same records as it would have written. */
  unaudited(dryRun: boolean): readonly AuditRecord[] {
    const isNew = ({ seq }: { readonly seq: number }): boolean => seq > this.audited
    return [
      ...[...this.holds.values()].flatMap(hold =>
        hold.history.filter(isNew).map(change => auditOfChange(hold, change)),
      ),
      ...[...this.allows.values()].filter(isNew).map(auditOfAllow),
      ...(this.budget && isNew(this.budget) ? [auditOfBudget(this.budget, dryRun)] : []),
    ]
  }

  /** Every hold on exactly this network, ended ones too. */
  holdsOn(cidr: string): readonly Hold[] {
    return [...(this.#byCidr.get(cidr) ?? [])].map(uid => this.holds.get(uid)!)
  }

  /** Networks with an active hold. With `dryRun` the holds that were made without writing count, else they never do. */
  wanted(dryRun: boolean): ReadonlySet<string> {
    const active = [...this.holds.values()].filter(({ state, dryRun: dry }) => state === 'active' && dry === dryRun)
    return new Set(active.map(({ cidr }) => cidr))
  }

  entriesOf(place: string): Map<string, Entry> {
    const known = this.entries.get(place) ?? new Map<string, Entry>()
    this.entries.set(place, known)
    return known
  }

  nextSeq(): number {
    return ++this.seq
  }

  /** The hold changed; with `change`, in a way that is told. */
  put(hold: Hold, change?: Omit<HoldChange, 'seq'>): Hold {
    const seq = this.nextSeq()
    const told = change && { ...change, seq }
    const next: Hold = {
      ...hold,
      seq,
      history: told ? [...hold.history, told].slice(-HISTORY_MAX) : hold.history,
    }
    this.#index(next)
    this.#changed.set(next.uid, next)
    if (told) this.tell(auditOfChange(next, told))
    return next
  }

  forget({ uid, cidr }: Hold): void {
    this.holds.delete(uid)
    const others = this.#byCidr.get(cidr)
    others?.delete(uid)
    if (others?.size === 0) this.#byCidr.delete(cidr)
    this.#changed.delete(uid)
    this.#forgotten.push(uid)
  }

  putState(record: StateRecord): void {
    this.restoreState(record)
    this.#states.set(stateKey(record), { record, isCleared: false })
  }

  clearEntry(entry: Entry): void {
    this.entriesOf(entry.place).delete(entry.cidr)
    this.#states.set(stateKey(entry), { record: entry, isCleared: true })
  }

  allow(record: Allow): void {
    this.putState(record)
    this.tell(auditOfAllow(record))
  }

  clearAllow(allow: Allow): void {
    this.allows.delete(allow.cidr)
    this.#states.set(stateKey(allow), { record: allow, isCleared: true })
  }

  tell(audit: AuditRecord): void {
    this.#audits.push(audit)
  }

  /** What changed since the last call; undefined when nothing did. */
  take(): Changes | undefined {
    const isQuiet = this.#changed.size + this.#states.size + this.#forgotten.length + this.#audits.length === 0
    if (isQuiet) return undefined
    const changes: Changes = {
      holds: [...this.#changed.values()],
      forgotten: this.#forgotten,
      states: [...this.#states.values()].filter(each => !each.isCleared).map(({ record }) => record),
      clearedStates: [...this.#states.values()].filter(each => each.isCleared).map(({ record }) => record),
      audits: this.#audits,
    }
    this.#changed = new Map()
    this.#forgotten = []
    this.#states = new Map()
    this.#audits = []
    return changes
  }

  #index(hold: Hold): void {
    this.holds.set(hold.uid, hold)
    const others = this.#byCidr.get(hold.cidr) ?? new Set()
    this.#byCidr.set(hold.cidr, others.add(hold.uid))
  }
}
