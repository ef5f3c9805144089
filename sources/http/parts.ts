import { createHash } from 'node:crypto'
import { BATCH_BYTES_MAX, BATCH_EVENTS_MAX, type Batch, type Kind } from '../../engine/contract.ts'
import { RecordEvent } from '../../engine/event.ts'
import type { Records } from './records.ts'

/** A request as its parts are cut from it. */
export interface Cut {
  readonly kind: Kind
  /** undefined: the client did not name the request, so a repeat cannot be told from new records. */
  readonly requestId: string | undefined
  readonly records: Records
  readonly receivedMs: number
}

export interface Part {
  readonly batch: Batch
  /** Where the next part begins in `spans`. */
  readonly next: number
}

/**
 * The part that begins at `from` in `spans`: as many records as a batch may hold. Depends on the records alone, so that a
 * repeated request falls into the same parts. The marker names the request, the part and its content: the same request
 * id with other records is not a repeat. Only the records count, as Firehose may stamp the envelope anew.
 */
export function cutPart(cut: Cut, from: number, index: number): Part {
  const { spans, bytes } = cut.records
  let next = from
  let size = 0
  while (next < spans.length && next - from < 2 * BATCH_EVENTS_MAX) {
    size += spans[next + 1]! - spans[next]!
    if (size > BATCH_BYTES_MAX && next > from) break
    next += 2
  }
  const marker = cut.requestId && `${cut.kind}/${cut.requestId}/${index}/${contentHash(bytes, spans, from, next)}`
  const batch: Batch = []
  for (let at = from; at < next; at += 2)
    batch.push(new RecordEvent(cut.kind, bytes.subarray(spans[at], spans[at + 1]), cut.receivedMs, undefined, marker))
  return { batch, next }
}

/** 128 bits of SHA-256 over the records and where they begin and end. */
function contentHash(bytes: Buffer, spans: readonly number[], from: number, next: number): string {
  const start = spans[from]!
  const borders = new Uint32Array(next - from)
  for (let at = from; at < next; at++) borders[at - from] = spans[at]! - start
  const hash = createHash('sha256')
    .update(borders)
    .update(bytes.subarray(start, spans[next - 1]))
  return hash.digest('hex').slice(0, 32)
}
