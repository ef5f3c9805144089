import { parseAddress } from '../address.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { AutonomousSystem, Location } from '../ocsf/event.ts'
import type { Answers } from './database.ts'
import { Recent } from './recent.ts'
import type { Topic } from './records.ts'
import { type Special, specialPurpose } from './special.ts'
import { type DatabaseState, type DatabaseStatus, databaseStates, WatchedDatabase } from './watched.ts'

export interface GeoIpOptions {
  /** Database files, asked in this order until one knows the address. */
  readonly city: readonly string[]
  readonly asn: readonly string[]
  readonly ageDaysMax: number
  readonly addressesMax: number
  readonly checkMs: number
}

export interface GeoIpDeps {
  readonly log: Log
  readonly metrics: Metrics
  readonly clock: Clock
}

/**
 * `found`: a database knows a place or a system. `unknown`: none does. `special`: private, reserved … and not looked up; `scope`
 * says which. `invalid`: not an IP address. `failed`: a database is damaged where this address is; what the others know is there.
 */
export const answerKinds = ['found', 'unknown', 'special', 'invalid', 'failed'] as const
export interface GeoIpAnswer {
  readonly kind: (typeof answerKinds)[number]
  /** Frozen and shared between addresses, as is the system. */
  readonly location: Location | undefined
  readonly autonomousSystem: AutonomousSystem | undefined
  /** Of a special address only. */
  readonly scope?: Special
}

const invalid: GeoIpAnswer = { kind: 'invalid', location: undefined, autonomousSystem: undefined }
const unknown: GeoIpAnswer = { kind: 'unknown', location: undefined, autonomousSystem: undefined }

/** Address → place and autonomous system, from files that may be replaced while it runs. */
export class GeoIp {
  readonly #options: GeoIpOptions
  readonly #deps: GeoIpDeps
  readonly #city: readonly WatchedDatabase<'city'>[]
  readonly #asn: readonly WatchedDatabase<'asn'>[]
  readonly #answers: Recent<string, GeoIpAnswer>
  readonly #specials = new Map<Special, GeoIpAnswer>()
  readonly #stop = new AbortController()
  readonly #watching: Promise<void>
  #states = new Map<string, DatabaseState>()

  /** Throws GEOIP_MISSING or GEOIP_CORRUPT; a database that is merely old is used, and said to be old. */
  static async open(options: GeoIpOptions, deps: GeoIpDeps): Promise<GeoIp> {
    const asn = await openAll('asn', options.asn)
    const city = await openAll('city', options.city)
    return new GeoIp(options, deps, city, asn)
  }

  private constructor(
    options: GeoIpOptions,
    deps: GeoIpDeps,
    city: readonly WatchedDatabase<'city'>[],
    asn: readonly WatchedDatabase<'asn'>[],
  ) {
    this.#options = options
    this.#deps = deps
    this.#city = city
    this.#asn = asn
    this.#answers = new Recent(options.addressesMax)
    this.#report()
    this.#watching = this.#watch()
  }

  /** Never throws, whatever the text. */
  lookup(text: string): GeoIpAnswer {
    return this.#answers.get(text) ?? this.#find(text)
  }

  status(): DatabaseStatus[] {
    const nowMs = this.#deps.clock.now()
    return [...this.#city, ...this.#asn].map(database => database.status(nowMs, this.#options.ageDaysMax))
  }

  /** Looks at the files now; also happens by itself every `checkMs`. */
  async check(): Promise<void> {
    const swapped = await Promise.all([...this.#city, ...this.#asn].map(database => database.check()))
    if (swapped.includes(true)) {
      this.#answers.clear()
      this.#deps.log.info('GeoIP database reloaded', { databases: this.status().map(describe) })
    }
    this.#report()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#watching
    for (const database of [...this.#city, ...this.#asn]) database.close()
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await this.#deps.clock.wait(this.#options.checkMs, signal)
      if (!signal.aborted) await this.check()
    }
  }

  #find(text: string): GeoIpAnswer {
    const address = parseAddress(text)
    if (!address) return invalid
    const special = specialPurpose(address)
    const answer = special ? this.#special(special) : this.#ask(address)
    // A file that was overwritten in place is read again soon.
    if (answer.kind === 'failed') return answer
    // A key of its own: `text` may be a slice that keeps a whole batch of input in memory.
    this.#answers.add(Buffer.from(text, 'latin1').toString('latin1'), answer)
    return answer
  }

  #special(special: Special): GeoIpAnswer {
    const known = this.#specials.get(special)
    if (known) return known
    const answer: GeoIpAnswer = { kind: 'special', location: undefined, autonomousSystem: undefined, scope: special }
    this.#specials.set(special, answer)
    return answer
  }

  #ask(address: NonNullable<ReturnType<typeof parseAddress>>): GeoIpAnswer {
    let failed = false
    const first = <T extends Topic>(databases: readonly WatchedDatabase<T>[]): Answers[T] | undefined => {
      for (const database of databases) {
        try {
          const answer = database.lookup(address)
          if (answer) return answer
        } catch {
          failed = true
        }
      }
      return undefined
    }
    const location = first(this.#city)
    const autonomousSystem = first(this.#asn)
    if (failed) return { kind: 'failed', location, autonomousSystem }
    return location || autonomousSystem ? { kind: 'found', location, autonomousSystem } : unknown
  }

  /** Metrics always; the log only when a state changed. */
  #report(): void {
    const { log, metrics } = this.#deps
    const state = metrics.gauge('haetae_geoip_database_state', 'GeoIP databases by state', ['database', 'state'])
    const built = metrics.gauge(
      'haetae_geoip_database_built_seconds',
      'When the GeoIP database was built, seconds since 1970',
      ['database'],
    )
    const states = new Map<string, DatabaseState>()
    const seen = new Map<Topic, number>()
    const old: DatabaseStatus[] = []
    for (const status of this.status()) {
      const index = seen.get(status.topic) ?? 0
      seen.set(status.topic, index + 1)
      const database = `${status.topic}_${index}`
      states.set(database, status.state)
      for (const each of databaseStates) state.set(each === status.state ? 1 : 0, { database, state: each })
      built.set(status.builtMs / 1000, { database })
      if (this.#states.get(database) === status.state) continue
      if (status.state === 'ok') log.info('GeoIP database in use', describe(status))
      else if (status.state === 'old') old.push(status)
      else log.error(status.message ?? status.state, describe(status))
    }
    this.#states = states
    this.#warnOfOld(old)
  }

  /** In one line: the files of a package grow old together. */
  #warnOfOld(old: readonly DatabaseStatus[]): void {
    if (old.length === 0) return
    const message = `GeoIP databases are older than ageDaysMax ${this.#options.ageDaysMax}: replace them with newer ones`
    this.#deps.log.warn(message, { databases: old.map(each => ({ ...describe(each), ageDays: each.ageDays })) })
  }
}

/** One after the other: CSV files take several times their final size while they are read. */
async function openAll<T extends Topic>(topic: T, paths: readonly string[]): Promise<WatchedDatabase<T>[]> {
  const opened: WatchedDatabase<T>[] = []
  for (const path of paths) opened.push(await WatchedDatabase.open(topic, path))
  return opened
}

function describe(status: DatabaseStatus): Record<string, string> {
  const { path, state, type } = status
  return { path, state, type, built: new Date(status.builtMs).toISOString() }
}
