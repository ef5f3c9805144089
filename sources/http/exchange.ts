import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Deps } from '../../engine/contract.ts'
import { asError } from '../../platform/errors.ts'
import { type Admitted, admit, type Gate, requestIdOf } from './admit.ts'
import { answer, answerAnyway, answerBody, isRefusal, type Linger, type Refusal, tryLater } from './answer.ts'
import { type BodyLimits, firstBufferBytes, readBody } from './body.ts'
import { parseFirehose } from './firehose.ts'
import type { Hold, Inflight } from './inflight.ts'
import type { HttpMeasures } from './measures.ts'
import { parseNdjson } from './ndjson.ts'
import type { Cut } from './parts.ts'
import type { Outcome, Pending } from './pending.ts'
import { type Counts, countsOf, type Records } from './records.ts'

export interface Exchange {
  readonly gate: Gate
  readonly inflight: Inflight
  readonly pending: Pending
  readonly measures: HttpMeasures
  readonly deps: Deps
}

/** The status by which nginx logs a client that did not wait; a metric label, never sent. */
const CLIENT_GONE = 499
/** Two positions of a record, as numbers in an array. */
const SPAN_BYTES = 16
/** A client without the key is not worth much reading; one with it may be in the middle of a whole body. */
const STRANGER: Linger = { bytesMax: 1024 * 1024, waitMs: 2000 }
const knownClient = (gate: Gate): Linger => ({ bytesMax: gate.bodyBytesMax, waitMs: 10_000 })

/**
 * One request from its head to its answer. `proceed` tells a client that waits for `100 Continue` to send the body; it is
 * called only once the key and everything else in the head is right.
 */
export async function exchange(
  context: Exchange,
  request: IncomingMessage,
  response: ServerResponse,
  proceed: () => void,
): Promise<void> {
  const { gate, measures, deps } = context
  const begunMs = deps.clock.monotonicMs()
  const admitted = admit(request, gate)
  const refused = isRefusal(admitted)
  const route = refused ? 'other' : admitted.route
  const requestId = (refused ? undefined : admitted.requestId) ?? (requestIdOf(request.headers) || randomUUID())
  const finished = (status: number) => measures.answered(route, status, (deps.clock.monotonicMs() - begunMs) / 1000)
  const refuse = (why: Refusal, linger: Linger) => {
    const body = answerBody(requestId, deps.clock.now(), { errorMessage: why.message })
    answerAnyway(request, response, why.status, body, why.headers, linger, deps.clock)
    finished(why.status)
  }
  if (refused) return refuse(admitted, STRANGER)
  try {
    const received = await receive(context, admitted, request, proceed)
    if (received && isRefusal(received)) return refuse(received, knownClient(gate))
    const outcome = received && (await store(context, received, response))
    if (received === undefined || outcome === undefined) return finished(CLIENT_GONE)
    if (outcome !== 'durable') return refuse(outcome, knownClient(gate))
    measures.stored(admitted.route, received.counts)
    const accepted = admitted.route === 'ingest' ? { accepted: received.counts.taken } : {}
    answer(response, 200, answerBody(requestId, deps.clock.now(), accepted))
    finished(200)
  } catch (error) {
    deps.log.error('a request failed in a way that is our fault', { error: asError(error).stack ?? String(error) })
    refuse({ status: 500, message: 'internal error' }, knownClient(gate))
  }
}

interface Received {
  readonly counts: Counts
  /** Emptied by store(): whoever waits for the answer must not keep the records in memory. */
  cut: Cut | undefined
  readonly hold: Hold
}

/** Reads the body and takes it apart. undefined: the client went away. */
async function receive(
  { gate, inflight, pending, measures, deps }: Exchange,
  admitted: Admitted,
  request: IncomingMessage,
  proceed: () => void,
): Promise<Received | Refusal | undefined> {
  const { route, kind, requestId, gzip, lengthBytes } = admitted
  const busy = pending.refusal()
  if (busy) return busy
  const limits: BodyLimits = { bytesMax: gate.bodyBytesMax, gzip, lengthBytes }
  const hold = inflight.hold(firstBufferBytes(limits))
  if (!hold) return tryLater('too many requests are waiting to be stored', 1000)
  let complete = false
  try {
    proceed()
    const receivedMs = deps.clock.now()
    const body = await readBody(request, limits, hold)
    if (body === undefined || isRefusal(body)) return body
    measures.bodyRead(route, body.length)
    const records = parse(body, admitted, hold)
    if (isRefusal(records)) return records
    complete = true
    return { counts: countsOf(records), cut: { kind, requestId, records, receivedMs }, hold }
  } finally {
    if (!complete) hold.release()
  }
}

/** undefined: the client went away, and the parts that were not handed out with it. */
function store({ pending }: Exchange, received: Received, response: ServerResponse): Promise<Outcome | undefined> {
  const { promise, resolve } = Promise.withResolvers<Outcome | undefined>()
  const { cut, hold } = received
  received.cut = undefined
  if (!cut || response.destroyed) {
    hold.release()
    return Promise.resolve(undefined)
  }
  const { abandon } = pending.submit(cut, hold, resolve)
  response.once('close', () => {
    abandon()
    resolve(undefined)
  })
  return promise
}

function parse(body: Buffer, { route, requestId }: Admitted, hold: Hold): Records | Refusal {
  const records = route === 'firehose' ? parseFirehose(body, requestId ?? '', hold) : parseNdjson(body)
  if (isRefusal(records)) return records
  return hold.grow((records.spans.length / 2) * SPAN_BYTES)
    ? records
    : tryLater('too many requests are waiting to be stored', 1000)
}
