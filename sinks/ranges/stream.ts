import { randomBytes } from 'node:crypto'
import type { Positions } from '../../engine/contract.ts'
import { type Range, RangePlan } from './plan.ts'
import type { RangeSpool } from './spool.ts'

const LINEAGE_BYTES = 6

/** A range being filled, and those who wait for it. */
export interface FillingRange {
  readonly first: bigint
  /** Noted by an earlier process: it ends where it ended, and nothing bounds it but that. */
  readonly again: boolean
  readonly spool: RangeSpool
  readonly durable: PromiseWithResolvers<void>
  /** Ends its timer. */
  readonly timer: AbortController
}

/** One stream from its assignment until it is revoked. */
export class RangeStream {
  readonly name: string
  readonly plan: RangePlan
  /** By the first position of the range. */
  readonly filling = new Map<bigint, FillingRange>()
  revoked = false
  /** A batch got lost half way (the pipeline is being stopped): no range may be called complete any more. */
  broken = false
  readonly #positions: Positions
  #noted: string | undefined

  constructor(name: string, positions: Positions) {
    this.name = name
    this.#positions = positions
    this.#noted = positions.note(name)
    this.plan = new RangePlan(this.#noted, positions.committed(name), randomBytes(LINEAGE_BYTES).toString('hex'))
  }

  get hasRoom(): boolean {
    return this.plan.hasRoom(this.#positions.committed(this.name))
  }

  /** Resolves when the range's end is durable. Rejects as Positions.setNote. */
  async noteDown({ first, end }: Range): Promise<void> {
    if (this.#noted?.includes(JSON.stringify([String(first), String(end)]))) return
    const note = this.plan.note(this.#positions.committed(this.name))
    await this.#positions.setNote(this.name, note)
    this.#noted = note
  }

  /** Lets go of everything held back: another consumer reads it again. An ack after a revoke does nothing. */
  revoke(): void {
    this.revoked = true
    for (const { durable, timer } of this.filling.values()) {
      timer.abort()
      durable.resolve()
    }
  }
}
