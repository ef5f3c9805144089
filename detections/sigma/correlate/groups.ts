import type { Counter, Gauge } from '../../../platform/metrics.ts'
import { partitionOf } from '../../../platform/topics/partition.ts'
import type { RunningCorrelation } from './resolve.ts'
import { type Counting, type Entry, type Trigger, Window } from './window.ts'

/** What an alert shows of an event, already redacted: one JSON object. */
interface Evidence {
  readonly timeMs: number
  readonly uid: string
  readonly json: string
}

/** One group of one correlation. */
export interface Group {
  readonly window: Window
  evidences: Evidence[]
  /** Which part of a snapshot it is in. */
  readonly part: number
  bytes: number
}

/** What completed a pattern, with what there is to show for it. */
export interface Completed {
  readonly trigger: Trigger
  readonly entries: readonly Entry[]
  readonly evidences: readonly Evidence[]
}

export interface GroupBounds {
  readonly groupsMax: number
  readonly bytesMax: number
  readonly latenessMs: number
}

export interface GroupMeasures {
  readonly groups: Gauge
  readonly evicted: Counter
  readonly late: Counter
  readonly shed: Counter
}

/** Parts of a snapshot: groups that changed are written with the others of their part. */
export const PARTS = 64
const EVIDENCES_MAX = 10
const ENTRY_BYTES = 120
const GROUP_BYTES = 400
const EVICT_TOGETHER = 64
const EXPIRE_TOGETHER = 256
const NONE: readonly never[] = []

/** The groups of one stream. */
export class StreamGroups {
  /** The newest event time seen. */
  watermarkMs = Number.NEGATIVE_INFINITY
  /** By correlation; within, by use: the least recent first. */
  readonly tables = new Map<string, Map<string, Group>>()
  /** Parts that changed since the last snapshot. */
  readonly changed = new Set<number>()

  table(correlation: string): Map<string, Group> {
    const known = this.tables.get(correlation)
    if (known) return known
    const made = new Map<string, Group>()
    this.tables.set(correlation, made)
    return made
  }
}

export function countingOf({ type, timespanMs, atLeast, bases }: RunningCorrelation): Counting {
  return { type, timespanMs, atLeast, rules: bases.length }
}

export function partOf(correlation: string, group: string): number {
  return partitionOf(`${correlation}\n${group}`, PARTS)
}

function bytesOf({ window, evidences }: Group, key: string): number {
  let shown = 0
  for (const { json } of evidences) shown += json.length
  return GROUP_BYTES + key.length * 2 + window.entries.length * ENTRY_BYTES + shown
}

/**
 * All groups of one detector, by stream. Bounded in number and in bytes: past either, the groups that were used least recently
 * go, of the correlation that has most. Of them an alert may be missed or, its id being the same, given again.
 */
export class Groups {
  readonly #bounds: GroupBounds
  readonly #measures: GroupMeasures
  readonly #streams = new Map<string, StreamGroups>()
  #count = 0
  #bytes = 0

  constructor(bounds: GroupBounds, measures: GroupMeasures) {
    this.#bounds = bounds
    this.#measures = measures
  }

  get size(): number {
    return this.#count
  }

  stream(name: string): StreamGroups {
    const known = this.#streams.get(name)
    if (known) return known
    const made = new StreamGroups()
    this.#streams.set(name, made)
    return made
  }

  /** Time has come so far in this stream. */
  advance(name: string, timeMs: number): void {
    const stream = this.stream(name)
    if (timeMs > stream.watermarkMs) stream.watermarkMs = timeMs
  }

