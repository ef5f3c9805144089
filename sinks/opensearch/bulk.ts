/** One record on its way into an index. */
export interface Document {
  /** Position in the batch the verdict is about. */
  readonly at: number
  readonly index: string
  readonly id: string
  /** For states of a thing that changes: the greatest stays. Without one the first document under an id stays. */
  readonly version?: number
  readonly json: Buffer
  /** Long strings were already cut for the index (shorten.ts). */
  readonly shortened: boolean
}

export interface RequestLimits {
  readonly documentsMax: number
  readonly bytesMax: number
}

/** OpenSearch refuses a whole request for one longer `_id`. */
export const ID_BYTES_MAX = 512

/** Room for `{"create":…}` or `{"index":…}` beside a document; an id of ours has 32 characters. */
export const ACTION_BYTES = 150

const DAY_MS = 86_400_000

/** `<prefix>-YYYY.MM.DD` by UTC day. Years 1970 to 9999; undefined for any other time. */
export function dailyIndex(prefix: string): (timeMs: number) => string | undefined {
  const known = new Map<number, string>()
  return timeMs => {
    const day = Math.floor(timeMs / DAY_MS)
    const name = known.get(day)
    if (name !== undefined) return name
    if (!(timeMs >= 0 && timeMs < Date.UTC(10_000, 0))) return undefined
    const made = `${prefix}-${new Date(timeMs).toISOString().slice(0, 10).replaceAll('-', '.')}`
    if (known.size >= 64) known.clear()
    known.set(day, made)
    return made
  }
}

/** Cuts a batch into requests of at most these limits. A document larger than `bytesMax` travels alone. */
export function requestsOf(documents: readonly Document[], limits: RequestLimits): Document[][] {
  const requests: Document[][] = []
  let current: Document[] = []
  let bytes = 0
  for (const document of documents) {
    const size = document.json.length + ACTION_BYTES
    if (current.length > 0 && (current.length >= limits.documentsMax || bytes + size > limits.bytesMax)) {
      requests.push(current)
      current = []
      bytes = 0
    }
    current.push(document)
    bytes += size
  }
  if (current.length > 0) requests.push(current)
  return requests
}

/**
 * Body of `POST /_bulk`: an action line and the document's own bytes for each, all lines ended. `create` with our id
 * makes a repeat harmless: the second one is answered 409; so is a version that is not greater than what is there. Written into `space` when it is large enough.
 */
export function bulkBody(documents: readonly Document[], space?: Buffer): Buffer {
  const actions = documents.map(action)
  let bytes = 0
  for (const [at, { json }] of documents.entries()) bytes += Buffer.byteLength(actions[at]!) + json.length + 1
  const body = space && space.length >= bytes ? space.subarray(0, bytes) : Buffer.allocUnsafeSlow(bytes)
  let end = 0
  for (const [at, { json }] of documents.entries()) {
    end += body.write(actions[at]!, end)
    end += json.copy(body, end)
    body[end++] = LINE_FEED
  }
  return body
}

function action({ index, id, version }: Document): string {
  const place = `"_index":${JSON.stringify(index)},"_id":${JSON.stringify(id)}`
  return version === undefined
    ? `{"create":{${place}}}\n`
    : `{"index":{${place},"version":${version},"version_type":"external"}}\n`
}

/**
 * Memory for request bodies, used again: making the pages of eight fresh megabytes for each request costs more than
 * filling them. At most `max` pieces are kept, each as large as the requests have become.
 */
export class Spaces {
  readonly #max: number
  readonly #bytesMax: number
  readonly #free: Buffer[] = []

  constructor(max: number, bytesMax: number) {
    this.#max = max
    this.#bytesMax = bytesMax
  }

  take(): Buffer | undefined {
    return this.#free.pop()
  }

  /** Only for a body that nobody reads any more. */
  give(body: Buffer): void {
    const whole = Buffer.from(body.buffer)
    if (whole.length <= this.#bytesMax && this.#free.length < this.#max) this.#free.push(whole)
  }
}

export const LINE_FEED = 0x0a
