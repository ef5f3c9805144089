import type { Deps, Encoded, Rejection, Verdict } from '../../engine/contract.ts'
import { type HttpAnswer, NoAnswer, type OpenSearch } from '../../platform/opensearch.ts'
import { bulkBody, type Document, type RequestLimits, requestsOf, Spaces } from './bulk.ts'
import { Limiter, type Pace } from './limiter.ts'
import { type BulkMeasures, bulkMeasures } from './measures.ts'
import { ITEM_FIELDS, isOpenSearchError, type Outcome, outcomesOf, wholeReason } from './outcome.ts'
import type { Places } from './place.ts'
import { shortened } from './shorten.ts'
import { PAUSE_MS, Standing } from './standing.ts'

export interface WriterConfig extends RequestLimits {
  readonly requestsMax: number
  readonly requestMsMax: number
}

/** A request slower than this makes the sink send fewer at once: more would only wait in the server. */
const SLOW_MS = 5_000
const BYTES_MIN = 64 * 1024
/** Offenders found before any neighbour passed: then it is the requests that are wrong, not the documents. */
const OFFENDERS_MAX = 8

/** Collects what becomes of each position of one batch. */
interface Ledger {
  readonly retry: number[]
  readonly reject: Rejection[]
  retryAfterMs: number
  readonly signal: AbortSignal
}

/** The search for the documents for which a whole request was answered 400. */
interface Hunt {
  readonly offenders: { readonly document: Document; readonly reason: string }[]
  passed: boolean
}

/** Sends batches as bulk requests and turns the answers into verdicts. */
export class Writer {
  readonly #server: OpenSearch
  readonly #config: WriterConfig
  readonly #places: Places
  readonly #deps: Pick<Deps, 'clock' | 'log' | 'metrics' | 'pipeline'>
  readonly #limiter: Limiter
  readonly #standing: Standing
  readonly #measure: BulkMeasures
  readonly #spaces: Spaces
  /** Goes down when the server finds a request too large. */
  #bytesMax: number

  constructor(
    server: OpenSearch,
    config: WriterConfig,
    places: Places,
    deps: Pick<Deps, 'clock' | 'log' | 'metrics' | 'pipeline'>,
  ) {
    this.#server = server
    this.#config = config
    this.#places = places
    this.#deps = deps
    this.#measure = bulkMeasures(deps.metrics, deps.pipeline)
    this.#limiter = new Limiter(config.requestsMax, this.#measure.concurrency)
    this.#standing = new Standing(deps, server.url)
    this.#bytesMax = config.bytesMax
    this.#spaces = new Spaces(config.requestsMax, 2 * config.bytesMax)
  }

