import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { asError, HaetaeError } from '../platform/errors.ts'
import { isOwnHost } from '../platform/own-host.ts'

export interface PagesOptions {
  readonly host: string
  readonly port: number
  /** Names a client may use for us in Host, besides `host`, addresses and localhost; in lower case. */
  readonly hosts: readonly string[]
}

export interface StatusServer {
  readonly url: string
  close(): Promise<void>
}

export interface Page {
  readonly status: number
  readonly type: string
  readonly body: string
}

export const HTML = 'text/html; charset=utf-8'
const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json'
const PROMETHEUS = 'text/plain; version=0.0.4; charset=utf-8'
/** The page has no script and loads nothing: even a value that slipped past escaping could run nothing. */
const CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** What a status port gives. Each is asked for anew. */
export interface Pages {
  status(): Promise<Page>
  healthz(): Promise<Page>
  readyz(): Promise<Page>
  metrics(): Promise<string>
}

/** Serves `/`, `/healthz`, `/readyz` and `/metrics`. Throws LISTEN_FAILED when the address is not to be had. */
export async function servePages(options: PagesOptions, pages: Pages): Promise<StatusServer> {
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000 }, (request, response) => {
    void answer(request, options, pages).then(
      given => send(response, given),
      error => send(response, { status: 500, type: TEXT, body: `${asError(error).message}\n` }),
    )
  })
  server.maxConnections = 200
  await listen(server, options.host, options.port)
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(request: IncomingMessage, options: PagesOptions, pages: Pages): Promise<Page> {
  const { host, origin } = request.headers
  if (origin !== undefined) return { status: 403, type: TEXT, body: 'requests from other sites are not answered\n' }
  // Every browser sends Host; an old probe may not.
  if (host !== undefined && !isOwnHost(host, new Set([options.host.toLowerCase(), ...options.hosts]))) {
    return {
      status: 403,
      type: TEXT,
      body: 'the Host header names another host: add it to HAETAE_STATUS_HOSTS if it is right\n',
    }
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, type: TEXT, body: 'GET only\n' }
  switch (request.url?.split('?')[0] ?? '') {
    case '/':
      return pages.status()
    case '/healthz':
      return pages.healthz()
    case '/readyz':
      return pages.readyz()
    case '/metrics':
      return { status: 200, type: PROMETHEUS, body: await pages.metrics() }
    default:
      return { status: 404, type: TEXT, body: 'there are /, /healthz, /readyz and /metrics\n' }
  }
}

export function jsonPage(status: number, body: object): Page {
  return { status, type: JSON_TYPE, body: `${JSON.stringify(body)}\n` }
}

function send(response: ServerResponse, { status, type, body }: Page): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'content-security-policy': CSP,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', cause => {
      const hint = 'stop what uses it, or choose another with HAETAE_STATUS_PORT'
      reject(new HaetaeError('LISTEN_FAILED', `${host}:${port}: ${asError(cause).message}: ${hint}`, { cause }))
    })
    // Exclusive: the workers of a process share the ports they listen on, but each has a status page of its own.
    server.listen({ host, port, exclusive: true }, resolve)
  })
}
