import { backoffMs } from '../../platform/backoff.ts'
import { auditRecord } from '../../platform/response/audit.ts'
import { Bell } from '../../platform/topics/bell.ts'
import type { Pace } from '../waf/pace.ts'
import { type Trouble, troubleOf } from '../waf/trouble.ts'
import type { Ledger } from './ledger.ts'
import { Reconciler, type ReconcilerOptions } from './reconciler.ts'

export interface PlaceOptions extends ReconcilerOptions {
  /** One for all who write in this Region. */
  readonly writes: Pace
  readonly random: () => number
  /** Does its work on the ledger alone, and resolves when what it changed is durable. */
  readonly step: <T>(work: (ledger: Ledger) => T) => Promise<T>
  /** Says why nothing is written until a person acts; undefined when it goes on. */
  readonly paused: (reason: string | undefined) => void
}

type Said = Trouble['kind'] | 'no sets'

/** How often everything is read again, to see what others changed. */
const REFRESH_MS = 30_000
const BACKOFF = { firstMs: 500, maxMs: 30_000 }
const PERSON_WAIT_MS = 30_000

/** Keeps the IP sets of one scope and Region equal to the ledger, for as long as `signal` lets it. */
export class PlaceWriter {
  readonly #options: PlaceOptions
  readonly #reconciler: Reconciler
  readonly #bell = new Bell()
  #isDue = true
  #attempt = 0
  #saidKind: Said | undefined

  constructor(options: PlaceOptions) {
    this.#options = options
    this.#reconciler = new Reconciler(options)
  }

  /** The ledger changed. */
  ring(): void {
    this.#isDue = true
    this.#bell.ring()
  }

  /** Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    while (!signal.aborted) {
      this.#isDue = false
      let waitMs = REFRESH_MS
      try {
        await this.#pass(signal)
        this.#attempt = 0
      } catch (thrown) {
        if (signal.aborted) return
        waitMs = await this.#troubled(thrown)
      }
      if (this.#attempt > 0) await clock.wait(waitMs, signal)
      else await this.#rest(waitMs, signal)
    }
  }

  close(): void {
    this.#options.sets.close()
  }

  /** Until the bell rings, or the sets are to be looked at again. */
  async #rest(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#isDue) return
    const woken = new AbortController()
    const until = AbortSignal.any([signal, woken.signal])
    await Promise.race([this.#bell.wait(until), this.#options.clock.wait(ms, until)])
    woken.abort()
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { sets, step, writes, meters } = this.#options
    const { place } = sets
    if (sets.ageMs === undefined || sets.ageMs >= REFRESH_MS) await sets.refresh(signal)
    if (sets.sets.length === 0) {
      this.#say('no sets', `no IP set in ${place} has a name that begins as HAETAE_IPSET_PREFIX says`)
      return
    }
    for (;;) {
      const plan = await step(ledger => this.#reconciler.observe(ledger))
      // What others need is more urgent than what may go.
      const next = plan.changes.find(({ add }) => add.length > 0) ?? plan.changes[0]
      this.#settled(plan.homeless.length)
      if (!next) return
      await writes.turn(signal)
      if (signal.aborted) return
      // What came while this turn was waited for goes with it.
      const change = await step(ledger => this.#reconciler.intend(ledger, next.set.id))
      signal.throwIfAborted()
      if (!change) continue
      // Noting it may have taken a while, and the quota counts from when a request arrives.
      writes.taken()
      try {
        await sets.write(change.set, change, signal)
      } catch (thrown) {
        const { kind } = troubleOf(thrown, '')
        if (kind !== 'lock') throw thrown
        meters.writes.add({ place, outcome: 'lock' })
        await step(ledger => this.#reconciler.withdraw(ledger, change))
        await sets.reread(change.set, signal)
        continue
      }
      meters.writes.add({ place, outcome: 'written' })
      await step(ledger => this.#reconciler.acknowledge(ledger, change))
    }
  }

  /** How long to wait. */
  async #troubled(thrown: unknown): Promise<number> {
    const { sets, meters, random, step, clock, dryRun } = this.#options
    const { place } = sets
    const trouble = troubleOf(thrown, `IP sets in ${place}`)
    meters.writes.add({ place, outcome: trouble.kind })
    if (trouble.kind !== 'busy') sets.doubt()
    const isNews = this.#say(trouble.kind, trouble.error.message)
    const time = clock.now()
    if (isNews && (trouble.kind === 'person' || trouble.kind === 'full')) {
      const audit = auditRecord([place, time], {
        time,
        what: 'waf_failed',
        who: 'haetae',
        reason: trouble.error.message,
        skip_reason: trouble.kind,
        place,
        dry_run: dryRun,
      })
      // The ledger may be what cannot be written; the log and the metric say it in any case.
      await step(ledger => ledger.tell(audit)).catch(() => undefined)
    }
    this.#attempt++
    return trouble.kind === 'person' ? PERSON_WAIT_MS : backoffMs(BACKOFF, this.#attempt - 1, random)
  }

  #settled(homeless: number): void {
    const { sets } = this.#options
    if (homeless > 0) {
      const text = `${homeless} networks find no room in the IP sets of ${sets.place}: make another set and name it in the web ACL`
      this.#say('full', text)
      return
    }
    if (this.#saidKind) this.#options.log.info('the IP sets are written again', { place: sets.place })
    this.#saidKind = undefined
    this.#options.paused(undefined)
  }

  /** The first of a row is said. */
  #say(kind: Said, message: string): boolean {
    const isNews = this.#saidKind !== kind
    this.#saidKind = kind
    if (isNews) this.#options.log.warn('the IP sets are not as the ledger wants them yet', { kind, error: message })
    if (kind === 'person' || kind === 'full' || kind === 'no sets') this.#options.paused(message)
    return isNews
  }
}
