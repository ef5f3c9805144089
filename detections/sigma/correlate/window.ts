import type { CorrelationType } from './read.ts'

/** How one correlation counts. */
export interface Counting {
  readonly type: CorrelationType
  readonly timespanMs: number
  readonly atLeast: number
  /** How many rules it has. */
  readonly rules: number
}

/** One event that matched a rule of the correlation. */
export interface Entry {
  readonly timeMs: number
  /** Of the event. */
  readonly uid: string
  /** Which of the correlation's rules it matched. */
  readonly rule: number
  /** value_count: the value that counts; else empty. */
  readonly value: string
}

/** A window in which the condition holds, named by the time at which it ends divided by its length. */
export interface Trigger {
  readonly bucket: number
  /** When it ends: the time of its last event. */
  readonly endMs: number
  readonly count: number
}

/** Entries of one group. Past it the oldest go, and an alert may be missed. Those that are only counted cost the least time. */
const entriesMax: Readonly<Record<CorrelationType, number>> = {
  event_count: 20_000,
  value_count: 10_000,
  temporal: 5_000,
  temporal_ordered: 5_000,
}
/** Fewer entries are not worth a look at what can go. */
const SWEEP_AT = 64

/**
 * The events of one group, and which of its windows were alerted. A window ends with an event and reaches back over less than one
 * time span: (t - timespan, t]. The windows that hold are the same in whatever order the events come, as more events never undo
 * one; so each is found by the event that completes it, also when that comes late.
 */
export class Window {
  readonly #counting: Counting
  /** By time; what came first stands first among equals. */
  #entries: Entry[]
  /** Buckets of windows that were alerted, ascending. */
  #alerted: number[]
  readonly #sweepAtMin: number
  #sweepAt: number

  constructor(counting: Counting, entries: Entry[] = [], alerted: number[] = [], sweepAt = SWEEP_AT) {
    this.#counting = counting
    this.#sweepAtMin = sweepAt
    this.#sweepAt = sweepAt
    this.#entries = entries
    this.#alerted = alerted
  }

  get entries(): readonly Entry[] {
    return this.#entries
  }

  get alerted(): readonly number[] {
    return this.#alerted
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0 && this.#alerted.length === 0
  }

