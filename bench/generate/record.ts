/** One request with its verdict as an AWS WAF log record (AWS WAF developer guide, "Log fields"). */
import { headerJson } from './browsers.ts'
import type { Client } from './clients.ts'
import type { Random } from './random.ts'
import { type Acl, hostOf, type Verdict } from './rules.ts'
import type { Ask } from './shop.ts'

export interface Request {
  readonly acl: Acl
  readonly client: Client
  readonly ask: Ask
  readonly verdict: Verdict
  /** Headers of this request alone, such as its referer. */
  readonly extra: readonly (readonly [name: string, value: string])[]
}

/** A JSON object without line feed. Assembled as text: the parts of a client are encoded once, not once a record. */
export function recordJson(request: Request, timestampMs: number, random: Random): string {
  const { acl, client, ask, verdict } = request
  const gateway = acl.source === 'APIGW'
  return (
    `{"timestamp":${timestampMs},"formatVersion":1,"webaclId":"${acl.arn}","terminatingRuleId":"${verdict.ruleId}",` +
    `"terminatingRuleType":"${verdict.ruleType}","action":"${verdict.action}",` +
    `"terminatingRuleMatchDetails":${verdict.matchDetails},"httpSourceName":"${acl.source}","httpSourceId":"${acl.sourceId}",` +
    `"ruleGroupList":${verdict.groups},"rateBasedRuleList":${verdict.rateRules},` +
    `"nonTerminatingMatchingRules":${verdict.nonTerminating},` +
    // The gateway's old web ACL writes records of an older shape, in which these two were absent when empty.
    (gateway && verdict.responseCode === 'null'
      ? ''
      : `"requestHeadersInserted":${inserted(verdict)},"responseCodeSent":${verdict.responseCode},`) +
    `"httpRequest":{"clientIp":"${client.ip}","country":"${client.country}","headers":[${headers(request)}],` +
    `"uri":${JSON.stringify(ask.uri)},"args":${JSON.stringify(ask.args)},"httpVersion":"${gateway ? 'HTTP/1.1' : client.httpVersion}",` +
    `"httpMethod":"${ask.method}","requestId":"${requestId(acl, timestampMs, random)}"` +
    (acl.source === 'CF' ? `,"fragment":"","scheme":"https","host":"${hostOf(acl, ask.kind)}"}` : '}') +
    labels(acl, client, verdict) +
    verdict.token +
    (gateway || client.ja3 === undefined ? '' : `,"ja3Fingerprint":"${client.ja3}"`) +
    (gateway || client.ja4 === undefined ? '' : `,"ja4Fingerprint":"${client.ja4}"`) +
    body(acl, ask) +
    (acl.asn && client.asn !== undefined ? `,"clientAsn":${client.asn}}` : '}')
  )
}

function headers(request: Request): string {
  const { acl, client, ask, extra } = request
  const base = client.headers(acl, ask.kind)
  const length: readonly (readonly [string, string])[] =
    ask.bodyBytes > 0 ? [['content-length', String(ask.bodyBytes)]] : []
  if (extra.length === 0 && length.length === 0) return base
  return `${base},${headerJson([...length, ...extra], client.case)}`
}

function inserted(verdict: Verdict): string {
  return verdict.nonTerminating === '[]' ? 'null' : '[{"name":"x-amzn-waf-matched","value":"count"}]'
}

/** ALB: the trace id. CloudFront: 56 characters. API Gateway: 16. */
function requestId(acl: Acl, timestampMs: number, random: Random): string {
  switch (acl.source) {
    case 'ALB':
      return `1-${Math.floor(timestampMs / 1000).toString(16)}-${random.hex(6)}`
    case 'CF':
      return `${random.base64(27)}==`
    case 'APIGW':
      return `${random.base64(7)}A=`
  }
}

function labels(acl: Acl, client: Client, verdict: Verdict): string {
  let names = ''
  if (acl.geo && client.country !== '-') {
    names = `{"name":"awswaf:clientip:geo:country:${client.country}"}`
    if (client.region) names += `,{"name":"awswaf:clientip:geo:region:${client.region}"}`
  }
  for (const label of verdict.labels) names += `${names && ','}{"name":"${label}"}`
  return names && `,"labels":[${names}]`
}

/** Past the inspected bytes the record says which part was cut; the old web ACL says it as a bare string. */
function body(acl: Acl, ask: Ask): string {
  if (ask.bodyBytes === 0) return ''
  const inspected = Math.min(ask.bodyBytes, acl.bodyInspectedMax)
  const cut = inspected < ask.bodyBytes
  const oversize = acl.source === 'APIGW' ? '"REQUEST_BODY"' : '["REQUEST_BODY"]'
  return (
    (cut ? `,"oversizeFields":${oversize}` : '') +
    `,"requestBodySize":${ask.bodyBytes},"requestBodySizeInspectedByWAF":${inspected}`
  )
}
