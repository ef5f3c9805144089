import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { asError, HaetaeError } from '../platform/errors.ts'
import type { DatabaseStatus } from '../platform/geoip/watched.ts'
import type { Metrics } from '../platform/metrics.ts'
import { isOwnHost } from '../platform/own-host.ts'
import type { GroupLag } from '../platform/topics/contract.ts'
import type { Health } from './health.ts'
import type { RecentEvents } from './recent.ts'
import { renderStatus } from './status-page.ts'

export interface StatusOptions {
  readonly host: string
  readonly port: number
  /** Names a client may use for us in Host, besides `host`, addresses and localhost; in lower case. */
  readonly hosts: readonly string[]
  readonly health: Health
  readonly metrics: Metrics
  readonly recent: RecentEvents
  lag(): Promise<readonly GroupLag[]>
  geoip(): Promise<readonly DatabaseStatus[]>
  now(): number
}

export interface StatusServer {
  readonly url: string
  close(): Promise<void>
}

type Answer = { readonly status: number; readonly type: string; readonly body: string }

const HTML = 'text/html; charset=utf-8'
const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json'
/** The page has no script and loads nothing: even a value that slipped past escaping could run nothing. */
const CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Serves `/`, `/healthz`, `/readyz` and `/metrics`. Throws LISTEN_FAILED when the address is not to be had. */
export async function serveStatus(options: StatusOptions): Promise<StatusServer> {
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000 }, (request, response) => {
    void answer(request, options).then(
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

async function answer(request: IncomingMessage, options: StatusOptions): Promise<Answer> {
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
      return page(options)
    case '/healthz':
      return options.health.failed() ? unready(options.health) : { status: 200, type: JSON_TYPE, body: '{"ok":true}\n' }
    case '/readyz':
      return options.health.missing().length > 0
        ? unready(options.health)
        : { status: 200, type: JSON_TYPE, body: `${JSON.stringify({ ready: true, ...(await geoipOf(options)) })}\n` }
    case '/metrics':
      return { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: await options.metrics.expose() }
    default:
      return { status: 404, type: TEXT, body: 'there are /, /healthz, /readyz and /metrics\n' }
  }
}

async function page(options: StatusOptions): Promise<Answer> {
  const [lag, geoip] = await Promise.all([options.lag(), options.geoip()])
  return { status: 200, type: HTML, body: renderStatus({ ...options, lag, geoip, nowMs: options.now() }) }
}

/** Old or damaged GeoIP data do not keep traffic away, but whoever asks is told. */
async function geoipOf(options: StatusOptions): Promise<{ readonly geoip?: readonly string[] }> {
  const geoip = (await options.geoip()).map(({ message }) => message).filter(message => message !== undefined)
  return geoip.length > 0 ? { geoip } : {}
}

function unready(health: Health): Answer {
  return { status: 503, type: JSON_TYPE, body: `${JSON.stringify({ ready: false, missing: health.missing() })}\n` }
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
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
    server.listen(port, host, resolve)
  })
}
