import type { Literal } from '../../platform/json/literal.ts'
import { ENTRY } from '../../platform/json/scan.ts'
import type { JsonWriter } from '../../platform/json/writer.ts'
import { F } from './fields.ts'
import { readPair } from './headers.ts'
import type { WafRecord } from './record.ts'
import { isAddress } from './settle.ts'
import { T } from './text.ts'
import { writeField } from './write.ts'

/** Addresses of one X-Forwarded-For header; the header itself is kept whole. */
const FORWARDED_MAX = 32

/** OCSF http_request. */
export function writeHttpRequest(record: WafRecord, out: JsonWriter): void {
  const { document, headers } = record
  const from = out.length
  writeField(record, out, T.method, F.httpMethod)
  writeField(record, out, T.version, F.httpVersion)
  writeField(record, out, T.uid, F.requestId)
  if (record.has(F.uri)) writeUrl(record, out)
  writeField(record, out, T.args, F.args)
  if (headers.userAgent !== 0) {
    out.entry(T.userAgent, document, headers.userAgent)
  }
  if (headers.referer !== 0) {
    out.entry(T.referrer, document, headers.referer)
  }
  if (headers.forwardedFor !== 0) writeForwardedFor(record, out)
  writeField(record, out, T.bodyLength, F.requestBodySize)
  if (record.has(F.headers)) writeHeaders(record, out)
  out.asObject(from)
}

function writeUrl(record: WafRecord, out: JsonWriter): void {
  const { document, headers, hostFrom, hostTo } = record
  out.literal(T.url)
  const from = out.length
  if (record.has(F.scheme)) writeField(record, out, T.scheme, F.scheme)
  else if (headers.forwardedProto !== 0) writeForwardedProto(record, out)
  if (hostTo > 0) {
    out.literal(T.quotedHostname)
    out.part(document, hostFrom, hostTo)
    out.literal(T.quote)
  }
  writeField(record, out, T.path, F.uri)
  const args = record.at[F.args]!
  if (args !== 0 && !document.is(args, '""')) writeField(record, out, T.queryString, F.args)
  out.asObject(from)
}

/** Set by the load balancer in front, or by a client who may write what he wants: only the two values it can have are a scheme. */
function writeForwardedProto(record: WafRecord, out: JsonWriter): void {
  const { document, headers } = record
  if (document.is(headers.forwardedProto, '"https"')) out.literal(T.https)
  else if (document.is(headers.forwardedProto, '"http"')) out.literal(T.http)
}

function writeForwardedFor(record: WafRecord, out: JsonWriter): void {
  const addresses = forwardedFor(record)
  if (addresses.length === 0) return
  out.literal(T.forwardedFor)
  out.value(addresses)
}

/** OCSF wants addresses; `unknown`, ports and whatever else a client invents are only in the header. */
export function forwardedFor({ document, headers }: WafRecord): string[] {
  return document
    .text(headers.forwardedFor)
    .split(',', FORWARDED_MAX)
    .map(text => text.trim())
    .filter(isAddress)
}

function writeHeaders(record: WafRecord, out: JsonWriter): void {
  const { document, headers } = record
  const list = record.at[F.headers]!
  if (headers.exact) {
    out.literal(T.headers)
    out.part(document, document.from(list), document.to(list))
    return
  }
  let separator: Literal = T.headerList
  for (let item = list + ENTRY; !document.isClose(item); item = document.after(item)) {
    const pair = readPair(document, item)
    if (!pair) continue
    out.literal(separator)
    out.entry(T.nameInObject, document, pair.name)
    out.entry(T.value, document, pair.value)
    out.literal(T.close)
    separator = T.comma
  }
  if (separator === T.comma) out.literal(T.closeList)
}
