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
/** What time may mend is told to people only when it has not by then. */
const TOLD_AFTER_MS = 60_000

/** Keeps the IP sets of one scope and Region equal to the ledger, for as long as `signal` lets it. */
export class PlaceWriter {
  readonly #options: PlaceOptions
  readonly #reconciler: Reconciler
  readonly #bell = new Bell()
  #isDue = true
  #attempt = 0
  #saidKind: Said | undefined
  #troubledMs: number | undefined
  /** Why people were told that nothing is written; until it goes on. */
  #toldKind: Said | undefined

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
    const { sets, step, writes, meters, dryRun } = this.#options
    const { place } = sets
    if (sets.ageMs === undefined || sets.ageMs >= REFRESH_MS) await sets.refresh(signal)
    if (sets.sets.length === 0) {
      const text = `no IP set in ${place} has a name that begins as HAETAE_IPSET_PREFIX says`
      this.#say('no sets', text)
      // Before anybody is to be blocked it keeps nobody from being blocked.
      if ((await step(ledger => ledger.wanted(dryRun).size)) > 0) await this.#tell('no sets', text)
      return
    }
    for (;;) {
      const plan = await step(ledger => this.#reconciler.observe(ledger))
      // What others need is more urgent than what may go.
      const next = plan.changes.find(({ add }) => add.length > 0) ?? plan.changes[0]
      if (plan.homeless.length > 0) await this.#crowded(plan.homeless.length)
      else if (!next) await this.#settled()
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
      if (plan.homeless.length === 0) await this.#settled()
    }
  }

  /** How long to wait. */
  async #troubled(thrown: unknown): Promise<number> {
    const { sets, meters, random, clock } = this.#options
    const { place } = sets
    const trouble = troubleOf(thrown, `IP sets in ${place}`)
    meters.writes.add({ place, outcome: trouble.kind })
    if (trouble.kind !== 'busy') sets.doubt()
    this.#say(trouble.kind, trouble.error.message)
    const nowMs = clock.monotonicMs()
    this.#troubledMs ??= nowMs
    const isLasting = nowMs - this.#troubledMs >= TOLD_AFTER_MS
    // The ledger may be what cannot be written; the log and the metric say it in any case.
    if (trouble.kind === 'person' || trouble.kind === 'full' || isLasting)
      await this.#tell(trouble.kind, trouble.error.message).catch(() => undefined)
    this.#attempt++
    return trouble.kind === 'person' ? PERSON_WAIT_MS : backoffMs(BACKOFF, this.#attempt - 1, random)
  }

  async #crowded(homeless: number): Promise<void> {
    const { place } = this.#options.sets
    const text = `${homeless} networks find no room in the IP sets of ${place}: make another set and name it in the web ACL`
    this.#say('full', text)
    await this.#tell('full', text)
  }

  /** Nothing is left to be written, or a write was acknowledged: reading alone says little. */
  async #settled(): Promise<void> {
    const { sets, log } = this.#options
    this.#troubledMs = undefined
    if (this.#saidKind) log.info('the IP sets are written again', { place: sets.place })
    this.#saidKind = undefined
    this.#options.paused(undefined)
    if (this.#toldKind)
      await this.#record('waf_recovered', this.#toldKind, `the IP sets in ${sets.place} are written again`)
    this.#toldKind = undefined
  }

  /** Tells people through the audit, once for each reason in a row. */
  async #tell(kind: Said, reason: string): Promise<void> {
    if (this.#toldKind === kind) return
    await this.#record('waf_failed', kind, reason)
    this.#toldKind = kind
  }

  #record(what: 'waf_failed' | 'waf_recovered', kind: Said, reason: string): Promise<void> {
    const { sets, step, clock, dryRun } = this.#options
    const { place } = sets
    const time = clock.now()
    const skip_reason = kind.replace(' ', '_')
    const audit = auditRecord([place, time], { time, what, who: 'haetae', reason, skip_reason, place, dry_run: dryRun })
    return step(ledger => ledger.tell(audit))
  }

  /** The first of a row is said. */
  #say(kind: Said, message: string): void {
    const isNews = this.#saidKind !== kind
    this.#saidKind = kind
    if (isNews) this.#options.log.warn('the IP sets are not as the ledger wants them yet', { kind, error: message })
    if (kind === 'person' || kind === 'full' || kind === 'no sets') this.#options.paused(message)
  }
}
