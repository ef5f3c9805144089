import { readFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Deps } from '../../engine/contract.ts'
import { asError, HaetaeError } from '../../platform/errors.ts'
import { answerBody } from './answer.ts'
import { type Exchange, exchange } from './exchange.ts'

/** X-Amz-Firehose-Common-Attributes alone may have 50 pairs of 256 and 1,024 characters. */
const HEAD_BYTES_MAX = 96 * 1024
const HEAD_MS = 10_000
/** Longer than the 60 s for which an AWS load balancer keeps an idle connection, or it meets a closed one. */
const KEEP_ALIVE_MS = 75_000
const CLOSE_MS = 2000

interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

export interface ServerSettings {
  readonly tls?: TlsFiles | undefined
  readonly receiveMs: number
  readonly connectionsMax: number
}

export function makeServer({ tls, receiveMs, connectionsMax }: ServerSettings): Server {
  const options: ServerOptions = {
    maxHeaderSize: HEAD_BYTES_MAX,
    headersTimeout: Math.min(HEAD_MS, receiveMs),
    requestTimeout: receiveMs,
    connectionsCheckingInterval: 1000,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // A missing Host gets our answer, as a wrong one does.
    requireHostHeader: false,
  }
  const server = tls ? createTlsServer({ ...options, ...readTls(tls) }) : createServer(options)
  server.maxConnections = connectionsMax
  return server
}

function readTls({ certFile, keyFile }: TlsFiles): { cert: Buffer; key: Buffer } {
  try {
    return { cert: readFileSync(certFile), key: readFileSync(keyFile) }
  } catch (cause) {
    throw new HaetaeError('SOURCE_UNREADABLE', `http: a TLS file cannot be read: ${asError(cause).message}`, { cause })
  }
}

export function serve(server: Server, context: Exchange): void {
  const { measures, deps } = context
  const handle = (proceed: (response: Parameters<RequestListener>[1]) => void): RequestListener => {
    return (request, response) => void exchange(context, request, response, () => proceed(response))
  }
  server.on(
    'request',
    handle(() => undefined),
  )
  server.on(
    'checkExpectation',
    handle(() => undefined),
  )
  server.on(
    'checkContinue',
    handle(response => response.writeContinue()),
  )
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const status = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }[error.code ?? ''] ?? 400
    if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
    measures.answered('other', status, 0)
    socket.end(unparsed(status, deps.clock.now()))
  })
  server.on('drop', () => measures.connectionDropped())
}

/** The answer to what the HTTP parser could not read, or gave up waiting for. */
function unparsed(status: number, nowMs: number): Buffer {
  const phrase = { 431: 'Request Header Fields Too Large', 408: 'Request Timeout' }[status] ?? 'Bad Request'
  const body = answerBody('', nowMs, { errorMessage: phrase.toLowerCase() })
  const head = `HTTP/1.1 ${status} ${phrase}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

/** No new connections; those with an answer on its way get a moment, then all are cut. */
export async function closeServer(server: Server, { clock }: Deps): Promise<void> {
  const closed = new Promise<void>(resolve => server.close(() => resolve()))
  server.closeIdleConnections()
  const over = new AbortController()
  await Promise.race([closed, clock.wait(CLOSE_MS, over.signal)])
  over.abort()
  server.closeAllConnections()
  await closed
}
