import type { Document } from './bulk.ts'
import type { RefusalCode } from './standing.ts'

/** What the server said about one document. */
export type Outcome =
  | { readonly kind: 'created' | 'exists' | 'retry' }
  /** `shorten`: perhaps for a string too long for the index; with such strings cut it may be taken. */
  | { readonly kind: 'reject' | 'shorten'; readonly reason: string }
  /** For a person to mend; tried again slowly. */
  | { readonly kind: 'refused'; readonly code: RefusalCode; readonly reason: string }

/** Asks for no more of each item than is read here, at a seventh of the bytes. Positions stay, as every item has a status. */
export const ITEM_FIELDS = 'errors,items.*.status,items.*.error.type,items.*.error.reason'

const REASON_LENGTH_MAX = 300

const CREATED: Outcome = { kind: 'created' }
const EXISTS: Outcome = { kind: 'exists' }
const RETRY: Outcome = { kind: 'retry' }

/**
 * The outcomes by position, or undefined when the body is not the answer to this request: then nothing is known of any
 * document. `today` is the name of today's index. https://docs.opensearch.org/latest/api-reference/document-apis/bulk/
 */
export function outcomesOf(body: unknown, documents: readonly Document[], today: string): Outcome[] | undefined {
  const items = field(body, 'items')
  if (!Array.isArray(items) || items.length !== documents.length) return undefined
  const outcomes: Outcome[] = []
  for (const [at, document] of documents.entries()) {
    const item = field(items[at], document.version === undefined ? 'create' : 'index')
    const status = field(item, 'status')
    if (typeof status !== 'number') return undefined
    outcomes.push(outcomeOf(status, field(item, 'error'), document, today))
  }
  return outcomes
}

function outcomeOf(status: number, error: unknown, document: Document, today: string): Outcome {
  if (status >= 200 && status < 300) return CREATED
  if (status === 409) return EXISTS
  // 429 is also a disk past its flood stage: it heals when space is made, and then takes what was kept.
  if (status === 429 || status >= 500) return RETRY
  const { type, reason } = describe(error)
  if (status === 401 || type === 'security_exception') {
    return { kind: 'refused', code: 'SINK_UNAUTHORISED', reason: reasonOf(status, type, reason) }
  }
  if (isShut(status, type)) {
    // An old index that was closed or made read-only stays so; a block on today's is somebody's mistake.
    return document.index < today ? reject(status, type, reason) : misconfigured(status, type, reason)
  }
  if (status !== 400 || isOurSetup(type, reason)) return misconfigured(status, type, reason)
  if (isTooLong(reason) && !document.shortened) return { kind: 'shorten', reason: reasonOf(status, type, reason) }
  return reject(status, type, reason)
}

/** A value beyond Lucene's longest term, or a key beyond what the JSON parser of flat_object takes (50,000 bytes). */
function isTooLong(reason: string): boolean {
  return (
    reason.includes('immense term') ||
    /^failed to parse field \[[a-z0-9_.]{1,200}\] of type \[flat_object\]/.test(reason)
  )
}

function isShut(status: number, type: string): boolean {
  return (status === 403 && type === 'cluster_block_exception') || type === 'index_closed_exception'
}

/** Answered with 400, yet no fault of the document: the cluster's shard limit, an impossible index name, a missing ingest pipeline. */
function isOurSetup(type: string, reason: string): boolean {
  return (
    type === 'validation_exception' ||
    type === 'invalid_index_name_exception' ||
    (type === 'illegal_argument_exception' && reason.startsWith('pipeline with id'))
  )
}

const reject = (status: number, type: string, reason: string): Outcome => ({
  kind: 'reject',
  reason: reasonOf(status, type, reason),
})
const misconfigured = (status: number, type: string, reason: string): Outcome => ({
  kind: 'refused',
  code: 'SINK_MISCONFIGURED',
  reason: reasonOf(status, type, reason),
})

/** `opensearch_<status>: <type>: <reason>`, bounded: the reason quotes values that an attacker may have written. */
function reasonOf(status: number, type: string, reason: string): string {
  return `opensearch_${status}: ${type}: ${reason}`.slice(0, REASON_LENGTH_MAX)
}

/** The same for an answer that is about the whole request. */
export function wholeReason(status: number, body: unknown): string {
  if (typeof body === 'string') return `opensearch_${status}: ${body}`.slice(0, REASON_LENGTH_MAX)
  const { type, reason } = describe(field(body, 'error'))
  return reasonOf(status, type, reason)
}

/** True for an error that OpenSearch itself wrote, not something between us and it. */
export function isOpenSearchError(body: unknown): boolean {
  return typeof field(field(body, 'error'), 'type') === 'string'
}

function describe(error: unknown): { type: string; reason: string } {
  if (typeof error === 'string') return { type: 'error', reason: error }
  const type = field(error, 'type')
  const reason = field(error, 'reason')
  return { type: typeof type === 'string' ? type : 'unknown', reason: typeof reason === 'string' ? reason : '' }
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.getOwnPropertyDescriptor(value, name)?.value
}
