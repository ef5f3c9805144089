import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** One bulk request as it came. */
interface SeenBulk {
  readonly bytes: number
  readonly documents: readonly BulkDocument[]
  readonly contentLength: string | undefined
  readonly url: string
}
export interface BulkDocument {
  readonly index: string
  readonly id: string
  /** External version of an `index` action; undefined for `create`. */
  readonly version?: number
  readonly json: string
}

/** What the next bulk request meets instead of an ordinary answer. */
export type Fault =
  | { readonly status: number; readonly body?: unknown; readonly contentType?: string }
  /** The connection breaks: before anything is stored, or after it, with the answer lost or broken off in its middle. */
  | { readonly reset: 'before' | 'after' | 'midway' }
  /** Answers 200 with these bytes as JSON. */
  | { readonly garbage: string }
  /** Stores, then answers for one document less than it was sent. */
  | { readonly itemsShort: true }
  /** Stores and answers the head; the body never comes. */
  | { readonly stall: true }
  /** Waits for the promise, then answers normally. */
  | { readonly until: Promise<void> }

interface Item {
  readonly status: number
  readonly type?: string
  readonly reason?: string
}

export interface FakeOpenSearch {
  readonly url: string
  /** `<index>/<id>` → document. */
  readonly documents: ReadonlyMap<string, string>
  readonly bulks: readonly SeenBulk[]
  readonly templates: Map<string, unknown>
  /** Mapping updates by index. */
  readonly mappings: ReadonlyMap<string, unknown>
  /** Bulk requests being answered at this moment, and the most there ever were. */
  readonly atOnce: { now: number; most: number }
  /** Each is met by one bulk request, in order. */
  readonly faults: Fault[]
  /** Decides single documents; undefined: stored as usual. */
  item: (document: BulkDocument) => Item | undefined
  /** Decides whole bulk requests, after `faults`. */
  bulk: (bulk: SeenBulk) => Fault | undefined
  /** Answers every request so, whatever it is. */
  everything: { readonly status: number; readonly body: unknown } | undefined
  /** Required value of the Authorization header; 401 for any other. */
  authorization: string | undefined
  close(): Promise<void>
}