  async write(records: readonly Encoded[], signal: AbortSignal): Promise<Verdict> {
    const ledger: Ledger = { retry: [], reject: [], retryAfterMs: 0, signal }
    const documents = this.#place(records, ledger)
    const limits = { documentsMax: this.#config.documentsMax, bytesMax: this.#bytesMax }
    await Promise.all(requestsOf(documents, limits).map(request => this.#deliver(request, ledger)))
    const { retry, reject, retryAfterMs } = ledger
    return { retry, reject, ...(retryAfterMs > 0 ? { retryAfterMs } : {}) }
  }

  /** Gives each record its index; what no index can take is settled here. */
  #place(records: readonly Encoded[], ledger: Ledger): Document[] {
    const nowMs = this.#deps.clock.now()
    const documents: Document[] = []
    let tooOld = 0
    for (const [at, record] of records.entries()) {
      const placed = this.#places.place(record, at, nowMs)
      if (placed === 'too_old') tooOld++
      else if ('reason' in placed) ledger.reject.push({ index: at, reason: placed.reason })
      else documents.push(placed)
    }
    if (tooOld > 0) this.#measure.tooOld(tooOld)
    return documents
  }

  async #deliver(documents: readonly Document[], ledger: Ledger, hunt?: Hunt): Promise<void> {
    if (hunt && !hunt.passed && hunt.offenders.length >= OFFENDERS_MAX) {
      for (const document of documents) hunt.offenders.push({ document, reason: hunt.offenders[0]!.reason })
      return
    }
    const slot = await this.#limiter.enter(ledger.signal)
    const pausedMs = this.#standing.pausedMs()
    if (!slot || pausedMs > 0) {
      slot?.leave('neutral')
      return this.#retryAll(documents, ledger, pausedMs)
    }
    const startedMs = this.#deps.clock.monotonicMs()
    const body = bulkBody(documents, this.#spaces.take())
    const answer = await this.#send(body, ledger.signal)
    const tookMs = this.#deps.clock.monotonicMs() - startedMs
    const outcomes =
      answer instanceof NoAnswer || answer.status !== 200
        ? undefined
        : outcomesOf(answer.body, documents, this.#places.indexOf(this.#deps.clock.now()) ?? '')
    slot.leave(paceOf(answer, outcomes, tookMs))
    this.#measure.request(answer instanceof NoAnswer ? answer.why : `${answer.status}`, tookMs)
    if (outcomes) {
      // An answer to every document: the server has read the body to its end. After any other it may still be on its way.
      this.#spaces.give(body)
      return this.#settle(documents, outcomes, ledger, hunt)
    }
    if (answer instanceof NoAnswer) {
      if (answer.why !== 'aborted') this.#standing.trouble(answer.message)
      return this.#retryAll(documents, ledger)
    }
    await this.#whole(answer, documents, ledger, hunt)
  }

  async #send(body: Buffer, signal: AbortSignal): Promise<HttpAnswer | NoAnswer> {
    this.#measure.sent(body.length)
    // The server waits for a missing shard no longer than we wait for the server.
    const timeout = `${Math.ceil(this.#config.requestMsMax / 2)}ms`
    const query = { filter_path: ITEM_FIELDS, timeout }
    try {
      return await this.#server.send({ method: 'POST', path: '/_bulk', query, body, signal })
    } catch (thrown) {
      if (thrown instanceof NoAnswer) return thrown
      throw thrown
    }
  }

  /** An answer that says nothing of single documents. */
  async #whole(answer: HttpAnswer, documents: readonly Document[], ledger: Ledger, hunt?: Hunt): Promise<void> {
    const { status, body } = answer
    const reason = wholeReason(status, body)
    if (status === 413) return this.#tooLarge(documents, reason, ledger, hunt)
    if (status === 400 && isOpenSearchError(body)) return this.#hunt(documents, reason, ledger, hunt)
    if (status === 200 || status === 408 || status === 429 || status >= 500) {
      this.#standing.trouble(status === 200 ? 'the answer does not fit the request' : reason)
      return this.#retryAll(documents, ledger)
    }
    this.#refuse(status === 401 || status === 403 ? 'SINK_UNAUTHORISED' : 'SINK_MISCONFIGURED', reason)
    this.#retryAll(documents, ledger, PAUSE_MS)
  }

  async #tooLarge(documents: readonly Document[], reason: string, ledger: Ledger, hunt?: Hunt): Promise<void> {
    if (documents.length === 1) return this.#reject(documents[0]!, reason, ledger)
    const bytes = documents.reduce((sum, document) => sum + document.json.length, 0)
    const smaller = Math.max(BYTES_MIN, Math.floor(bytes / 2))
    if (smaller < this.#bytesMax) {
      this.#bytesMax = smaller
      this.#deps.log.warn('OpenSearch finds a request too large: smaller ones are sent from now on; lower bytesMax', {
        bytesMax: smaller,
      })
    }
    for (const half of halves(documents)) await this.#deliver(half, ledger, hunt)
  }

  /** A whole request was refused for what is in it: halves it until the documents at fault are found. */
  async #hunt(documents: readonly Document[], reason: string, ledger: Ledger, hunt?: Hunt): Promise<void> {
    if (documents.length === 1) {
      if (hunt) hunt.offenders.push({ document: documents[0]!, reason })
      else this.#reject(documents[0]!, reason, ledger)
      return
    }
    const search = hunt ?? { offenders: [], passed: false }
    for (const half of halves(documents)) await this.#deliver(half, ledger, search)
    if (hunt) return
    if (search.passed) {
      for (const { document, reason: own } of search.offenders) this.#reject(document, own, ledger)
    } else if (search.offenders.length > 0) {
      this.#refuse('SINK_MISCONFIGURED', reason)
      const refused = search.offenders.map(({ document }) => document)
      this.#retryAll(refused, ledger, PAUSE_MS)
    }
  }

  /** Position by position. Documents with a string too long for the index go again, cut. */
  async #settle(
    documents: readonly Document[],
    outcomes: readonly Outcome[],
    ledger: Ledger,
    hunt?: Hunt,
  ): Promise<void> {
    if (hunt) hunt.passed = true
    const again: Document[] = []
    const counts = { created: 0, exists: 0, retry: 0 }
    let refused: (Outcome & { kind: 'refused' }) | undefined
    for (const [at, outcome] of outcomes.entries()) {
      const document = documents[at]!
      if (outcome.kind === 'created' || outcome.kind === 'exists') counts[outcome.kind]++
      else if (outcome.kind === 'reject') this.#reject(document, outcome.reason, ledger)
      else if (outcome.kind === 'shorten') this.#shorten(document, outcome.reason, again, ledger)
      else {
        counts.retry++
        ledger.retry.push(document.at)
        if (outcome.kind === 'refused') refused ??= outcome
      }
    }
    this.#measure.documents(counts)
    if (refused) {
      ledger.retryAfterMs = Math.max(ledger.retryAfterMs, PAUSE_MS)
      this.#standing.refusedSome(refused.code, refused.reason)
    } else if (counts.created + counts.exists > 0 || counts.retry === 0) this.#standing.fine()
    else this.#standing.trouble('every document of a request was put off (429 or 5xx)')
    if (again.length > 0) await this.#deliver(again, ledger, hunt)
  }

  #shorten(document: Document, reason: string, again: Document[], ledger: Ledger): void {
    const json = shortened(document.json)
    if (!json) {
      this.#reject(document, reason, ledger)
      return
    }
    this.#measure.documents({ shortened: 1 })
    again.push({ ...document, json, shortened: true })
  }

  #refuse(code: 'SINK_UNAUTHORISED' | 'SINK_MISCONFIGURED', reason: string): void {
    this.#limiter.reset()
    this.#standing.refusedAll(code, reason)
  }

  #reject(document: Document, reason: string, ledger: Ledger): void {
    this.#measure.documents({ rejected: 1 })
    ledger.reject.push({ index: document.at, reason })
  }

  #retryAll(documents: readonly Document[], ledger: Ledger, afterMs = 0): void {
    this.#measure.documents({ retry: documents.length })
    for (const document of documents) ledger.retry.push(document.at)
    ledger.retryAfterMs = Math.max(ledger.retryAfterMs, afterMs)
  }
}

function paceOf(answer: HttpAnswer | NoAnswer, outcomes: readonly Outcome[] | undefined, tookMs: number): Pace {
  if (answer instanceof NoAnswer) {
    return answer.why === 'timeout' || answer.why === 'unreachable' ? 'pushback' : 'neutral'
  }
  if (answer.status === 429 || answer.status >= 500) return 'pushback'
  if (!outcomes) return 'neutral'
  if (outcomes.some(({ kind }) => kind === 'retry')) return 'pushback'
  return tookMs > SLOW_MS ? 'slow' : 'ok'
}

function halves<T>(list: readonly T[]): readonly [readonly T[], readonly T[]] {
  const middle = list.length >>> 1
  return [list.slice(0, middle), list.slice(middle)]
}
