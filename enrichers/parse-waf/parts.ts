import type { JsonWriter } from '../../platform/json/writer.ts'
import { BodyLayout, type BodyPart } from '../../platform/ocsf/lazy-body.ts'
import { codesOf } from './codes.ts'
import { F } from './fields.ts'
import { readFirewallRule, writeFirewallRule } from './firewall-rule.ts'
import { writeHttpRequest } from './http-request.ts'
import { writeMetadata } from './metadata.ts'
import { readHttpRequest } from './read-http-request.ts'
import type { WafRecord } from './record.ts'
import { T } from './text.ts'
import { webAclOf } from './web-acl.ts'
import { writeField } from './write.ts'

type Part = BodyPart<WafRecord>

const codes: Part = {
  fields: [
    'category_uid',
    'category_name',
    'class_uid',
    'class_name',
    'severity_id',
    'severity',
    'activity_id',
    'activity_name',
    'type_uid',
    'type_name',
    'action_id',
    'action',
    'disposition_id',
    'disposition',
    'status_id',
    'status',
  ],
  write: ({ document, method, at }, out) => out.ascii(codesOf(document, method, at[F.action]!).json),
  read: ({ document, method, at }) => codesOf(document, method, at[F.action]!).fields,
}

const time: Part = {
  fields: ['time'],
  write(record, out) {
    if (record.document.isWhole(record.at[F.timestamp]!)) writeField(record, out, T.time, F.timestamp)
    else out.ascii(`,"time":${record.timeMs}`)
  },
  read: ({ timeMs }) => ({ time: timeMs }),
}

const metadata: Part = {
  fields: ['metadata'],
  write: writeMetadata,
}

const cloud: Part = {
  fields: ['cloud'],
  write: (record, out) => out.ascii(webAclOf(record).cloud),
}

const source: Part = {
  fields: ['src_endpoint'],
  write(record, out) {
    if (record.ip === undefined) return
    writeField(record, out, T.source, F.clientIp)
    writeField(record, out, T.country, F.country)
    out.literal(record.has(F.country) ? T.closeTwo : T.close)
  },
  // geoip reads this of every event.
  read(record) {
    const { ip } = record
    if (ip === undefined) return {}
    if (!record.has(F.country)) return { src_endpoint: Object.freeze({ ip }) }
    const location = Object.freeze({ country: record.text(F.country) })
    return { src_endpoint: Object.freeze({ ip, location }) }
  },
}

/** httpSource* is what the web ACL protects. */
const destination: Part = {
  fields: ['dst_endpoint'],
  write(record, out) {
    const { document, hostFrom, hostTo } = record
    if (!record.has(F.httpSourceName) && !record.has(F.httpSourceId) && hostTo === 0) return
    out.literal(T.destination)
    const from = out.length
    writeField(record, out, T.serviceName, F.httpSourceName)
    writeField(record, out, T.uid, F.httpSourceId)
    if (hostTo > 0) {
      out.literal(T.quotedHostname)
      out.part(document, hostFrom, hostTo)
      out.literal(T.quote)
    }
    out.asObject(from)
  },
}

const request: Part = {
  fields: ['http_request'],
  write(record, out) {
    out.literal(T.request)
    writeHttpRequest(record, out)
  },
  read: record => ({ http_request: readHttpRequest(record) }),
}

/** Only what a custom response, CAPTCHA or Challenge answered: the record does not know the origin's status. */
const response: Part = {
  fields: ['http_response'],
  write(record, out) {
    if (!record.has(F.responseCodeSent)) return
    writeField(record, out, T.response, F.responseCodeSent)
    out.literal(T.close)
  },
}

const rule: Part = {
  fields: ['firewall_rule'],
  write(record, out) {
    if (!record.has(F.terminatingRuleId)) return
    out.literal(T.rule)
    writeFirewallRule(record, out)
  },
  read: record => (record.has(F.terminatingRuleId) ? { firewall_rule: readFirewallRule(record) } : {}),
}

const fingerprints: Part = {
  fields: ['ja4_fingerprint_list', 'tls'],
  write(record, out) {
    if (!record.has(F.ja4Fingerprint)) return
    writeField(record, out, T.ja4, F.ja4Fingerprint)
    out.literal(T.closeObjectInList)
    if (record.tlsVersion === undefined) return
    out.literal(T.quotedTlsVersion)
    out.ascii(record.tlsVersion)
    out.literal(T.quote)
    writeField(record, out, T.ja3, F.ja3Fingerprint)
    out.literal(record.has(F.ja3Fingerprint) ? T.closeTwo : T.close)
  },
}

const observables: Part = {
  fields: ['observables'],
  write(record, out) {
    if (record.ip === undefined) return
    writeField(record, out, T.observable, F.clientIp)
    out.literal(T.closeObjectInList)
  },
}

const unmapped: Part = {
  fields: ['unmapped'],
  write(record, out) {
    const { unmapped: ranges, unmappedRequest } = record
    if (ranges.length + unmappedRequest.length === 0) return
    out.literal(T.unmapped)
    writeRanges(record, out, ranges)
    if (unmappedRequest.length > 0) {
      if (ranges.length > 0) out.literal(T.comma)
      out.literal(T.unmappedRequest)
      writeRanges(record, out, unmappedRequest)
      out.literal(T.close)
    }
    out.literal(T.close)
  },
}

function writeRanges({ document }: WafRecord, out: JsonWriter, ranges: readonly number[]): void {
  for (let at = 0; at < ranges.length; at += 2) {
    if (at > 0) out.literal(T.comma)
    out.part(document, ranges[at]!, ranges[at + 1]!)
  }
}

/** AWS WAF log record → OCSF 1.8.0 HTTP Activity (4002). */
export const wafLayout = new BodyLayout<WafRecord>([
  codes,
  time,
  metadata,
  cloud,
  source,
  destination,
  request,
  response,
  rule,
  fingerprints,
  observables,
  unmapped,
])
