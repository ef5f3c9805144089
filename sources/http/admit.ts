import { hash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { LogKind } from '../../engine/contract.ts'
import { isOwnHost } from '../../platform/own-host.ts'
import type { Refusal } from './answer.ts'

export type Route = 'firehose' | 'ingest'

/** What is checked of every request before a byte of its body is read. */
export interface Gate {
  /** SHA-256 of the access key. */
  readonly keyHash: Buffer
  /** Names a client may use for us in Host, besides addresses and localhost; in lower case. */
  readonly hosts: ReadonlySet<string>
  readonly kinds: readonly LogKind[]
  readonly bodyBytesMax: number
}

export interface Admitted {
  readonly route: Route
  readonly kind: LogKind
  /** What the client calls this request; undefined for NDJSON without Idempotency-Key. */
  readonly requestId: string | undefined
  readonly gzip: boolean
  /** Content-Length: compressed bytes when `gzip`. undefined for a chunked body. */
  readonly lengthBytes: number | undefined
}

type Head = Pick<IncomingMessage, 'method' | 'url' | 'headers'>

export const keyHashOf = (key: string): Buffer => hash('sha256', key, 'buffer')

/** Visible ASCII; Firehose sends a GUID. Bounded, as it becomes part of a database key and of the answer. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/

/** The id to echo, if the request has one that may be echoed. */
export function requestIdOf(headers: IncomingHttpHeaders): string {
  const id = header(headers, 'x-amz-firehose-request-id') ?? idempotencyKey(headers)
  return id !== undefined && REQUEST_ID.test(id) ? id : ''
}

export function admit(head: Head, gate: Gate): Admitted | Refusal {
  const { headers } = head
  // A browser page must not reach a listener on somebody's laptop: neither across sites nor by rebinding a name.
  if (headers.origin !== undefined) return refusal(403, 'requests from browsers (with an Origin header) are not taken')
  if (!isOwnHost(headers.host ?? '', gate.hosts))
    return refusal(403, 'the Host header names another host: add the name to `hosts` of the http source if it is right')
  const [, route, kindName] = /^\/(firehose|ingest)\/([a-z]{1,32})(?:\?.*)?$/.exec(head.url ?? '') ?? []
  const kind = gate.kinds.find(known => known === kindName)
  if (!route || !kind)
    return refusal(404, `no such path: use ${gate.kinds.map(k => `/firehose/${k} or /ingest/${k}`).join(', ')}`)
  if (head.method !== 'POST') return refusal(405, 'only POST is taken here', { Allow: 'POST' })
  if (!isOurKey(headers, gate.keyHash))
    return refusal(401, 'wrong or missing access key (X-Amz-Firehose-Access-Key, or Authorization: Bearer or Basic)', {
      'WWW-Authenticate': 'Bearer realm="haetae"',
    })
  return admitBody(route as Route, kind, headers, gate.bodyBytesMax)
}

function admitBody(route: Route, kind: LogKind, headers: IncomingHttpHeaders, bytesMax: number): Admitted | Refusal {
  const requestId = route === 'firehose' ? header(headers, 'x-amz-firehose-request-id') : idempotencyKey(headers)
  if (route === 'firehose') {
    const version = header(headers, 'x-amz-firehose-protocol-version')
    if (version !== '1.0') return refusal(400, 'X-Amz-Firehose-Protocol-Version must be 1.0')
    if (requestId === undefined) return refusal(400, 'X-Amz-Firehose-Request-Id is missing')
    if (!/^application\/json\s*(;|$)/i.test(headers['content-type'] ?? ''))
      return refusal(400, 'Content-Type must be application/json')
  }
  if (requestId !== undefined && !REQUEST_ID.test(requestId))
    return refusal(400, 'the request id must be 1 to 128 visible ASCII characters')
  if (!/^(100-continue)?$/i.test(headers.expect ?? '')) return refusal(417, 'Expect can only be 100-continue')
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  const gzip = encoding === 'gzip' || encoding === 'x-gzip'
  if (!gzip && encoding !== 'identity')
    return refusal(415, 'Content-Encoding must be gzip or absent', { 'Accept-Encoding': 'gzip' })
  // The HTTP parser has already refused a Content-Length that is not a number.
  const length = headers['content-length']
  const lengthBytes = length === undefined ? undefined : Number(length)
  if (lengthBytes !== undefined && lengthBytes > bytesMax) return tooLarge(bytesMax)
  return { route, kind, requestId, gzip, lengthBytes }
}

export function tooLarge(bytesMax: number): Refusal {
  return refusal(400, `the body is larger than ${bytesMax} bytes (after decompression): send smaller requests`)
}

function isOurKey(headers: IncomingHttpHeaders, keyHash: Buffer): boolean {
  const authorization = headers.authorization ?? ''
  const key =
    header(headers, 'x-amz-firehose-access-key') ??
    /^bearer +(.+)$/i.exec(authorization)?.[1] ??
    basicPassword(authorization) ??
    ''
  // Hashes of both: equal lengths whatever was sent, and the time tells nothing about the key.
  return timingSafeEqual(keyHashOf(key), keyHash)
}

/**
 * RFC 7617, with any user name. Falco's http_output has no setting for headers, but sends the user and password of its URL so; EventBridge's
 * connections can.
 */
function basicPassword(authorization: string): string | undefined {
  const [, credentials] = /^basic +([A-Za-z0-9+/]+=*)$/i.exec(authorization) ?? []
  const pair = credentials === undefined ? undefined : Buffer.from(credentials, 'base64').toString('utf8')
  const colon = pair?.indexOf(':') ?? -1
  return colon < 0 ? undefined : pair!.slice(colon + 1)
}

/** A structured string in quotes (draft-ietf-httpapi-idempotency-key-header-07), or, as most clients send it, bare. */
function idempotencyKey(headers: IncomingHttpHeaders): string | undefined {
  const value = header(headers, 'idempotency-key')
  return value === undefined ? undefined : (/^"(.*)"$/.exec(value)?.[1] ?? value)
}

/** One value: Node joins a repeated header with commas, and such a value equals nothing we accept. */
function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

function refusal(status: Refusal['status'], message: string, headers?: Refusal['headers']): Refusal {
  return { status, message, ...(headers && { headers }) }
}
