import type { JsonWriter } from '../../platform/json/writer.ts'
import { BodyLayout, type BodyPart } from '../../platform/ocsf/lazy-body.ts'
import { classification, verdictOf } from './codes.ts'
import { F } from './fields.ts'
import { writeFirewallRule } from './firewall-rule.ts'
import { writeHttpRequest } from './http-request.ts'
import { cloudOf, writeMetadata } from './metadata.ts'
import type { WafRecord } from './record.ts'
import { writeField } from './write.ts'

type Part = BodyPart<WafRecord>

const constants: Part = {
  fields: ['category_uid', 'category_name', 'class_uid', 'class_name', 'severity_id', 'severity'],
  write: (_record, out) => out.ascii(classification.json),
  read: () => classification.fields,
}

const activity: Part = {
  fields: ['activity_id', 'activity_name', 'type_uid', 'type_name'],
  write: ({ method }, out) => out.ascii(method.json),
  read: ({ method }) => method.fields,
}

const verdict: Part = {
  fields: ['action_id', 'action', 'disposition_id', 'disposition', 'status_id', 'status'],
  write: ({ document, at }, out) => out.ascii(verdictOf(document, at[F.action]!).json),
  read: ({ document, at }) => verdictOf(document, at[F.action]!).fields,
}

const time: Part = {
  fields: ['time'],
  write: ({ timeMs }, out) => out.ascii(`,"time":${timeMs}`),
  read: ({ timeMs }) => ({ time: timeMs }),
}

const metadata: Part = {
  fields: ['metadata'],
  write(record, out) {
    out.ascii(',"metadata":')
    writeMetadata(record, out)
  },
}

const cloud: Part = {
  fields: ['cloud'],
  write(record, out) {
    out.ascii(',"cloud":')
    out.ascii(cloudOf(record))
  },
}

const source: Part = {
  fields: ['src_endpoint'],
  write(record, out) {
    if (record.ip === undefined) return
    writeField(record, out, ',"src_endpoint":{"ip":', F.clientIp)
    writeField(record, out, ',"location":{"country":', F.country)
    out.ascii(record.has(F.country) ? '}}' : '}')
  },
  // geoip reads this of every event.
  read(record) {
    const { ip } = record
    if (ip === undefined) return {}
    return { src_endpoint: record.has(F.country) ? { ip, location: { country: record.text(F.country) } } : { ip } }
  },
}

/** httpSource* is what the web ACL protects. */
const destination: Part = {
  fields: ['dst_endpoint'],
  write(record, out) {
    const { document, hostFrom, hostTo } = record
    if (!record.has(F.httpSourceName) && !record.has(F.httpSourceId) && hostTo === 0) return
    out.ascii(',"dst_endpoint":')
    const from = out.length
    writeField(record, out, ',"svc_name":', F.httpSourceName)
    writeField(record, out, ',"uid":', F.httpSourceId)
    if (hostTo > 0) {
      out.ascii(',"hostname":"')
      out.part(document, hostFrom, hostTo)
      out.ascii('"')
    }
    out.asObject(from)
  },
}

const request: Part = {
  fields: ['http_request'],
  write(record, out) {
    out.ascii(',"http_request":')
    writeHttpRequest(record, out)
  },
}

/** Only what a custom response, CAPTCHA or Challenge answered: the record does not know the origin's status. */
const response: Part = {
  fields: ['http_response'],
  write(record, out) {
    if (!record.has(F.responseCodeSent)) return
    writeField(record, out, ',"http_response":{"code":', F.responseCodeSent)
    out.ascii('}')
  },
}

const rule: Part = {
  fields: ['firewall_rule'],
  write(record, out) {
    if (!record.has(F.terminatingRuleId)) return
    out.ascii(',"firewall_rule":')
    writeFirewallRule(record, out)
  },
}

const fingerprints: Part = {
  fields: ['ja4_fingerprint_list', 'tls'],
  write(record, out) {
    if (!record.has(F.ja4Fingerprint)) return
    writeField(record, out, ',"ja4_fingerprint_list":[{"type_id":1,"type":"JA4","value":', F.ja4Fingerprint)
    out.ascii('}]')
    if (record.tlsVersion === undefined) return
    out.ascii(`,"tls":{"version":"${record.tlsVersion}"`)
    writeField(record, out, ',"ja3_hash":{"algorithm_id":1,"algorithm":"MD5","value":', F.ja3Fingerprint)
    out.ascii(record.has(F.ja3Fingerprint) ? '}}' : '}')
  },
}

const observables: Part = {
  fields: ['observables'],
  write(record, out) {
    if (record.ip === undefined) return
    const before = ',"observables":[{"name":"src_endpoint.ip","type_id":2,"type":"IP Address","value":'
    writeField(record, out, before, F.clientIp)
    out.ascii('}]')
  },
}

const unmapped: Part = {
  fields: ['unmapped'],
  write(record, out) {
    const { unmapped: ranges, unmappedRequest } = record
    if (ranges.length + unmappedRequest.length === 0) return
    out.ascii(',"unmapped":{')
    writeRanges(record, out, ranges)
    if (unmappedRequest.length > 0) {
      out.ascii(ranges.length > 0 ? ',"httpRequest":{' : '"httpRequest":{')
      writeRanges(record, out, unmappedRequest)
      out.ascii('}')
    }
    out.ascii('}')
  },
}

function writeRanges({ document }: WafRecord, out: JsonWriter, ranges: readonly number[]): void {
  for (let at = 0; at < ranges.length; at += 2) {
    if (at > 0) out.ascii(',')
    out.part(document, ranges[at]!, ranges[at + 1]!)
  }
}

/** AWS WAF log record → OCSF 1.8.0 HTTP Activity (4002). */
export const wafLayout = new BodyLayout<WafRecord>([
  constants,
  activity,
  verdict,
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
