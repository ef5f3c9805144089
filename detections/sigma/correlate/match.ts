import type { Alert, Event } from '../../../engine/contract.ts'
import { isJsonObject, type JsonObject, type OcsfEvent } from '../../../platform/ocsf/event.ts'
import { stableId } from '../../../platform/stable-id.ts'
import { isSample } from '../alert.ts'
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
  readonly receivedMs: number
}

const GROUP_CHARS_MAX = 300
const GROUP_FIELDS_MAX = 8

/** When it happened, as far as can be: a clock that runs ahead must not make everybody else late. */
export function happenedMs({ timeMs, receivedMs }: Pick<Event, 'timeMs' | 'receivedMs'>): number {
  return Math.min(timeMs, receivedMs)
}

/** Looks at nothing of the body: what nobody asks for is not made. */
export function matchOf(
  event: Event,
  { id }: RunningCorrelation,
  { rule }: Base,
  group: readonly string[],
  value: string,
): Match {
  const { id: uid, receivedMs } = event
  return { uid, timeMs: happenedMs(event), correlation: id, base: rule.id, group, value, receivedMs }
}

/** The match as a record of the topic `matches`: all of a group meet in one partition. The same match is always the same bytes. */
export function matchRecord(match: Match, evidence: string, event: Event): Alert {
  const { uid, timeMs, correlation, base, group, value, receivedMs } = match
  const sample = isSample(event.body)
  const fields = { uid, time: timeMs, rule: correlation, base, group, value, received: receivedMs, sample }
  const raw = Buffer.from(`${JSON.stringify(fields).slice(0, -1)},"evidence":${evidence}}`)
  return {
    id: stableId(correlation, base, uid, ...group),
    kind: 'match',
    origin: event.origin,
    raw,
    marker: undefined,
    replayed: event.replayed,
    key: stableId(correlation, ...group),
    receivedMs,
    timeMs,
    body: { time: timeMs },
    encode: undefined,
    rule: correlation,
    severity: 'info',
  }
}

interface ReadMatch {
  readonly match: Match
  readonly sample: boolean
  readonly evidence: JsonObject
}

/** Reads such a record; undefined when it is none. Others may be able to write to the topic. */
export function readMatch(body: OcsfEvent): ReadMatch | undefined {
  const record = body as JsonObject
  const { uid, time, rule, base, group, value, received, sample, evidence } = record
  if (![uid, rule, base, value].every(isText) || !Array.isArray(group) || !group.every(isText)) return undefined
  if (![time, received].every(Number.isSafeInteger) || typeof sample !== 'boolean') return undefined
  if (group.length > GROUP_FIELDS_MAX || !isJsonObject(evidence)) return undefined
  const match = {
    uid: uid as string,
    timeMs: time as number,
    correlation: rule as string,
    base: base as string,
    group: group as string[],
    value: value as string,
    receivedMs: received as number,
  }
  return { match, sample, evidence }
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.length <= GROUP_CHARS_MAX
}