  /** Counts an event in a group. `evidence` is asked for only when it is kept or shown. */
  add(
    name: string,
    correlation: RunningCorrelation,
    key: string,
    entry: Entry,
    evidence: () => string,
  ): readonly Completed[] {
    const stream = this.stream(name)
    const horizonMs = stream.watermarkMs - this.#bounds.latenessMs
    if (entry.timeMs < horizonMs) {
      this.#measures.late.add()
      return NONE
    }
    const group = this.#used(stream, correlation, key)
    const triggers = group.window.add(entry)
    if (triggers === undefined) return NONE
    this.#keep(group, entry, correlation, evidence, triggers.length > 0)
    const completed =
      triggers.length === 0 ? NONE : triggers.map(trigger => this.#completed(group, trigger, correlation.timespanMs))
    const shed = group.window.trim(horizonMs)
    if (shed > 0) this.#measures.shed.add({}, shed)
    stream.changed.add(group.part)
    this.#weigh(group, key)
    this.#evict()
    return completed
  }

  /** Groups that nothing can be added to any more. To be called now and then. */
  expire(name: string): void {
    const stream = this.stream(name)
    const horizonMs = stream.watermarkMs - this.#bounds.latenessMs
    for (const table of stream.tables.values()) {
      let looked = 0
      for (const [key, group] of table) {
        if (looked++ >= EXPIRE_TOGETHER || !group.window.expiresBefore(horizonMs)) break
        this.#remove(stream, table, key, group)
      }
    }
    this.#measures.groups.set(this.#count)
  }

  drop(name: string): void {
    const stream = this.#streams.get(name)
    if (!stream) return
    for (const table of stream.tables.values())
      for (const [key, group] of table) this.#remove(stream, table, key, group)
    this.#streams.delete(name)
  }

  /** A group as it was when a snapshot was made. */
  put(name: string, correlation: string, key: string, group: Group): void {
    this.stream(name).table(correlation).set(key, group)
    this.#count++
    this.#weigh(group, key)
    this.#evict()
  }

  #used(stream: StreamGroups, correlation: RunningCorrelation, key: string): Group {
    const table = stream.table(correlation.id)
    const known = table.get(key)
    if (known) table.delete(key)
    else this.#count++
    const part = known?.part ?? partOf(correlation.id, key)
    const group = known ?? { window: new Window(countingOf(correlation)), evidences: [], part, bytes: 0 }
    table.set(key, group)
    return group
  }

  /** The one that completes, and of those before it the first of each time span, once there are nearly enough of them. */
  #keep(group: Group, entry: Entry, correlation: RunningCorrelation, evidence: () => string, completes: boolean): void {
    const { evidences, window } = group
    const { timespanMs, atLeast } = correlation
    if (!completes && window.entries.length + EVIDENCES_MAX <= atLeast) return
    const oldest = evidences[0]
    const isFull = evidences.length >= EVIDENCES_MAX
    if (isFull && !completes && oldest && entry.timeMs - oldest.timeMs < timespanMs) return
    if (isFull) evidences.splice(completes ? EVIDENCES_MAX - 1 : 0, 1)
    evidences.push({ timeMs: entry.timeMs, uid: entry.uid, json: evidence() })
    evidences.sort((a, b) => a.timeMs - b.timeMs)
  }

  #completed({ window, evidences }: Group, trigger: Trigger, timespanMs: number): Completed {
    const startMs = trigger.endMs - timespanMs
    const shown = evidences.filter(({ timeMs }) => timeMs > startMs && timeMs <= trigger.endMs)
    return { trigger, entries: window.within(trigger.endMs), evidences: shown }
  }

  #weigh(group: Group, key: string): void {
    const bytes = bytesOf(group, key)
    this.#bytes += bytes - group.bytes
    group.bytes = bytes
  }

  #evict(): void {
    const { groupsMax, bytesMax } = this.#bounds
    while (this.#count > 1 && (this.#count > groupsMax || this.#bytes > bytesMax)) {
      const [stream, table] = this.#largest()!
      let count = Math.min(EVICT_TOGETHER, Math.max(1, table.size >> 4))
      for (const [key, group] of table) {
        if (count-- <= 0) break
        this.#remove(stream, table, key, group)
        this.#measures.evicted.add()
      }
    }
  }

  #largest(): readonly [StreamGroups, Map<string, Group>] | undefined {
    let largest: readonly [StreamGroups, Map<string, Group>] | undefined
    for (const stream of this.#streams.values())
      for (const table of stream.tables.values()) if (table.size > (largest?.[1].size ?? 0)) largest = [stream, table]
    return largest
  }

  #remove(stream: StreamGroups, table: Map<string, Group>, key: string, group: Group): void {
    table.delete(key)
    stream.changed.add(group.part)
    this.#count--
    this.#bytes -= group.bytes
  }
}
