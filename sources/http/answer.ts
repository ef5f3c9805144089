import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../platform/clock.ts'

/** A request that was not taken. Never 413: Firehose gives such a batch up without even its error bucket. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 405 | 408 | 415 | 417 | 431 | 500 | 503
  readonly message: string
  readonly headers?: Readonly<Record<string, string>>
}

export function isRefusal(value: object): value is Refusal {
  return 'status' in value && 'message' in value
}

export function tryLater(message: string, afterMs: number): Refusal {
  return { status: 503, message, headers: { 'Retry-After': String(Math.max(1, Math.ceil(afterMs / 1000))) } }
}

/** The protocol allows 8,192 characters; ours quote at most a header's worth of the request. */
const ERROR_CHARS_MAX = 1024

/**
 * The body of every answer: `{"requestId":…,"timestamp":<ms>}`, with `errorMessage` on a failure or `accepted` for
 * NDJSON. Source: Firehose developer guide, HTTP endpoint delivery request and response.
 */
export function answerBody(
  requestId: string,
  nowMs: number,
  extra: { readonly errorMessage?: string; readonly accepted?: number } = {},
): Buffer {
  const errorMessage = extra.errorMessage?.slice(0, ERROR_CHARS_MAX)
  return Buffer.from(JSON.stringify({ requestId, timestamp: nowMs, ...extra, ...(errorMessage && { errorMessage }) }))
}

const entityHeaders = (body: Buffer) => ({ 'Content-Type': 'application/json', 'Content-Length': body.length })

/** Answers a request whose body was read to its end: the connection stays open. */
export function answer(response: ServerResponse, status: number, body: Buffer, headers: Refusal['headers'] = {}): void {
  if (response.destroyed || response.headersSent) return
  response.writeHead(status, { ...entityHeaders(body), ...headers })
  response.end(body)
}

/** How much of an unread body is read and thrown away so that the client gets to read our answer. */
export interface Linger {
  readonly bytesMax: number
  readonly waitMs: number
}

/**
 * Answers whether or not the body was read to its end. Closing a socket with unread data resets it, and the client would lose the answer
 * it is about to read; so the whole answer goes out at once, and the close waits for the rest of the body, within bounds.
 */
export function answerAnyway(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: Buffer,
  headers: Refusal['headers'],
  linger: Linger,
  clock: Clock,
): void {
  if (request.complete) {
    answer(response, status, body, headers)
    return
  }
  if (response.destroyed || response.headersSent) return
  response.writeHead(status, { ...entityHeaders(body), ...headers, Connection: 'close' })
  response.write(body)
  const done = new AbortController()
  const finish = () => {
    if (done.signal.aborted) return
    done.abort()
    request.removeListener('data', count)
    response.end()
  }
  let left = linger.bytesMax
  const count = (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) finish()
  }
  request.on('data', count)
  request.once('end', finish)
  request.once('close', finish)
  request.resume()
  void clock.wait(linger.waitMs, done.signal).then(finish)
}
