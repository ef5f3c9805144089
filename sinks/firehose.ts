import type { FirehoseClient } from '@aws-sdk/client-firehose'
import { z } from 'zod'
import { coalesce } from '../engine/coalesce.ts'
import { type Deps, defineSink, type Encoded, type Rejection, type Sink, type Verdict } from '../engine/contract.ts'
import { isAwsRefusal } from '../platform/aws-refusal.ts'
import { asError, PERSON_WAIT_MS } from '../platform/errors.ts'

const MIB = 1024 * 1024
/** PutRecordBatch takes at most these (Amazon Data Firehose API reference); a record before base64. */
const RECORDS_MAX = 500
const REQUEST_BYTES_MAX = 4 * MIB
const RECORD_BYTES_MAX = 1_000 * 1024
/** How long a throttled stream is left alone at least: its quotas are by the second. */
const THROTTLED_WAIT_MS = 1_000
const CONNECT_MS_MAX = 5_000
const SILENT_MS_MAX = 30_000

const config = z.strictObject({
  stream: z
    .string()
    .regex(/^[a-zA-Z0-9_.-]{1,64}$/)
    .describe('Delivery stream that takes direct puts'),
  recordsMax: z.int().min(1).max(RECORDS_MAX).default(RECORDS_MAX).describe('Of one request'),
  bytesMax: z.int().min(RECORD_BYTES_MAX).max(REQUEST_BYTES_MAX).default(REQUEST_BYTES_MAX).describe('Of one request'),
  waitMs: z.int().min(0).max(5_000).default(200).describe('How long the first record waits for a fuller request'),
})

/**
 * Events as JSON lines into Amazon Data Firehose. At least once: a request whose answer was lost is made again, and readers tell
 * repeats by `metadata.uid`. Credentials and Region come from where AWS programs look for them; AWS_ENDPOINT_URL_FIREHOSE or
 * AWS_ENDPOINT_URL names another server.
 */
export const firehose = defineSink({
  type: 'firehose',
  summary: 'Puts events as JSON lines into an Amazon Data Firehose stream; what it did not take is put again.',
  config,
  example: `stream: security-events
recordsMax: 500
bytesMax: 4194304
waitMs: 200
`,
  async open(given, deps): Promise<Sink> {
    const aws = await import('@aws-sdk/client-firehose')
    // One try: the engine waits between tries, and says so in its metrics.
    const client = new aws.FirehoseClient({
      maxAttempts: 1,
      requestHandler: { connectionTimeout: CONNECT_MS_MAX, socketTimeout: SILENT_MS_MAX },
    })
    const stream = new Stream(aws, client, given.stream, deps)
    const { recordsMax, bytesMax, waitMs } = given
    const put = async (records: readonly Encoded[], signal: AbortSignal): Promise<Verdict> => {
      const verdicts: Verdict[] = []
      for (const part of partsOf(records, recordsMax, bytesMax)) verdicts.push(await stream.put(part, signal))
      return joined(verdicts)
    }
    const { write, drain } = coalesce({ recordsMax, bytesMax, waitMs }, put, deps.clock)
    return { write, drain, close: () => Promise.resolve(client.destroy()) }
  },
})

/** Records of one request with their positions in the write. */
type Part = readonly { readonly at: number; readonly json: Buffer }[]

/** A delivery may be larger than a request. One that is too large for any is in a part of its own. */
function partsOf(records: readonly Encoded[], recordsMax: number, bytesMax: number): readonly Part[] {
  const parts: { at: number; json: Buffer }[][] = []
  let bytes = 0
  for (const [at, { json }] of records.entries()) {
    const last = parts.at(-1)
    const size = json.length + 1
    if (!last || last.length === recordsMax || bytes + size > bytesMax) {
      parts.push([{ at, json }])
      bytes = size
    } else {
      last.push({ at, json })
      bytes += size
    }
  }
  return parts
}

function joined(verdicts: readonly Verdict[]): Verdict {
  const waits = verdicts.flatMap(({ retryAfterMs = [] }) => retryAfterMs)
  return {
    retry: verdicts.flatMap(({ retry }) => retry).sort((a, b) => a - b),
    reject: verdicts.flatMap(({ reject }) => reject),
    ...(waits.length > 0 ? { retryAfterMs: Math.max(...waits) } : {}),
  }
}

type Aws = typeof import('@aws-sdk/client-firehose')

class Stream {
  readonly #aws: Aws
  readonly #client: FirehoseClient
  readonly #name: string
  readonly #deps: Deps
  #state: 'fine' | 'away' | 'refused' = 'fine'

  constructor(aws: Aws, client: FirehoseClient, name: string, deps: Deps) {
    this.#aws = aws
    this.#client = client
    this.#name = name
    this.#deps = deps
  }

  async put(part: Part, signal: AbortSignal): Promise<Verdict> {
    const reject: Rejection[] = part
      .filter(({ json }) => json.length + 1 > RECORD_BYTES_MAX)
      .map(({ at, json }) => ({ index: at, reason: `oversize: ${json.length} bytes, Firehose takes 1000 KiB` }))
    const fits = part.filter(({ json }) => json.length + 1 <= RECORD_BYTES_MAX)
    if (fits.length === 0) return { retry: [], reject }
    // Firehose puts nothing between records: each is a line of its own.
    const Records = fits.map(({ json }) => ({ Data: Buffer.concat([json, LINE_FEED]) }))
    const command = new this.#aws.PutRecordBatchCommand({ DeliveryStreamName: this.#name, Records })
    try {
      const { FailedPutCount = 0, RequestResponses = [] } = await this.#client.send(command, { abortSignal: signal })
      // An entry without a record's id was not taken, whatever the count says.
      const failed = fits.filter((_, at) => RequestResponses[at]?.RecordId === undefined)
      if (failed.length === 0) return this.#fine(reject)
      const codes = [...new Set(RequestResponses.flatMap(({ ErrorCode }) => ErrorCode ?? []))].join(', ')
      this.#trouble('away', `${Math.max(failed.length, FailedPutCount)} records were not taken: ${codes}`)
      return { retry: failed.map(({ at }) => at), reject, retryAfterMs: THROTTLED_WAIT_MS }
    } catch (thrown) {
      const { name, message } = asError(thrown)
      const refused = isAwsRefusal(thrown, REFUSALS)
      this.#trouble(refused ? 'refused' : 'away', `${name}: ${message}`)
      const retryAfterMs = refused ? PERSON_WAIT_MS : THROTTLED_WAIT_MS
      return { retry: fits.map(({ at }) => at), reject, retryAfterMs }
    }
  }

  #fine(reject: readonly Rejection[]): Verdict {
    if (this.#state !== 'fine') this.#deps.log.info('Firehose takes records again', { stream: this.#name })
    if (this.#state === 'refused') this.#deps.paused?.('firehose', undefined)
    this.#state = 'fine'
    return { retry: [], reject }
  }

  /** Each change is said once; the rest is in the engine's retry counter. */
  #trouble(state: 'away' | 'refused', error: string): void {
    if (this.#state === state) return
    const { log, paused } = this.#deps
    log.warn('Firehose does not take records: they are kept and put again', { stream: this.#name, error })
    if (state === 'refused') paused?.('firehose', `${this.#name}: ${error}`)
    else if (this.#state === 'refused') paused?.('firehose', undefined)
    this.#state = state
  }
}

const LINE_FEED = Buffer.from('\n')

/** Errors of Firehose that only a person can mend. */
const REFUSALS = /ResourceNotFound|InvalidArgument|InvalidSource|InvalidSignature|InvalidKMSResource/
