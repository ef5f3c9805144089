import { createCipheriv } from 'node:crypto'
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

/** Tells contents apart and keeps no secret: whoever can send to us under the id of another request holds the access key. */
const HASH_KEY = Buffer.alloc(16, 'haetae')
const HASH_NONCE = Buffer.alloc(12)

/** 128 bits of GMAC (NIST SP 800-38D) over the records and where they begin and end: a quarter of the time that SHA-256 takes. */
function contentHash(bytes: Buffer, spans: readonly number[], from: number, next: number): string {
  const start = spans[from]!
  const borders = new Uint32Array(next - from)
  for (let at = from; at < next; at++) borders[at - from] = spans[at]! - start
  const mac = createCipheriv('aes-128-gcm', HASH_KEY, HASH_NONCE)
  mac.setAAD(new Uint8Array(borders.buffer))
  mac.setAAD(bytes.subarray(start, spans[next - 1]))
  mac.final()
  return mac.getAuthTag().toString('hex')
}
