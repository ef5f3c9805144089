import type { Encoded, Origin } from '../../engine/contract.ts'
import { partitionOf } from '../../platform/lake/tables.ts'
import type { Row } from '../ranges/spool.ts'

/** DuckDB refuses a longer line (its maximum_object_size is 16 MiB); an event of 1 MiB never gets near it. */
const LINE_BYTES_MAX = 8 * 1024 * 1024
const LINE_FEED = 0x0a

/** A record as a row of the lake, or why it cannot be one: a reason for the dead letter. */
export function rowOf({ event, json }: Encoded, origin: Origin): Row | string {
  const partition = partitionOf(event.body)
  if (typeof partition === 'string') return partition
  if (json.length > LINE_BYTES_MAX) return `lake_row: ${json.length} bytes of JSON`
  if (json.includes(LINE_FEED)) return 'lake_row: a line feed in the JSON'
  const { id, kind, raw } = event
  return {
    partition,
    timeMs: Math.floor(event.body.time!),
    json: wellFormed(json),
    evidence: { id, kind, origin, raw },
  }
}

const ESCAPES = /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)/gs
const HALF = /^\\u[dD].{3}$/s

/**
 * JSON may escape half of a surrogate pair, which no UTF-8 can hold and DuckDB refuses. A client that sends such a
 * thing must not keep its requests out of the lake: the half becomes U+FFFD, as a text decoder would make it.
 */
export function wellFormed(json: Buffer): Buffer {
  if (!json.includes('\\ud') && !json.includes('\\uD')) return json
  return Buffer.from(json.toString('utf8').replace(ESCAPES, each => (HALF.test(each) ? '\\ufffd' : each)))
}