/** Speaks as much of OpenSearch as the sink uses, in this process on 127.0.0.1. */
export async function startFakeOpenSearch(): Promise<FakeOpenSearch> {
  const documents = new Map<string, string>()
  const versions = new Map<string, number>()
  const bulks: SeenBulk[] = []
  const mappings = new Map<string, unknown>()
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    void answer(request, response)
  })
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request)
    const path = (request.url ?? '').split('?')[0]!
    const { authorization, everything } = fake
    if (authorization !== undefined && request.headers.authorization !== authorization) {
      return reply(response, 401, 'Unauthorized', 'text/plain; charset=UTF-8')
    }
    if (everything) return reply(response, everything.status, everything.body)
    if (path === '/_bulk') {
      fake.atOnce.now++
      fake.atOnce.most = Math.max(fake.atOnce.most, fake.atOnce.now)
      await bulk(request, response, body)
      fake.atOnce.now--
      return
    }
    const [, place, name] = path.split('/')
    if (place === '_index_template' && name !== undefined) return template(request.method, name, body, response)
    if (name === '_mapping' && place !== undefined) {
      mappings.set(place, JSON.parse(body.toString()))
      return reply(response, 200, { acknowledged: true })
    }
    reply(response, 404, error('illegal_argument_exception', `no handler found for uri [${path}]`))
  }

  function template(method: string | undefined, name: string, body: Buffer, response: ServerResponse): void {
    const present = fake.templates.get(name)
    if (method === 'PUT') {
      fake.templates.set(name, JSON.parse(body.toString()))
      reply(response, 200, { acknowledged: true })
    } else if (present === undefined) {
      reply(response, 404, error('resource_not_found_exception', `[${name}] not found`))
    } else {
      reply(response, 200, { index_templates: [{ name, index_template: present }] })
    }
  }

  async function bulk(request: IncomingMessage, response: ServerResponse, body: Buffer): Promise<void> {
    const seen: SeenBulk = {
      bytes: body.length,
      documents: documentsOf(body),
      contentLength: request.headers['content-length'],
      url: request.url ?? '',
    }
    bulks.push(seen)
    const fault = fake.faults.shift() ?? fake.bulk(seen)
    if (fault && 'until' in fault) await fault.until
    if (fault && 'status' in fault) return reply(response, fault.status, fault.body ?? '', fault.contentType)
    if (fault && 'garbage' in fault) return send(response, 200, fault.garbage, 'application/json; charset=UTF-8')
    if (fault && 'reset' in fault && fault.reset === 'before') {
      request.socket.resetAndDestroy()
      return
    }
    const items = seen.documents.map(store)
    if (fault && 'stall' in fault) {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"errors":false,')
      await new Promise(resolve => request.socket.once('close', resolve))
      return
    }
    if (fault && 'reset' in fault) {
      if (fault.reset === 'midway') {
        response.writeHead(200, { 'content-type': 'application/json' })
        await new Promise(resolve => response.write('{"errors":false,"items":[', resolve))
      }
      request.socket.resetAndDestroy()
      return
    }
    if (fault && 'itemsShort' in fault) items.pop()
    reply(response, 200, { errors: items.some(item => Object.values(item).some(({ status }) => status > 299)), items })
  }

  function store(document: BulkDocument): Record<string, Item & { error?: object }> {
    const { status, ...error } = fake.item(document) ?? kept(document)
    const { type = 'exception', reason = 'because' } = error
    const operation = document.version === undefined ? 'create' : 'index'
    return { [operation]: { status, ...(status > 299 ? { error: { type, reason } } : {}) } }
  }

  function kept({ index, id, version, json }: BulkDocument): Item {
    const key = `${index}/${id}`
    const isThere = version === undefined ? documents.has(key) : (versions.get(key) ?? -1) >= version
    if (isThere) return { status: 409, type: 'version_conflict_engine_exception', reason: 'exists' }
    const status = documents.has(key) ? 200 : 201
    documents.set(key, json)
    if (version !== undefined) versions.set(key, version)
    return { status }
  }

  const fake: FakeOpenSearch = {
    url: '',
    documents,
    bulks,
    mappings,
    templates: new Map(),
    atOnce: { now: 0, most: 0 },
    faults: [],
    item: () => undefined,
    bulk: () => undefined,
    everything: undefined,
    authorization: undefined,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(fake, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

interface Action {
  readonly _index: string
  readonly _id: string
  readonly version?: number
  readonly version_type?: string
}

/** Throws for a body that the real server would refuse: an unfinished last line, a missing document. */
function documentsOf(body: Buffer): BulkDocument[] {
  const lines = body.toString().split('\n')
  if (lines.pop() !== '') throw new Error('the bulk request must be terminated by a newline')
  if (lines.length % 2 !== 0) throw new Error('an action without a document')
  const documents: BulkDocument[] = []
  for (let at = 0; at < lines.length; at += 2) {
    const { create, index } = JSON.parse(lines[at]!) as Record<'create' | 'index', Action | undefined>
    if (!create && index?.version_type !== 'external') throw new Error('an index action without an external version')
    const { _index, _id, version } = (create ?? index)!
    const json = lines[at + 1]!
    documents.push({ index: _index, id: _id, json, ...(version === undefined ? {} : { version }) })
  }
  return documents
}

export function error(type: string, reason: string): object {
  return { error: { type, reason, root_cause: [{ type, reason }] } }
}

function reply(response: ServerResponse, status: number, body: unknown, contentType?: string): void {
  if (typeof body === 'string') send(response, status, body, contentType ?? 'text/html')
  else send(response, status, JSON.stringify(body), contentType ?? 'application/json; charset=UTF-8')
}

/** Chunked, as the real server does it for larger answers. */
function send(response: ServerResponse, status: number, text: string, contentType: string): void {
  response.writeHead(status, { 'content-type': contentType })
  response.write(text.slice(0, text.length / 2))
  response.end(text.slice(text.length / 2))
}
