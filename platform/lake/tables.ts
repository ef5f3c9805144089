import type { OcsfEvent } from '../ocsf/event.ts'
import type { Fields } from '../ocsf/schema.ts'
import { type SchemaName, schemas } from '../ocsf/schemas.ts'

/** One OCSF class in the lake: the value of `class=` in its paths, and its columns. */
export interface LakeTable {
  readonly name: SchemaName
  readonly classUid: number
  readonly fields: Fields
  /**
   * Of one column's dictionary. DuckDB takes this much memory for each column of strings at once, filled or not: a table of many columns
   * that are mostly empty needs small ones to be written within the memory a sink has (docs/performance.md).
   */
  readonly dictionaryBytesMax: number
}

export const lakeTables: readonly LakeTable[] = [
  { name: 'http_activity', classUid: 4002, fields: schemas.http_activity, dictionaryBytesMax: 1024 * 1024 },
  { name: 'detection_finding', classUid: 2004, fields: schemas.detection_finding, dictionaryBytesMax: 16 * 1024 },
  { name: 'remediation_activity', classUid: 7001, fields: schemas.remediation_activity, dictionaryBytesMax: 16 * 1024 },
]

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
 * `events.waf-3-5f0c7a91b2d4-00000000000000000123.parquet` for stream `events.waf/3`, range from 123, of a lineage (sinks/ranges/plan.ts); without one,
 * `events.waf-3-00000000000000000123.parquet`.
 */
export function objectName(stream: string, lineage: string, first: bigint): string {
  const safe = stream.replace(/[^A-Za-z0-9._/-]/g, character => `%${character.codePointAt(0)!.toString(16)}`)
  const parts = [safe.replaceAll('/', '-'), lineage, String(first).padStart(20, '0')]
  return `${parts.filter(part => part !== '').join('-')}.parquet`
}

/** What is compressed at once, before encoding: what a writer of Parquet holds in memory. Bounded by bytes, as a row may be 1 KiB or 1 MiB. */
const ROW_GROUP_BYTES = 16 * 1024 * 1024

/** The options of DuckDB's COPY into a Parquet file of this table. */
export function parquetFormat({ dictionaryBytesMax }: LakeTable, compression: 'zstd' | 'lz4_raw' = 'zstd'): string {
  return `FORMAT parquet, COMPRESSION ${compression}, ROW_GROUP_SIZE_BYTES ${ROW_GROUP_BYTES}, STRING_DICTIONARY_PAGE_SIZE_LIMIT ${dictionaryBytesMax}`
}
