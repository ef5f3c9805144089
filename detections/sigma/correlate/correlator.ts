import type { Alert, Event, StatePart, StreamState } from '../../../engine/contract.ts'
import type { Metrics } from '../../../platform/metrics.ts'
import type { Json, OcsfEvent } from '../../../platform/ocsf/event.ts'
import type { SecretNames } from '../../../platform/redaction/names.ts'
import { redactValue } from '../../../platform/redaction/plain.ts'
import { stableId } from '../../../platform/stable-id.ts'
import type { Actor } from '../actor.ts'
import { alert, isSample } from '../alert.ts'
import { shortEvidenceOf } from '../evidence.ts'
import type { Rule } from '../rule.ts'
import { type GroupField, groupsOf } from './group.ts'
import { type Completed, type GroupBounds, type GroupMeasures, Groups } from './groups.ts'
import { happenedMs, type Match, matchOf, matchRecord, readMatch } from './match.ts'
import type { Base, RunningCorrelation } from './resolve.ts'
import { restored, snapshotOf } from './snapshot.ts'

const RELATED_MAX = 20
const EVIDENCES_MAX = 10
/** Stands behind the fields of a group that is counted from sample records. */
const SAMPLE = 'sample'

/** Asked for only when it is kept or said; the evidence of an event is made once. */
interface Shown {
  readonly evidence: () => string
  readonly sample: () => boolean
}

interface Feed {
  readonly correlation: RunningCorrelation
  readonly base: Base
}

/**
 * Counts what rules matched. Where the events of a group share a partition they are counted here; the others go as slim records to
 * the topic `matches`, where those of a group do, and are counted by whoever reads that. Alerts are given on the event that
 * completes a pattern, one for each group and time span.
 */
export class Correlator {
  readonly state: StreamState
  readonly #feeds = new Map<string, Feed[]>()
  readonly #byId: ReadonlyMap<string, RunningCorrelation>
  readonly #groups: Groups
  readonly #names: SecretNames
  /** What was read of the event at hand, for every correlation that asks. */
  #body: OcsfEvent | undefined
  readonly #values = new Map<GroupField, readonly string[]>()
  #shown: string | undefined
  #event: Event | undefined
  readonly #shownOfEvent: Shown = { evidence: () => this.#evidence(), sample: () => isSample(this.#event!.body) }

