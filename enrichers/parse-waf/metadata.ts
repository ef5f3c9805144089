import { ENTRY, KEY, OBJECT, STRING } from '../../platform/json/scan.ts'
import type { JsonWriter } from '../../platform/json/writer.ts'
import type { Json } from '../../platform/ocsf/event.ts'
import { F } from './fields.ts'
import type { WafRecord } from './record.ts'
import { wouldBlockLabels } from './would-block.ts'
import { writeEntry, writeField } from './write.ts'

const before = '{"version":"1.8.0","profiles":["cloud","security_control"],"log_name":"aws_waf","uid":"'
const product = '","product":{"name":"AWS WAF","vendor_name":"AWS"'

/** OCSF metadata. The id comes from the record's bytes: a requestId can be the client's own (X-Amzn-Trace-Id behind an ALB). */
export function writeMetadata(record: WafRecord, out: JsonWriter): void {
  out.ascii(before)
  out.ascii(record.event.id)
  out.ascii(product)
  writeQuoted(record, out, ',"version":"', F.formatVersion)
  if (record.has(F.webaclId)) {
    writeField(record, out, ',"feature":{"name":"webacl","uid":', F.webaclId)
    out.ascii('}')
  }
  out.ascii('}')
  writeQuoted(record, out, ',"log_version":"', F.formatVersion)
  out.ascii(`,"original_time":"${record.timeMs}"`)
  writeLabels(record, out)
  out.ascii('}')
}

/** A number of the record as a string. */
function writeQuoted(record: WafRecord, out: JsonWriter, prefix: string, field: number): void {
  if (!record.has(field)) return
  writeField(record, out, prefix, field)
  out.ascii('"')
}

function writeLabels(record: WafRecord, out: JsonWriter): void {
  const { document } = record
  const list = record.at[F.labels]!
  let separator = ',"labels":['
  if (list !== 0) {
    for (let item = list + ENTRY; !document.isClose(item); item = document.after(item)) {
      const name = document.kind(item) === OBJECT ? document.member(item, '"name"') : 0
      if (name === 0 || document.kind(name) !== STRING) continue
      out.ascii(separator)
      writeEntry(record, out, name)
      separator = ','
    }
  }
  for (const label of labelsOfRules(record)) {
    out.ascii(separator)
    out.string(label)
    separator = ','
  }
  if (separator === ',') out.ascii(']')
}

function labelsOfRules(record: WafRecord): readonly string[] {
  const { at, document } = record
  const groups = at[F.ruleGroupList]!
  const nonTerminating = at[F.nonTerminatingMatchingRules]!
  if (!namesRule(record, groups) && !namesRule(record, nonTerminating)) return []
  const type = record.has(F.terminatingRuleType) ? record.text(F.terminatingRuleType) : ''
  return wouldBlockLabels({
    groups: groups === 0 ? undefined : (document.value(groups) as Json),
    nonTerminating: nonTerminating === 0 ? undefined : (document.value(nonTerminating) as Json),
    endedByGroup: type === 'GROUP' || type === 'MANAGED_RULE_GROUP',
  })
}

/** Most lists name no rule, which is much cheaper to see than to read them. */
function namesRule({ document }: WafRecord, list: number): boolean {
  if (list === 0) return false
  for (let entry = list, end = document.after(list); entry < end; entry += ENTRY) {
    if (document.kind(entry) === KEY && document.is(entry, '"ruleId"')) return true
  }
  return false
}

/** What may become part of a path, a key or a partition. */
const pathSafe = /^[A-Za-z0-9-]{1,32}$/
/** Web ACLs met lately and their cloud objects: an account has a handful, and their names are long. */
const CLOUDS = 64
const clouds = Array.from({ length: CLOUDS }, () => ({ webacl: Buffer.alloc(0), json: '' }))
const noCloud = renderCloud('')

/** OCSF cloud as JSON. */
export function cloudOf({ at, document }: WafRecord): string {
  const webacl = at[F.webaclId]!
  if (webacl === 0) return noCloud
  const { bytes } = document
  const from = document.from(webacl)
  const to = document.to(webacl)
  const known = clouds[(to - from + bytes[to - 2]! * 7 + bytes[to - 3]! * 31) % CLOUDS]!
  if (bytes.compare(known.webacl, 0, known.webacl.length, from, to) !== 0) {
    known.webacl = Buffer.from(bytes.subarray(from, to))
    known.json = renderCloud(document.text(webacl))
  }
  return known.json
}

/** From arn:aws:wafv2:<region>:<account>:… ; WAF Classic has a bare id without either. */
function renderCloud(webacl: string): string {
  const [arn, , , region = '', account = ''] = webacl.split(':', 6)
  const safe = (text: string): string => (arn === 'arn' && pathSafe.test(text) ? text : 'unknown')
  return JSON.stringify({
    provider: 'AWS',
    region: safe(region),
    account: { uid: safe(account), type_id: 10, type: 'AWS Account' },
  })
}
