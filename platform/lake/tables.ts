import type { OcsfEvent } from '../ocsf/event.ts'
import { type Fields, httpActivity } from '../ocsf/schema.ts'

/** One OCSF class in the lake: the value of `class=` in its paths, and its columns. */
export interface LakeTable {
  readonly name: string
  readonly classUid: number
  readonly fields: Fields
}

export const lakeTables: readonly LakeTable[] = [{ name: 'http_activity', classUid: 4002, fields: httpActivity }]

/** What decides the folder of an event. */
export interface LakePartition {
  readonly table: LakeTable
  /** `unknown` when the event names none, or one that must not become part of a path. */
  readonly region: string
  readonly account: string
  /** YYYY-MM-DD (UTC) of the event's own time. */
  readonly day: string
  /** `class=…/region=…/account=…/day=…`, below the lake's folder or bucket prefix. */
  readonly path: string
}

const PART = /^[A-Za-z0-9-]{1,32}$/
const DAY_MS = 86_400_000
/** 9999-12-31: the last day with four digits. */
const TIME_MS_MAX = Date.UTC(9999, 11, 31) + DAY_MS

/** The partition of an event, or why it has none: a reason for the dead letter. */
export function partitionOf(body: OcsfEvent): LakePartition | string {
  const table = lakeTables.find(({ classUid }) => classUid === body.class_uid)
  if (!table) return `lake_class: the lake has no table for class_uid ${String(body.class_uid).slice(0, 20)}`
  const { time } = body
  if (typeof time !== 'number' || !(time >= 0 && time < TIME_MS_MAX)) return 'time_out_of_range'
  const region = part(body.cloud?.region)
  const account = part(body.cloud?.account?.uid)
  // Nearly every event belongs where the one before it did.
  if (last?.table === table && last.region === region && last.account === account && isSameDay(time)) return last
  const startMs = dayStartMs(time)
  const day = new Date(startMs).toISOString().slice(0, 10)
  const path = `class=${table.name}/region=${region}/account=${account}/day=${day}`
  last = { table, region, account, day, path }
  lastDayMs = startMs
  return last
}

let last: LakePartition | undefined
let lastDayMs = 0

function isSameDay(timeMs: number): boolean {
  return timeMs >= lastDayMs && timeMs < lastDayMs + DAY_MS
}

function part(value: unknown): string {
  return typeof value === 'string' && PART.test(value) ? value : 'unknown'
}

export function dayStartMs(timeMs: number): number {
  return timeMs - (timeMs % DAY_MS)
}

/**
 * `events.waf-3-5f0c7a91b2d4-00000000000000000123.parquet` for stream `events.waf/3`, range from 123, of a lineage (sinks/lake/plan.ts); without one,
 * `events.waf-3-00000000000000000123.parquet`.
 */
export function objectName(stream: string, lineage: string, first: bigint): string {
  const safe = stream.replace(/[^A-Za-z0-9._/-]/g, character => `%${character.codePointAt(0)!.toString(16)}`)
  const parts = [safe.replaceAll('/', '-'), lineage, String(first).padStart(20, '0')]
  return `${parts.filter(part => part !== '').join('-')}.parquet`
}
