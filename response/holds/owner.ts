import { parseCidr } from '../../platform/address.ts'
import { backoffMs } from '../../platform/backoff.ts'
import type { Clock } from '../../platform/clock.ts'
import { asError, HaetaeError } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import type { Decision } from '../../platform/response/decision.ts'
import { Turns } from '../../platform/turns.ts'
import { applyDecision, isLive, type Outcome, release, type Terms } from './apply.ts'
import { Budget, type BudgetLimits, spentBy } from './budget.ts'
import type { Guard } from './guard.ts'
import type { Ledger } from './ledger.ts'
import type { Meters } from './meters.ts'
import type { NeverBlock } from './never-block.ts'
import { News } from './news.ts'
import { type PlaceOptions, PlaceWriter } from './place-writer.ts'
import type { LedgerStore } from './store.ts'

export interface OwnerOptions {
  readonly store: LedgerStore
  readonly neverBlock: NeverBlock
  readonly limits: BudgetLimits
  readonly terms: Terms
  readonly dryRun: boolean
  /** Where blocks are written. */
  readonly places: readonly Pick<PlaceOptions, 'sets' | 'writes'>[]
  readonly clock: Clock
  readonly log: Log
  readonly meters: Meters
  readonly random: () => number
  readonly paused: (reason: string | undefined) => void
  /** What a person is to decide; nothing waits for it but new blocks by detections. */
  readonly asks: (question: string | undefined) => void
}

interface Known {
  readonly ledger: Ledger
  readonly budget: Budget
  readonly news: News
  /** Up to here everything is stored and told. */
  settled: number
  /** The guard that every live hold has passed. */
  guard: Guard | undefined
}

const TICK_MS = 1_000
const GUARD_MS = 60_000
/** How much may be told again after a death. */
const WATERMARK_MS = 10_000
const LOAD_BACKOFF = { firstMs: 200, maxMs: 15_000 }

/**
 * The one owner of the ledger, from the assignment of its partition to its revocation. Requests, the clock, the guard and the IP
 * sets change the ledger in turns; each turn is durable before the next one begins. What cannot be stored is read again from
 * what is durable, as memory is ahead of it then; while it cannot be read, nothing is written anywhere.
 */
export class Owner {
  readonly #options: OwnerOptions
  readonly #stop = new AbortController()
  readonly #writers: readonly PlaceWriter[]
  readonly #pauses = new Map<string, string>()
  #known: Known | undefined
  readonly #turns = new Turns()
  #running: Promise<unknown> = Promise.resolve()
  #guardMs = Number.NEGATIVE_INFINITY
  #watermarkMs = Number.NEGATIVE_INFINITY