  constructor(
    correlations: readonly RunningCorrelation[],
    bounds: GroupBounds,
    names: SecretNames,
    metrics: Metrics,
    pipeline: string,
  ) {
    this.#names = names
    this.#byId = new Map(correlations.map(each => [each.id, each]))
    for (const correlation of correlations) {
      for (const base of correlation.bases) {
        const feeds = this.#feeds.get(base.rule.id) ?? []
        this.#feeds.set(base.rule.id, [...feeds, { correlation, base }])
      }
    }
    this.#groups = new Groups(bounds, measuresOf(metrics, pipeline))
    this.state = {
      snapshot: (stream): readonly StatePart[] => snapshotOf(this.#groups.stream(stream), this.#byId),
      restore: (stream, parts) => restored(this.#groups, stream, parts, this.#byId),
      drop: stream => this.#groups.drop(stream),
    }
  }

  /** An event passed, whether or not a rule matched it. To be called before what matched it. */
  passed(event: Event): void {
    this.#body = event.body
    this.#shown = undefined
    if (this.#values.size > 0) this.#values.clear()
    this.#groups.advance(streamOf(event), happenedMs(event))
  }

  /** An event that a rule matched. */
  matched(event: Event, rule: Rule, emit: (alert: Alert) => void): void {
    const feeds = this.#feeds.get(rule.id)
    if (!feeds) return
    this.#event = event
    for (const { correlation, base } of feeds) {
      const value = base.value === undefined ? '' : this.#read(base.value)[0]
      if (value === undefined) continue
      for (const group of groupsOf(base.group, this.#read)) {
        const match = matchOf(event, correlation, base, group, value)
        if (correlation.inPlace) this.#count(event, correlation, match, this.#shownOfEvent, emit)
        else emit(matchRecord(match, this.#evidence(), event))
      }
    }
  }

  /** A record of the topic `matches`. False when it is none, or of a correlation that does not run here. */
  counted(event: Event, emit: (alert: Alert) => void): boolean {
    const read = readMatch(event.body)
    const correlation = read && this.#byId.get(read.match.correlation)
    if (!read || !correlation || read.match.group.length !== correlation.groupBy.length) return false
    this.#groups.advance(streamOf(event), read.match.timeMs)
    const shown = { evidence: () => JSON.stringify(read.evidence), sample: () => read.sample }
    return this.#count(event, correlation, read.match, shown, emit)
  }

  /** To be called once a batch. */
  expire(streams: Iterable<string>): void {
    this.#body = undefined
    this.#event = undefined
    this.#shown = undefined
    this.#values.clear()
    for (const stream of streams) this.#groups.expire(stream)
  }

  #evidence(): string {
    this.#shown ??= JSON.stringify(redactValue(shortEvidenceOf(this.#event!), this.#names))
    return this.#shown
  }

  readonly #read = (field: GroupField): readonly string[] => {
    const known = this.#values.get(field)
    if (known) return known
    const values = field.read(this.#body!)
    this.#values.set(field, values)
    return values
  }

  #count(
    event: Event,
    correlation: RunningCorrelation,
    match: Match,
    { evidence, sample }: Shown,
    emit: (alert: Alert) => void,
  ): boolean {
    const rule = correlation.bases.findIndex(({ rule: { id } }) => id === match.base)
    if (rule < 0) return false
    const { uid, timeMs, value, group } = match
    const isMadeUp = sample()
    // What is made up never helps to complete what is real: an alert is one or the other.
    const key = JSON.stringify(isMadeUp ? [...group, SAMPLE] : group)
    const entry = { timeMs, uid, rule, value }
    for (const completed of this.#groups.add(streamOf(event), correlation, key, entry, evidence))
      emit(alertOfGroup(correlation, match, completed, event, isMadeUp))
    return true
  }
}

export function streamOf({ origin, kind }: Event): string {
  return origin?.stream ?? kind
}

function alertOfGroup(
  correlation: RunningCorrelation,
  match: Match,
  { trigger, entries, evidences }: Completed,
  event: Event,
  sample: boolean,
): Alert {
  const related = entries.slice(-RELATED_MAX)
  return alert(correlation, {
    id: stableId(correlation.id, ...match.group, ...(sample ? [SAMPLE] : []), String(trigger.bucket)),
    timeMs: trigger.endMs,
    receivedMs: match.receivedMs,
    origin: event.origin,
    replayed: event.replayed,
    sample,
    firstMs: entries[0]?.timeMs ?? trigger.endMs,
    actor: actorOf(correlation, match.group),
    evidences: evidences.slice(-EVIDENCES_MAX).map(({ json }) => JSON.parse(json) as Json),
    related: related.map(({ uid, rule }) => ({ uid, type_uid: typeUidOf(correlation.bases[rule]) })),
    sources: [...new Set(entries.map(({ rule }) => correlation.bases[rule]!.rule.log))],
    group: Object.fromEntries(correlation.groupBy.map((name, at) => [name, match.group[at]!])),
    count: trigger.count,
  })
}

/** HTTP Activity, or Detection Finding. */
function typeUidOf(base: Base | undefined): number {
  return base?.rule.log === 'waf' ? 400_200 : 200_401
}

/** The first field of the group that names one. */
export function actorOf({ actors }: RunningCorrelation, group: readonly string[]): Actor | undefined {
  const at = Math.max(
    0,
    actors.findIndex(type => type !== 'resource'),
  )
  const [type, value] = [actors[at], group[at]]
  return type === undefined || value === undefined ? undefined : { type, value }
}

function measuresOf(metrics: Metrics, pipeline: string): GroupMeasures {
  const counter = (name: string, help: string) => {
    const made = metrics.counter(name, help, ['pipeline'])
    return { add: (_: object = {}, by = 1) => made.add({ pipeline }, by) }
  }
  const groups = metrics.gauge('haetae_correlation_groups_count', 'Groups that correlations count', ['pipeline'])
  return {
    groups: { set: value => groups.set(value, { pipeline }) },
    evicted: counter('haetae_correlation_groups_evicted_total', 'Groups that went for want of room'),
    late: counter('haetae_correlation_late_events_total', 'Matches too late to be counted'),
    shed: counter('haetae_correlation_entries_shed_total', 'Events of one group that went for want of room'),
  }
}