  /** Nothing of it is needed for events after `horizonMs`. */
  expiresBefore(horizonMs: number): boolean {
    const { timespanMs } = this.#counting
    const newest = this.#entries.at(-1)?.timeMs ?? Number.NEGATIVE_INFINITY
    const lastBucketEndMs = ((this.#alerted.at(-1) ?? Number.NEGATIVE_INFINITY) + 1) * timespanMs
    return newest + timespanMs <= horizonMs && lastBucketEndMs <= horizonMs
  }

  /** undefined: the event is there already. Else the windows that it completed, one a bucket. */
  add(entry: Entry): readonly Trigger[] | undefined {
    const after = this.#after(entry.timeMs)
    if (this.#isRepeat(entry, after)) return undefined
    this.#entries.splice(after, 0, entry)
    return this.#completed(after)
  }

  /** Lets go of what no event after `horizonMs` can make a difference to. Gives how many had to go for want of room. */
  trim(horizonMs: number): number {
    const { timespanMs } = this.#counting
    const oldest = this.#entries[0]
    if (oldest && oldest.timeMs + timespanMs <= horizonMs)
      this.#entries = this.#entries.slice(this.#after(horizonMs - timespanMs))
    while (this.#alerted.length > 0 && (this.#alerted[0]! + 1) * timespanMs <= horizonMs) this.#alerted.shift()
    if (this.#entries.length < this.#sweepAt) return 0
    this.#sweep(horizonMs)
    const most = entriesMax[this.#counting.type]
    const over = Math.max(0, this.#entries.length - most)
    if (over > 0) this.#entries.splice(0, over)
    this.#sweepAt = Math.max(this.#sweepAtMin, Math.min(this.#entries.length * 2, most + 1 + SWEEP_AT))
    return over
  }

  /** Of the window that ends at this time, the newest last. */
  within(endMs: number): readonly Entry[] {
    return this.#entries.slice(this.#after(endMs - this.#counting.timespanMs), this.#after(endMs))
  }

  #bucket(timeMs: number): number {
    return Math.floor(timeMs / this.#counting.timespanMs)
  }

  /** The first entry later than `timeMs`. */
  #after(timeMs: number): number {
    const entries = this.#entries
    if (entries.length === 0 || entries.at(-1)!.timeMs <= timeMs) return entries.length
    let low = 0
    let high = entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (entries[middle]!.timeMs <= timeMs) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The same event has the same time. An event counts once, but in temporal ones for each rule that it matched. */
  #isRepeat({ timeMs, uid, rule }: Entry, after: number): boolean {
    const byRule = this.#counting.type === 'temporal' || this.#counting.type === 'temporal_ordered'
    for (let at = after - 1; at >= 0; at--) {
      const other = this.#entries[at]!
      if (other.timeMs !== timeMs) return false
      if (other.uid === uid && (!byRule || other.rule === rule)) return true
    }
    return false
  }

  /** Looks at every window that the new entry at `from` is in. */
  #completed(from: number): readonly Trigger[] {
    const entries = this.#entries
    const { timespanMs } = this.#counting
    const endsBeforeMs = entries[from]!.timeMs + timespanMs
    const triggers: Trigger[] = []
    for (let end = from; end < entries.length && entries[end]!.timeMs < endsBeforeMs; end++) {
      const endMs = entries[end]!.timeMs
      if (entries[end + 1]?.timeMs === endMs) continue
      const bucket = this.#bucket(endMs)
      if (this.#isAlerted(bucket)) continue
      const count = this.#count(this.#after(endMs - timespanMs), end)
      if (count < this.#counting.atLeast) continue
      triggers.push({ bucket, endMs, count })
      this.#alerted.push(bucket)
      this.#alerted.sort((a, b) => a - b)
    }
    return triggers
  }

  #isAlerted(bucket: number): boolean {
    return this.#alerted.includes(bucket)
  }

  /** Of the entries from `start` to `end`, both included. */
  #count(start: number, end: number): number {
    const { type, atLeast, rules } = this.#counting
    if (type === 'event_count') return end - start + 1
    if (end - start + 1 < atLeast) return 0
    if (type === 'temporal_ordered') return this.#stepsInOrder(start, end, rules)
    if (type === 'temporal') return this.#different(start, end)
    const seen = new Set<string>()
    for (let at = start; at <= end; at++) seen.add(this.#entries[at]!.value)
    return seen.size
  }

  /** How many of the rules, of which there are fewer than a number has bits. */
  #different(start: number, end: number): number {
    let seen = 0
    let count = 0
    for (let at = start; at <= end; at++) {
      const bit = 1 << this.#entries[at]!.rule
      if ((seen & bit) === 0) count++
      seen |= bit
    }
    return count
  }

  /** How many of the rules matched one after the other; of one moment, in any order. */
  #stepsInOrder(start: number, end: number, rules: number): number {
    let next = 0
    for (let at = start; at <= end && next < rules; ) {
      const { timeMs } = this.#entries[at]!
      let now = 0
      for (; at <= end && this.#entries[at]!.timeMs === timeMs; at++) now |= 1 << this.#entries[at]!.rule
      while (next < rules && (now & (1 << next)) !== 0) next++
    }
    return next
  }

  /** Leaves out each entry without which every window, now and with whatever may still come, answers the same. */
  #sweep(horizonMs: number): void {
    const entries = this.#entries
    const kept: Entry[] = []
    for (let at = 0; at < entries.length; at++) {
      if (!this.#isSpare(kept, at, horizonMs)) kept.push(entries[at]!)
    }
    this.#entries = kept
  }

  /**
   * Whether the entry at `at` can go when `kept` is what stays before it. A window that contains it must hold without it: because its
   * buckets are alerted; or because what stays on either side, one of which the window contains wholly, is enough by itself or
   * says the same. And a window of its bucket must still end before it.
   */
  #isSpare(kept: readonly Entry[], at: number, horizonMs: number): boolean {
    const { type, timespanMs, atLeast } = this.#counting
    const entry = this.#entries[at]!
    const bucket = this.#bucket(entry.timeMs)
    if (this.#isAlerted(bucket) && this.#isAlerted(bucket + 1)) return true
    const before = kept.at(-1)
    const after = this.#entries[at + 1]
    if (!before || !after || this.#bucket(before.timeMs) !== bucket) return false
    if (type === 'temporal_ordered') {
      const same = before.rule === entry.rule && after.rule === entry.rule
      return same && after.timeMs < horizonMs && after.timeMs - before.timeMs < timespanMs
    }
    if (type === 'event_count') {
      const left = kept.at(-atLeast)
      const right = this.#entries[at + atLeast]
      return kept.length >= atLeast && left !== undefined && right !== undefined && near(left, right, timespanMs)
    }
    return this.#isSaid(kept, at) || this.#isEnoughAround(kept, at)
  }

  /** Its value (or rule) stands on both sides of it. */
  #isSaid(kept: readonly Entry[], at: number): boolean {
    const { timespanMs } = this.#counting
    const said = this.#said(this.#entries[at]!)
    const { timeMs } = this.#entries[at]!
    let left: Entry | undefined
    for (let back = kept.length - 1; back >= 0 && !left && timeMs - kept[back]!.timeMs < timespanMs; back--)
      if (this.#said(kept[back]!) === said) left = kept[back]
    if (!left) return false
    for (let on = at + 1; on < this.#entries.length; on++) {
      const right = this.#entries[on]!
      if (!near(left, right, timespanMs)) return false
      if (this.#said(right) === said) return true
    }
    return false
  }

  /** On both sides there are enough values (or rules). */
  #isEnoughAround(kept: readonly Entry[], at: number): boolean {
    const { timespanMs, atLeast } = this.#counting
    const { timeMs } = this.#entries[at]!
    const seen = new Set<string | number>()
    let left: Entry | undefined
    for (let back = kept.length - 1; back >= 0 && !left; back--) {
      if (timeMs - kept[back]!.timeMs >= timespanMs) return false
      seen.add(this.#said(kept[back]!))
      if (seen.size >= atLeast) left = kept[back]
    }
    if (!left) return false
    seen.clear()
    for (let on = at + 1; on < this.#entries.length; on++) {
      const right = this.#entries[on]!
      if (!near(left, right, timespanMs)) return false
      seen.add(this.#said(right))
      if (seen.size >= atLeast) return true
    }
    return false
  }

  #said({ rule, value }: Entry): string | number {
    return this.#counting.type === 'temporal' ? rule : value
  }
}

/** Whoever is between them has one of them in every window that contains him. */
function near(left: Entry, right: Entry, timespanMs: number): boolean {
  return right.timeMs - left.timeMs < timespanMs
}