  constructor(options: OwnerOptions) {
    this.#options = options
    this.#writers = options.places.map(place => {
      const { dryRun, clock, log, meters, random } = options
      const paused = (reason: string | undefined): void => this.#paused(place.sets.place, reason)
      const step = <T>(work: (ledger: Ledger) => T): Promise<T> => this.#step(({ ledger }) => work(ledger))
      return new PlaceWriter({ ...place, dryRun, clock, log, meters, random, step, paused })
    })
  }

  start(): void {
    const { signal } = this.#stop
    this.#running = Promise.all([this.#ticks(signal), ...this.#writers.map(writer => writer.run(signal))])
  }

  /** Not one write more begins after this call. */
  revoke(): void {
    this.#stop.abort(new HaetaeError('STREAM_REVOKED', 'the ledger belongs to another process now'))
  }

  async close(): Promise<void> {
    this.revoke()
    await this.#running
    await this.#turns.ended()
    this.#options.paused(undefined)
    this.#options.asks(undefined)
  }

  /** Resolves when what came of them is durable; rejects when it may not be: the same requests may then be applied again. */
  async apply(decisions: readonly Decision[]): Promise<readonly Outcome[]> {
    const { meters } = this.#options
    const outcomes = await this.#step(known => decisions.map(decision => applyDecision(this.#judge(known), decision)))
    for (const [at, outcome] of outcomes.entries()) meters.decisions.add({ type: decisions[at]!.type, outcome })
    this.#ring()
    return outcomes
  }

  #judge({ ledger, budget, news }: Known): Parameters<typeof applyDecision>[0] {
    const { neverBlock, terms, dryRun, clock } = this.#options
    const nowMs = clock.now()
    const isNews = (decision: Decision, reason: string): boolean => news.isNews(decision, reason, nowMs)
    return { ledger, guard: neverBlock.guard, budget, terms, dryRun, nowMs, isNews }
  }

  #step<T>(work: (known: Known) => T): Promise<T> {
    return this.#turns.take(async () => {
      const { signal } = this.#stop
      signal.throwIfAborted()
      const known = this.#known ?? (await this.#load())
      this.#known = known
      signal.throwIfAborted()
      try {
        const result = work(known)
        await this.#save(known)
        return result
      } catch (thrown) {
        this.#known = undefined
        throw thrown
      }
    })
  }

  async #save(known: Known): Promise<void> {
    const { ledger } = known
    const changes = ledger.take()
    if (!changes) return
    await this.#options.store.save(changes, this.#stop.signal)
    known.settled = ledger.seq
  }

  async #load(): Promise<Known> {
    const { store, limits, clock, dryRun } = this.#options
    let ledger: Ledger
    try {
      ledger = await store.load()
    } catch (thrown) {
      this.#paused('ledger', asError(thrown).message)
      throw thrown
    }
    for (const audit of ledger.unaudited(dryRun)) ledger.tell(audit)
    const spent = spentBy(ledger.holds.values(), clock.now(), ledger.budget?.resumed?.time)
    const known: Known = { ledger, budget: new Budget(limits, spent), news: new News(), settled: 0, guard: undefined }
    await this.#save(known)
    this.#paused('ledger', undefined)
    return known
  }

  async #ticks(signal: AbortSignal): Promise<void> {
    const { clock, log, random } = this.#options
    let attempt = 0
    while (!signal.aborted) {
      try {
        await this.#tick()
        if (attempt > 0) log.info('the ledger of holds is kept again')
        attempt = 0
      } catch (thrown) {
        if (signal.aborted) return
        if (attempt === 0)
          log.error('the ledger of holds cannot be kept: nothing is blocked or released', {
            error: asError(thrown).message,
          })
        attempt++
      }
      await clock.wait(attempt === 0 ? TICK_MS : backoffMs(LOAD_BACKOFF, attempt - 1, random), signal)
    }
  }

  async #tick(): Promise<void> {
    const { clock, neverBlock, log } = this.#options
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#guardMs >= GUARD_MS) {
      this.#guardMs = nowMs
      await neverBlock.reload()
      if (neverBlock.problem) log.warn('the never-block list is kept as it was', { error: neverBlock.problem })
      this.#paused('never-block list', neverBlock.problem)
    }
    const isChanged = await this.#step(known => this.#pass(known))
    if (isChanged) this.#ring()
  }

  /** What time and the guard do to the ledger. Tells whether the IP sets have to follow. */
  #pass(known: Known): boolean {
    const { clock, neverBlock, terms, meters } = this.#options
    const { ledger } = known
    const nowMs = clock.now()
    const counts = { active: 0, suspended: 0, released: 0, expired: 0 }
    let isChanged = false
    const isNewGuard = known.guard !== neverBlock.guard
    known.guard = neverBlock.guard
    for (const hold of [...ledger.holds.values()]) {
      counts[hold.state]++
      if (isLive(hold)) {
        const objection = isNewGuard ? neverBlock.guard.objection(parseCidr(hold.cidr)!) : undefined
        if (objection) release({ ledger, nowMs }, hold, { who: 'haetae', reason: `never block: ${objection.detail}` })
        else if (hold.untilMs <= nowMs) {
          ledger.put(
            { ...hold, state: 'expired', endedMs: nowMs },
            { what: 'hold_expired', time: nowMs, who: 'haetae' },
          )
        } else continue
        isChanged = true
      } else if ((hold.endedMs ?? 0) <= nowMs - terms.memoryMs) ledger.forget(hold)
    }
    for (const allow of ledger.allows.values()) if (allow.untilMs <= nowMs) ledger.clearAllow(allow)
    this.#mark(known)
    for (const [state, count] of Object.entries(counts)) meters.holds.set(count, { state })
    meters.tripped.set(ledger.budget?.tripped ? 1 : 0)
    this.#options.asks(
      ledger.budget?.tripped &&
        'the block budget is tripped, detections block nothing more: `haetae decisions resume` goes on',
    )
    return isChanged
  }

  /** Notes from time to time up to where everything is told. */
  #mark({ ledger, settled }: Known): void {
    const nowMs = this.#options.clock.monotonicMs()
    if (settled <= ledger.audited || nowMs - this.#watermarkMs < WATERMARK_MS) return
    this.#watermarkMs = nowMs
    ledger.putState({ type: 'audited', seq: settled })
  }

  #ring(): void {
    for (const writer of this.#writers) writer.ring()
  }

  /** Several things may hold us up at a time; the first is shown. */
  #paused(what: string, reason: string | undefined): void {
    if (reason === undefined) this.#pauses.delete(what)
    else this.#pauses.set(what, reason)
    const [first] = this.#pauses.values()
    this.#options.paused(first)
  }
}
