import { ENTRY } from '../../platform/json/scan.ts'
import type { HttpHeader, HttpRequest, Url } from '../../platform/ocsf/event.ts'
import { F } from './fields.ts'
import { readPair, visitHeaders } from './headers.ts'
import { forwardedFor } from './http-request.ts'
import type { WafRecord } from './record.ts'

/**
 * OCSF http_request as an object, the same that writeHttpRequest writes: what most rules look at, so it has a way that neither
 * writes nor parses JSON. Few rules look at the list of headers: it is made when somebody does.
 */
export function readHttpRequest(record: WafRecord): HttpRequest {
  const { at, document, headers } = record
  const request: HttpRequest = {}
  if (record.has(F.httpMethod)) request.http_method = record.text(F.httpMethod)
  if (record.has(F.httpVersion)) request.version = record.text(F.httpVersion)
  if (record.has(F.requestId)) request.uid = record.text(F.requestId)
  if (record.has(F.uri)) request.url = readUrl(record)
  if (record.has(F.args)) request.args = record.text(F.args)
  if (headers.userAgent !== 0) request.user_agent = document.text(headers.userAgent)
  if (headers.referer !== 0) request.referrer = document.text(headers.referer)
  if (headers.forwardedFor !== 0) {
    const addresses = forwardedFor(record)
    if (addresses.length > 0) request.x_forwarded_for = Object.freeze(addresses) as string[]
  }
  if (record.has(F.requestBodySize)) request.body_length = document.number(at[F.requestBodySize]!)
  if (record.has(F.headers) && hasHeaders(record)) request.http_headers = HeaderList.of(record)
  return Object.freeze(request)
}

function readUrl(record: WafRecord): Url {
  const { document, headers, hostFrom, hostTo } = record
  const url: Url = {}
  if (record.has(F.scheme)) url.scheme = record.text(F.scheme)
  else if (headers.forwardedProto !== 0) {
    if (document.is(headers.forwardedProto, '"https"')) url.scheme = 'https'
    else if (document.is(headers.forwardedProto, '"http"')) url.scheme = 'http'
  }
  if (hostTo > 0) url.hostname = document.bytes.toString('latin1', hostFrom, hostTo)
  url.path = record.text(F.uri)
  const args = record.at[F.args]!
  if (args !== 0 && !document.is(args, '""')) url.query_string = record.text(F.args)
  return Object.freeze(url)
}

function hasHeaders({ at, document, headers }: WafRecord): boolean {
  if (headers.exact) return true
  for (let item = at[F.headers]! + ENTRY; !document.isClose(item); item = document.after(item)) {
    if (readPair(document, item)) return true
  }
  return false
}

/** The list of headers, frozen; read from the record the first time somebody looks into it. */
class HeaderList implements ProxyHandler<HttpHeader[]> {
  #record: WafRecord | undefined

  static of(record: WafRecord): HttpHeader[] {
    const handler = new HeaderList()
    handler.#record = record
    return new Proxy<HttpHeader[]>([], handler)
  }

  #fill(list: HttpHeader[]): HttpHeader[] {
    if (!this.#record) return list
    const { at, document } = this.#record
    this.#record = undefined
    visitHeaders(document, at[F.headers]!, (name, value) => {
      list.push(Object.freeze({ name: document.text(name), value: document.text(value) }))
    })
    return Object.freeze(list) as HttpHeader[]
  }

  get(list: HttpHeader[], key: string | symbol): unknown {
    return Reflect.get(this.#fill(list), key)
  }

  has(list: HttpHeader[], key: string | symbol): boolean {
    return Reflect.has(this.#fill(list), key)
  }

  ownKeys(list: HttpHeader[]): (string | symbol)[] {
    return Reflect.ownKeys(this.#fill(list))
  }

  getOwnPropertyDescriptor(list: HttpHeader[], key: string | symbol): PropertyDescriptor | undefined {
    return Reflect.getOwnPropertyDescriptor(this.#fill(list), key)
  }

  isExtensible(list: HttpHeader[]): boolean {
    return Reflect.isExtensible(this.#fill(list))
  }

  preventExtensions(list: HttpHeader[]): boolean {
    return Reflect.preventExtensions(this.#fill(list))
  }

  defineProperty(): false {
    return false
  }

  deleteProperty(): false {
    return false
  }
}
