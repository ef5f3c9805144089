import { z } from 'zod'
import { type Batch, defineStage, EVENT_BYTES_MAX, type Event, type Reject, type Stage } from '../engine/contract.ts'
import type { Clock } from '../platform/clock.ts'
import { eventTimeFault } from '../platform/event-time.ts'
import { DocumentReader } from '../platform/json/document.ts'
import { LazyBody } from '../platform/ocsf/lazy-body.ts'
import { F } from './parse-waf/fields.ts'
import { wafLayout } from './parse-waf/parts.ts'
import { readRecord } from './parse-waf/read-record.ts'

/**
 * AWS WAF log record (developer guide, "Log fields for web ACL traffic") → OCSF 1.8.0 HTTP Activity 4002. What OCSF has no place
 * for, and every field of an unexpected type, is in `unmapped` under the record's own names. Of a name that is there
 * twice the last one counts, as with JSON.parse; inside a part that is kept as it is, both stay.
 *
 * Rejects `oversize`, `not_json`, `invalid_utf8`, `too_deep`, `too_many_keys`, `not_waf` and `time_out_of_range`.
 */
export const parseWaf = defineStage({
  type: 'parse-waf',
  summary: 'AWS WAF log record to OCSF HTTP Activity; sets the event time',
  config: z.strictObject({}),
  example: '{}',
  async open(_config, { clock }): Promise<Stage> {
    const reader = new DocumentReader()
    return { apply: (batch, reject) => parseBatch(batch, reject, reader, clock) }
  },
})

function parseBatch(batch: Batch, reject: Reject, reader: DocumentReader, clock: Clock): Batch {
  const nowMs = clock.now()
  const parsed: Batch = []
  for (const event of batch) {
    const fault = event.kind === 'waf' ? parse(event, reader, nowMs) : undefined
    if (fault === undefined) parsed.push(event)
    else reject(event, fault)
  }
  return parsed
}

/** Why the record is refused, or undefined. */
function parse(event: Event, reader: DocumentReader, nowMs: number): string | undefined {
  if (event.raw.length > EVENT_BYTES_MAX) return `oversize: ${event.raw.length} bytes`
  const record = readRecord(event, reader)
  if (typeof record === 'string') return record
  // Arrival time never stands in for it: a replayed record must not move to another day.
  if (!record.has(F.timestamp)) return 'time_out_of_range: timestamp is not a number'
  const timeMs = record.document.number(record.at[F.timestamp]!)
  const fault = eventTimeFault(timeMs, nowMs)
  if (fault !== undefined) return fault
  record.timeMs = timeMs
  event.timeMs = timeMs
  const body = new LazyBody(record, wafLayout)
  event.body = body.proxy()
  event.encode = () => body.encode()
  return undefined
}
