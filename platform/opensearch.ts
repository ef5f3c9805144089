import { readFileSync } from 'node:fs'
import type { ClientRequest, RequestOptions } from 'node:http'
import type { Readable } from 'node:stream'
import { Client, Connection } from '@opensearch-project/opensearch'
import { z } from 'zod'
import { asError, HaetaeError } from './errors.ts'
import { readSecret, type SecretRef, secretRef } from './secret.ts'

/** What every user of OpenSearch configures; spread into its own strict object. */
export const openSearchFields = {
  url: z
    .url({ protocol: /^https?$/ })
    .refine(url => !hasCredentials(url), {
      error: 'credentials do not belong into the URL: give them as auth { username, password: { env: NAME } }',
    })
    .describe('http or https, without credentials'),
  auth: z
    .strictObject({ username: z.string(), password: secretRef })
    .optional()
    .describe('Basic authentication; an empty user name means none'),
  caFile: z
    .string()
    .default('')
    .describe(
      "PEM file of the authorities to trust instead of the system's; empty means the system's. Certificates are always verified",
    ),
  requestMsMax: z
    .int()
    .min(100)
    .max(600_000)
    .default(30_000)
    .describe('From the first byte of a request to the last byte of its answer'),
}
const settings = z.strictObject(openSearchFields)

interface Call {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** An object is sent as JSON, bytes as NDJSON. */
  readonly body?: Buffer | object
  readonly signal?: AbortSignal
}

/** Any status. `body` is the parsed JSON, or the beginning of the text when the answer is not JSON. */
export interface HttpAnswer {
  readonly status: number
  readonly body: unknown
}

/** The request may or may not have been carried out. */
export class NoAnswer extends Error {
  readonly why: 'unreachable' | 'timeout' | 'unreadable' | 'aborted'
  constructor(why: NoAnswer['why'], message: string) {
    super(message)
    this.name = 'NoAnswer'
    this.why = why
  }
}

export interface OpenSearch {
  /** For messages. */
  readonly url: string
  /** Tries once; rejects only with NoAnswer. */
  send(call: Call): Promise<HttpAnswer>
  close(): Promise<void>
}

const ANSWER_BYTES_MAX = 32 * 1024 * 1024
const TEXT_LENGTH_MAX = 500

/** Does not connect yet. Throws CONFIG_INVALID or SECRET_MISSING for what is wrong already here. */
export function connectOpenSearch(config: z.output<typeof settings>, requestsMax: number): OpenSearch {
  const { url, requestMsMax } = config
  const client = new Client({
    node: url,
    Connection: QuietConnection,
    // The client would send again at once and without telling: our own retries wait, and slow down what follows.
    maxRetries: 0,
    // 'ping' sends HEAD requests whose answers it never reads; each keeps a socket.
    resurrectStrategy: 'none',
    requestTimeout: requestMsMax,
    agent: { keepAlive: true, maxSockets: requestsMax, maxFreeSockets: requestsMax },
    // Explicit, so that NODE_TLS_REJECT_UNAUTHORIZED=0 changes nothing.
    ssl: { rejectUnauthorized: true, ...(config.caFile ? { ca: readCa(config.caFile) } : {}) },
  })
  const authorization = basicAuth(config.auth)

  async function send(call: Call): Promise<HttpAnswer> {
    if (call.signal?.aborted) throw new NoAnswer('aborted', 'the request was given up')
    const header = authorization.header()
    const request = client.transport.request(
      { method: call.method, path: call.path, ...(call.query ? { querystring: call.query } : {}), ...bodyOf(call) },
      { asStream: true, ...(header ? { headers: { authorization: header } } : {}) },
    )
    let ended: 'timeout' | 'aborted' | undefined
    const end = (why: 'timeout' | 'aborted') => () => {
      ended = why
      request.abort()
    }
    // The client's own timeout ends with the head of the answer; a body that stalls would hang for ever.
    const timer = setTimeout(end('timeout'), requestMsMax)
    const onAbort = end('aborted')
    call.signal?.addEventListener('abort', onAbort, { once: true })
    try {
      const { statusCode, headers, body } = await request
      const answer = { status: statusCode ?? 0, body: parsed(await readAll(body as Readable), headers) }
      if (answer.status === 401) authorization.forget()
      return answer
    } catch (thrown) {
      if (thrown instanceof NoAnswer) throw thrown
      const error = asError(thrown)
      if (ended === 'timeout' || error.name === 'TimeoutError') {
        throw new NoAnswer('timeout', `${url} did not answer within ${requestMsMax} ms`)
      }
      throw new NoAnswer(ended ?? 'unreachable', `${url} cannot be reached: ${error.message}`)
    } finally {
      clearTimeout(timer)
      call.signal?.removeEventListener('abort', onAbort)
    }
  }

  return { url, send, close: () => client.close() }
}

/** The client prints errors that follow the head of an answer on stdout, which belongs to events (Connection.js of 3.9.0). */
class QuietConnection extends Connection {
  constructor(...options: ConstructorParameters<typeof Connection>) {
    super(...options)
    const make = this.makeRequest as (options: RequestOptions) => ClientRequest
    this.makeRequest = (given: RequestOptions): ClientRequest => {
      const request = make(given)
      const add = request.addListener.bind(request) as (name: string, listener: Listener) => ClientRequest
      const addListener = (name: string, listener: Listener): ClientRequest =>
        add(name, name === 'error' ? () => undefined : listener)
      return Object.assign(request, { addListener })
    }
  }
}

type Listener = (...values: unknown[]) => void

function bodyOf({ body }: Call): { body?: object; bulkBody?: Buffer } {
  if (body === undefined) return {}
  return Buffer.isBuffer(body) ? { bulkBody: body } : { body }
}

async function readAll(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer)
    bytes += (chunk as Buffer).length
    // Leaving the loop destroys the stream and its socket.
    if (bytes > ANSWER_BYTES_MAX)
      throw new NoAnswer('unreadable', `the answer is larger than ${ANSWER_BYTES_MAX} bytes`)
  }
  return Buffer.concat(chunks).toString()
}

function parsed(text: string, headers: Record<string, unknown> | null): unknown {
  if (!String(headers?.['content-type']).includes('json')) return text.slice(0, TEXT_LENGTH_MAX)
  try {
    return JSON.parse(text)
  } catch {
    throw new NoAnswer('unreadable', `the answer is not JSON: ${text.slice(0, 100)}`)
  }
}

/** Read on first use and again after a 401, so that a rotated secret is picked up without a restart. */
function basicAuth(auth: { username: string; password: SecretRef } | undefined): {
  header(): string | undefined
  forget(): void
} {
  const make = (): string | undefined => {
    if (!auth?.username) return undefined
    return `Basic ${Buffer.from(`${auth.username}:${readSecret(auth.password)}`).toString('base64')}`
  }
  let kept = make()
  let stale = false
  return {
    header() {
      if (stale) {
        stale = false
        try {
          kept = make()
        } catch {
          // The secret is being replaced: the next refusal reads it again.
        }
      }
      return kept
    },
    forget() {
      stale = true
    },
  }
}

function readCa(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new HaetaeError('CONFIG_INVALID', `caFile ${path} cannot be read: name a PEM file`, { cause })
  }
}

function hasCredentials(url: string): boolean {
  const parsedUrl = URL.parse(url)
  return parsedUrl !== null && (parsedUrl.username !== '' || parsedUrl.password !== '')
}
