import type { Hold } from '../../platform/response/hold.ts'

/** How much detections may block by themselves before a person looks. */
export interface BudgetLimits {
  readonly minuteMax: number
  readonly hourMax: number
  /** Of one autonomous system, in an hour. */
  readonly networkHourMax: number
}

export interface Spent {
  readonly timeMs: number
  readonly asn: number | undefined
}

export type Limit = 'minute' | 'hour' | 'network'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

/** What the holds of the ledger have spent within the last hour, since a person said last: go on. */
export function spentBy(holds: Iterable<Hold>, nowMs: number, resumedMs = 0): readonly Spent[] {
  const sinceMs = Math.max(nowMs - HOUR_MS, resumedMs)
  return [...holds]
    .filter(({ source, createdMs }) => source === 'detection' && createdMs > sinceMs)
    .map(({ createdMs, asn }) => ({ timeMs: createdMs, asn }))
}

/** Blocks made by detections within the last hour; made again from the ledger after a restart. */
export class Budget {
  readonly #limits: BudgetLimits
  #spent: Spent[] = []

  constructor(limits: BudgetLimits, spent: readonly Spent[] = []) {
    this.#limits = limits
    this.#spent = [...spent].sort((left, right) => left.timeMs - right.timeMs)
  }

  /** The limit that one block more would pass. */
  exceeded({ timeMs, asn }: Spent): { readonly limit: Limit; readonly max: number } | undefined {
    this.#forget(timeMs)
    const { minuteMax, hourMax, networkHourMax } = this.#limits
    const within = (ms: number): number => this.#spent.filter(each => each.timeMs > timeMs - ms).length
    if (within(MINUTE_MS) >= minuteMax) return { limit: 'minute', max: minuteMax }
    if (this.#spent.length >= hourMax) return { limit: 'hour', max: hourMax }
    const isMany = asn !== undefined && this.#spent.filter(each => each.asn === asn).length >= networkHourMax
    return isMany ? { limit: 'network', max: networkHourMax } : undefined
  }

  spend(spent: Spent): void {
    this.#spent.push(spent)
  }

  /** A person said: go on. */
  reset(): void {
    this.#spent = []
  }

  /** What lies in the future, after the clock went back, still counts: rather a block too few. */
  #forget(nowMs: number): void {
    const oldest = nowMs - HOUR_MS
    if ((this.#spent[0]?.timeMs ?? Number.POSITIVE_INFINITY) > oldest) return
    this.#spent = this.#spent.filter(each => each.timeMs > oldest)
  }
}
