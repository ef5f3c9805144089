import type { Encoded } from '../../engine/contract.ts'
import { type Document, dailyIndex, ID_BYTES_MAX, LINE_FEED } from './bulk.ts'

/** Where the parts of a document's address are found in an event; dotted paths, checked against the schema. */
export interface PlaceConfig {
  readonly index: string
  readonly idField?: string | undefined
  readonly versionField?: string | undefined
  readonly dayField?: string | undefined
  readonly retentionDays: number
}

const DAY_MS = 86_400_000

/** Gives each record its index, id and version; says of those that no index can take why. */
export class Places {
  readonly indexOf: (timeMs: number) => string | undefined
  readonly #retentionMs: number
  readonly #id: readonly string[] | undefined
  readonly #version: readonly string[] | undefined
  readonly #day: readonly string[] | undefined

  constructor({ index, idField, versionField, dayField, retentionDays }: PlaceConfig) {
    this.indexOf = dailyIndex(index)
    this.#retentionMs = retentionDays * DAY_MS
    this.#id = idField?.split('.')
    this.#version = versionField?.split('.')
    this.#day = dayField?.split('.')
  }

  /** A document, a reason for the dead letter as `reason`, or `too_old` for what is only counted. */
  place(record: Encoded, at: number, nowMs: number): Document | { readonly reason: string } | 'too_old' {
    const { event, json } = record
    const timeMs = this.#day ? numberAt(event.body, this.#day) : event.timeMs
    const index = timeMs === undefined ? undefined : this.indexOf(timeMs)
    if (timeMs === undefined || index === undefined) return { reason: `time_out_of_range: ${timeMs ?? 'no day'}` }
    const id = this.#id ? valueAt(event.body, this.#id) : event.id
    if (typeof id !== 'string' || id === '') return { reason: 'no_id' }
    if (Buffer.byteLength(id) > ID_BYTES_MAX) return { reason: 'id_too_long' }
    // A line feed would let the rest of the record be read as an action of its own.
    if (json.length === 0 || json.includes(LINE_FEED)) return { reason: 'not_one_line' }
    if (timeMs < nowMs - this.#retentionMs) return 'too_old'
    if (!this.#version) return { at, index, id, json, shortened: false }
    const version = numberAt(event.body, this.#version)
    return version === undefined ? { reason: 'no_version' } : { at, index, id, version, json, shortened: false }
  }
}

/** A whole number that is not negative. */
function numberAt(body: object, path: readonly string[]): number | undefined {
  const value = valueAt(body, path)
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

function valueAt(body: object, path: readonly string[]): unknown {
  let value: unknown = body
  for (const name of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Readonly<Record<string, unknown>>)[name]
  }
  return value
}
