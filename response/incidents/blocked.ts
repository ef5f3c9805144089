import { z } from 'zod'
import { clientPrefix, parseAddress } from '../../platform/address.ts'
import { ADDRESSES_MAX } from '../../platform/incident.ts'
import type { AuditFacts } from './audit.ts'

/** Twice what the ledger has holds by default; of more, those that came first are forgotten. */
const BLOCKED_MAX = 100_000
/** Holds on one target: one for each rule and person. */
const HOLDS_MAX = 100

/** One address (of IPv6 its /64) or network that is or was blocked in an incident, and the holds on it that have not ended. */
export const blockedSchema = z.object({
  incident: z.string().min(1).max(64),
  target: z.string().min(1).max(64),
  holds: z
    .array(
      z.object({
        uid: z.string().max(64),
        /** Not while it is suspended. */
        active: z.boolean(),
        until: z.int().min(0),
        /** WAF has acknowledged it somewhere. */
        written: z.boolean(),
      }),
    )
    .max(HOLDS_MAX),
})
export type Blocked = z.output<typeof blockedSchema>

/** A tombstone where `record` is undefined. */
export interface BlockedChange {
  readonly key: string
  readonly record: Blocked | undefined
}

interface BlockedCounts {
  /** Addresses that an active hold keeps out, ... */
  readonly active: number
  /** ... of which WAF has not acknowledged so many yet. */
  readonly waiting: number
  /** The same, and those that were. */
  readonly total: number
  /** When the last active hold ends. */
  readonly until: number | undefined
  /** The first of those that are blocked. */
  readonly targets: readonly string[]
}

/**
 * Which addresses are blocked in which incident. Several holds may keep out one address, and one hold may be suspended, go on and
 * end: addresses are counted, and each hold is remembered with its state, so that nothing is added or taken away twice. A hold
 * belongs to the incident in which its address was last counted when it was made.
 */
export class BlockedTargets {
  readonly #all = new Map<string, Blocked>()
  readonly #ofIncident = new Index()
  readonly #ofTarget = new Index()
  /** The key of each hold that has not ended. */
  readonly #ofHold = new Map<string, string>()
  readonly #changed = new Map<string, Blocked | undefined>()

  constructor(known: Iterable<Blocked> = []) {
    for (const each of known) this.#put(each)
    this.#changed.clear()
  }

  /** The incident that the hold belongs to, while it has not ended. */
  incidentOf(hold: string): string | undefined {
    return this.#all.get(this.#ofHold.get(hold) ?? '')?.incident
  }

  /** A hold was made, extended, written, suspended, or ended; one that is new belongs to `incident`. */
  apply({ what, hold, target, untilMs }: AuditFacts, incident: string): void {
    if (hold === undefined || target === undefined) return
    const known = this.#all.get(this.#ofHold.get(hold) ?? '')
    const begins = what === 'hold_created' || what === 'hold_extended'
    if (!known && !begins) return
    const place = targetKey(target)
    const one = known ?? this.#all.get(keyOf(incident, place)) ?? { incident, target: place, holds: [] }
    const before = one.holds.find(({ uid }) => uid === hold)
    const rest = one.holds.filter(({ uid }) => uid !== hold)
    if (what === 'hold_released' || what === 'hold_expired') this.#put({ ...one, holds: rest })
    else if (rest.length < HOLDS_MAX) {
      const isWritten = what === 'waf_written' || before?.written === true
      const next = {
        uid: hold,
        active: begins || (what === 'waf_written' && before?.active === true),
        until: Math.max(untilMs ?? 0, before?.until ?? 0),
        written: isWritten,
      }
      this.#put({ ...one, holds: [...rest, next] })
    }
  }

  /** Whether WAF has acknowledged this hold before; true for one that is not known. */
  isWritten(hold: string): boolean {
    const holds = this.#all.get(this.#ofHold.get(hold) ?? '')?.holds
    return holds?.find(({ uid }) => uid === hold)?.written ?? true
  }

  /** Everything that is blocked in `from` is counted in `into` from now on. */
  merge(from: string, into: string): void {
    for (const key of this.#ofIncident.of(from)) {
      const one = this.#all.get(key)!
      this.#delete(key)
      this.#join(one, into)
    }
  }

  /** What keeps this address out was told in incidents that are over: from now on in the one that goes on. */
  follow(target: string, into: string, isOver: (incident: string) => boolean): void {
    for (const key of this.#ofTarget.of(targetKey(target))) {
      const one = this.#all.get(key)!
      if (one.holds.length === 0 || one.incident === into || !isOver(one.incident)) continue
      this.#put({ ...one, holds: [] })
      this.#join(one, into)
    }
  }

  counts(incident: string): BlockedCounts {
    const keys = this.#ofIncident.of(incident)
    let active = 0
    let waiting = 0
    let until = 0
    const targets: string[] = []
    for (const key of keys) {
      const { target, holds: all } = this.#all.get(key)!
      const holds = all.filter(each => each.active)
      if (holds.length > 0) active++
      if (holds.length > 0 && targets.length < ADDRESSES_MAX) targets.push(target)
      if (holds.length > 0 && !holds.some(({ written }) => written)) waiting++
      until = Math.max(until, ...holds.map(each => each.until))
    }
    return { active, waiting, total: keys.length, until: until > 0 ? until : undefined, targets }
  }

  forget(incident: string): void {
    for (const key of this.#ofIncident.of(incident)) this.#delete(key)
  }

  /** What changed since the last call. */
  take(): BlockedChange[] {
    const changes = [...this.#changed].map(([key, record]) => ({ key, record }))
    this.#changed.clear()
    return changes
  }

  get changedCount(): number {
    return this.#changed.size
  }

  #join(one: Blocked, incident: string): void {
    const there = this.#all.get(keyOf(incident, one.target))
    this.#put({ ...one, incident, holds: [...(there?.holds ?? []), ...one.holds].slice(0, HOLDS_MAX) })
  }

  #put(one: Blocked): void {
    const key = keyOf(one.incident, one.target)
    for (const { uid } of this.#all.get(key)?.holds ?? []) this.#ofHold.delete(uid)
    for (const { uid } of one.holds) this.#ofHold.set(uid, key)
    this.#all.set(key, one)
    this.#ofIncident.add(one.incident, key)
    this.#ofTarget.add(one.target, key)
    this.#changed.set(key, one)
    const [oldest] = this.#all.keys()
    if (this.#all.size > BLOCKED_MAX && oldest !== undefined) this.#delete(oldest)
  }

  #delete(key: string): void {
    const { incident, target, holds } = this.#all.get(key)!
    for (const { uid } of holds) this.#ofHold.delete(uid)
    this.#all.delete(key)
    this.#ofIncident.delete(incident, key)
    this.#ofTarget.delete(target, key)
    this.#changed.set(key, undefined)
  }
}

/** Keys by what they have in common. */
class Index {
  readonly #keys = new Map<string, Set<string>>()

  of(name: string): readonly string[] {
    return [...(this.#keys.get(name) ?? [])]
  }

  add(name: string, key: string): void {
    const keys = this.#keys.get(name) ?? new Set()
    this.#keys.set(name, keys.add(key))
  }

  delete(name: string, key: string): void {
    const keys = this.#keys.get(name)
    keys?.delete(key)
    if (keys?.size === 0) this.#keys.delete(name)
  }
}

/** Of an IPv6 client its /64 is held, and audited under that name. */
export function targetKey(target: string): string {
  const address = parseAddress(target)
  return address ? clientPrefix(address) : target
}

function keyOf(incident: string, target: string): string {
  return `blocked/${incident}/${target}`
}
