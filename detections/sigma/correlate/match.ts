import type { Alert, Event } from '../../../engine/contract.ts'
import { isJsonObject, type JsonObject, type OcsfEvent } from '../../../platform/ocsf/event.ts'
import { alertId, isSample } from '../alert.ts'
import type { Base, RunningCorrelation } from './resolve.ts'

/** One event that matched one rule of a correlation, and the group it belongs to: what is counted. */
export interface Match {
  readonly uid: string
  readonly timeMs: number
  /** Id of the correlation. */
  readonly correlation: string
  /** Id of the rule that matched. */
  readonly base: string
  readonly group: readonly string[]
  /** value_count: the value; else empty. */
  readonly value: string
  readonly typeUid: number
  readonly receivedMs: number
  readonly source: string
  readonly sample: boolean
}

const GROUP_CHARS_MAX = 300
const GROUP_FIELDS_MAX = 8

/** When it happened, as far as can be: a clock that runs ahead must not make everybody else late. */
export function happenedMs({ timeMs, receivedMs }: Pick<Event, 'timeMs' | 'receivedMs'>): number {
  return Math.min(timeMs, receivedMs)
}

export function matchOf(
  event: Event,
  { id }: RunningCorrelation,
  { rule }: Base,
  group: readonly string[],
  value: string,
): Match {
  const { body, kind } = event
  return {
    uid: event.id,
    timeMs: happenedMs(event),
    correlation: id,
    base: rule.id,
    group,
    value,
    typeUid: body.type_uid ?? 0,
    receivedMs: event.receivedMs,
    source: body.metadata?.log_name ?? kind,
    sample: isSample(body),
  }
}

/** The match as a record of the topic `matches`: all of a group meet in one partition. The same match is always the same bytes. */
export function matchRecord(match: Match, evidence: string, event: Event): Alert {
  const { uid, timeMs, correlation, base, group, value, typeUid, receivedMs, source, sample } = match
  const fields = {
    uid,
    time: timeMs,
    rule: correlation,
    base,
    group,
    value,
    type_uid: typeUid,
    received: receivedMs,
    source,
    sample,
  }
  const raw = Buffer.from(`${JSON.stringify(fields).slice(0, -1)},"evidence":${evidence}}`)
  return {
    id: alertId(correlation, base, uid, ...group),
    kind: 'match',
    origin: event.origin,
    raw,
    marker: undefined,
    replayed: event.replayed,
    key: alertId(correlation, ...group),
    receivedMs,
    timeMs,
    body: { time: timeMs },
    encode: undefined,
    rule: correlation,
    severity: 'info',
  }
}

/** Reads such a record; undefined when it is none. Others may be able to write to the topic. */
export function readMatch(body: OcsfEvent): { readonly match: Match; readonly evidence: JsonObject } | undefined {
  const record = body as JsonObject
  const { uid, time, rule, base, group, value, type_uid, received, source, sample, evidence } = record
  if (![uid, rule, base, value, source].every(text => typeof text === 'string' && text.length <= GROUP_CHARS_MAX))
    return undefined
  if (![time, type_uid, received].every(Number.isSafeInteger) || typeof sample !== 'boolean') return undefined
  if (!Array.isArray(group) || group.length > GROUP_FIELDS_MAX || !isJsonObject(evidence)) return undefined
  if (!group.every(text => typeof text === 'string' && text.length <= GROUP_CHARS_MAX)) return undefined
  const match = {
    uid: uid as string,
    timeMs: time as number,
    correlation: rule as string,
    base: base as string,
    group: group as string[],
    value: value as string,
    typeUid: type_uid as number,
    receivedMs: received as number,
    source: source as string,
    sample,
  }
  return { match, evidence }
}
