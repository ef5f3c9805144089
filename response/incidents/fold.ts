import {
  ADDRESSES_MAX,
  CLASSES_MAX,
  COUNTRIES_MAX,
  type Incident,
  MERGED_MAX,
  RULES_MAX,
  TARGETS_MAX,
  TIMELINE_MAX,
  type TimelineEntry,
} from '../../platform/incident.ts'
import type { AlertFacts } from './alert.ts'
import { Distinct } from './distinct.ts'

/** The first entries of a timeline tell how it began and stay; of the rest the newest stay. */
const TIMELINE_FIRST = 10

/** An incident in memory: its record, and the count of its addresses while there are too many to list. */
export interface Case {
  record: Incident
  distinct: Distinct | undefined
}

/** What tells a new incident from every other, before its first alert is folded in. */
interface Opening {
  readonly uid: string
  readonly number: number
  readonly kind: Incident['kind']
  readonly key: string
  readonly alert: AlertFacts
  readonly nowMs: number
  readonly successorOf: string | undefined
}

export function openCase({ uid, number, kind, key, alert, nowMs, successorOf }: Opening): Case {
  const record: Incident = {
    uid,
    number,
    version: 0,
    time: nowMs,
    state: 'open',
    kind,
    key,
    title: alert.title,
    ...(kind === 'actor' ? { actor: { ...alert.actor } } : {}),
    severity_id: alert.severity,
    opened_time: nowMs,
    updated_time: nowMs,
    first_seen_time: alert.timeMs,
    last_seen_time: alert.timeMs,
    count: 0,
    classes: [],
    rules: [],
    addresses: [],
    address_count: 0,
    targets: [],
    countries: [],
    networks: [],
    timeline: [{ time: nowMs, what: 'opened', detail: alert.title }],
    holds: { active: 0, total: 0 },
    ...(successorOf === undefined ? {} : { successor_of: successorOf }),
    merged: [],
    sample: true,
  }
  return { record, distinct: undefined }
}

export function reopened(record: Incident): Case {
  return { record, distinct: record.address_sketch === undefined ? undefined : new Distinct(record.address_sketch) }
}

/** Adds one alert to an open incident. */
export function addAlert(one: Case, alert: AlertFacts, nowMs: number): void {
  const { record } = one
  record.count++
  touch(record, nowMs)
  delete record.quiet_time
  record.first_seen_time = Math.min(record.first_seen_time, alert.timeMs)
  record.last_seen_time = Math.max(record.last_seen_time, alert.timeMs)
  record.sample &&= alert.sample
  const known = record.rules.some(({ uid }) => uid === alert.rule)
  if (
    tally(
      record.rules,
      RULES_MAX,
      each => each.uid === alert.rule,
      () => ({ uid: alert.rule, title: alert.title, count: 0 }),
    )
  ) {
    if (!known && record.count > 1) note(record, { time: nowMs, what: 'rule', detail: alert.title })
  }
  if (alert.severity > record.severity_id) {
    record.severity_id = alert.severity
    record.title = alert.title
    if (record.count > 1) note(record, { time: nowMs, what: 'severity', detail: alert.title })
  }
  if (record.severity_id === 5) record.critical_time ??= nowMs
  addTo(record.classes, alert.class, CLASSES_MAX)
  if (alert.target !== undefined && addTo(record.targets, alert.target, TARGETS_MAX) && record.targets.length > 1) {
    note(record, { time: nowMs, what: 'target', detail: alert.target })
  }
  if (alert.address !== undefined) addAddress(one, alert.address)
  for (const [list, name] of [[record.countries, alert.country] as const, [record.networks, alert.network] as const]) {
    if (name !== undefined)
      tally(
        list,
        COUNTRIES_MAX,
        each => each.name === name,
        () => ({ name, count: 0 }),
      )
  }
  if (alert.example && !record.example) record.example = alert.example
  if (alert.runbook !== undefined && record.runbook === undefined) record.runbook = alert.runbook
}

/** Takes everything that `from` counted into `into`; `from` is closed by it. */
export function merge(into: Case, from: Case, nowMs: number): void {
  const { record } = into
  const other = from.record
  record.count += other.count
  record.severity_id = Math.max(record.severity_id, other.severity_id)
  if (other.critical_time !== undefined)
    record.critical_time = Math.min(record.critical_time ?? nowMs, other.critical_time)
  record.first_seen_time = Math.min(record.first_seen_time, other.first_seen_time)
  record.last_seen_time = Math.max(record.last_seen_time, other.last_seen_time)
  record.sample &&= other.sample
  for (const rule of other.rules) {
    tally(
      record.rules,
      RULES_MAX,
      each => each.uid === rule.uid,
      () => ({ ...rule, count: 0 }),
      rule.count,
    )
  }
  for (const [list, names] of [
    [record.countries, other.countries] as const,
    [record.networks, other.networks] as const,
  ]) {
    for (const { name, count } of names)
      tally(
        list,
        COUNTRIES_MAX,
        each => each.name === name,
        () => ({ name, count: 0 }),
        count,
      )
  }
  for (const each of other.classes) addTo(record.classes, each, CLASSES_MAX)
  for (const each of other.targets) addTo(record.targets, each, TARGETS_MAX)
  for (const each of other.addresses) addAddress(into, each)
  const slowestMs = Math.max(record.holds.slowest_ms ?? 0, other.holds.slowest_ms ?? 0)
  if (slowestMs > 0) record.holds.slowest_ms = slowestMs
  if (other.example && !record.example) record.example = other.example
  if (other.runbook !== undefined && record.runbook === undefined) record.runbook = other.runbook
  addTo(record.merged, other.uid, MERGED_MAX)
  touch(record, nowMs)
  other.merged_into = record.uid
  // The campaign tells the story from here on.
  other.timeline.splice(1)
  close(from, nowMs, 'merged')
}

export function close({ record }: Case, nowMs: number, what: 'closed' | 'merged'): void {
  record.state = 'closed'
  delete record.quiet_time
  record.closed_time = nowMs
  record.time = nowMs
  note(record, { time: nowMs, what })
}

function touch(record: Incident, nowMs: number): void {
  record.time = nowMs
  record.updated_time = nowMs
}

export function note(record: Incident, entry: TimelineEntry): void {
  if (record.timeline.length === TIMELINE_MAX) record.timeline.splice(TIMELINE_FIRST, 1)
  record.timeline.push(entry)
}

function addAddress(one: Case, address: string): void {
  const { record } = one
  if (record.addresses.includes(address)) return
  if (record.addresses.length < ADDRESSES_MAX) {
    record.addresses.push(address)
    record.address_count = record.addresses.length
    return
  }
  if (!one.distinct) {
    one.distinct = new Distinct()
    for (const each of record.addresses) one.distinct.add(each)
  }
  one.distinct.add(address)
  // An estimate must not fall below what is listed, nor ever fall.
  record.address_count = Math.max(record.address_count, ADDRESSES_MAX + 1, one.distinct.estimate)
}

/** True when it is in the list and was not before. */
function addTo(list: string[], value: string, max: number): boolean {
  if (list.length >= max || list.includes(value)) return false
  list.push(value)
  return true
}

/** Counts one of a bounded list; false when it is not listed and there is no room. */
function tally<T extends { count: number }>(
  list: T[],
  max: number,
  is: (each: T) => boolean,
  make: () => T,
  by = 1,
): boolean {
  let found = list.find(is)
  if (!found) {
    if (list.length >= max) return false
    found = make()
    list.push(found)
  }
  found.count += by
  return true
}
