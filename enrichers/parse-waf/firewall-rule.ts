import { isObject } from '../../platform/json/residue.ts'
import type { JsonWriter } from '../../platform/json/writer.ts'
import type { FirewallRule, Json } from '../../platform/ocsf/event.ts'
import { F } from './fields.ts'
import type { WafRecord } from './record.ts'

/** OCSF firewall_rule: the rule that ended the evaluation, never Default_Action, which is no rule. */
function firewallRule(record: WafRecord): FirewallRule {
  const uid = record.text(F.terminatingRuleId)
  const type = record.has(F.terminatingRuleType) ? record.text(F.terminatingRuleType) : undefined
  const rule: FirewallRule = { uid }
  if (type !== undefined) rule.type = type
  Object.assign(rule, matchOf(first(record, F.terminatingRuleMatchDetails)))
  if (type === 'RATE_BASED') Object.assign(rule, rateOf(listOf(record, F.rateBasedRuleList), uid))
  return rule
}

export function writeFirewallRule(record: WafRecord, out: JsonWriter): void {
  out.value(firewallRule(record))
}

/** The same, frozen. */
export function readFirewallRule(record: WafRecord): FirewallRule {
  const rule = firewallRule(record)
  if (rule.match_details) Object.freeze(rule.match_details)
  return Object.freeze(rule)
}

function matchOf(details: Json | undefined): FirewallRule {
  if (!isObject(details)) return {}
  const { conditionType, location, matchedData, sensitivityLevel } = details
  const match: FirewallRule = {}
  if (typeof conditionType === 'string') match.condition = conditionType
  if (typeof location === 'string') match.match_location = location
  if (typeof sensitivityLevel === 'string') match.sensitivity = sensitivityLevel
  const texts = Array.isArray(matchedData) ? matchedData.filter(text => typeof text === 'string') : []
  if (texts.length > 0) match.match_details = texts
  return match
}

/** A listed rate rule need not be the one that ended it: it is also listed when the request was let through. */
function rateOf(list: readonly Json[], uid: string): FirewallRule {
  const entry = list.filter(isObject).find(item => item['rateBasedRuleName'] === uid || item['rateBasedRuleId'] === uid)
  if (!entry) return {}
  const { rateBasedRuleName, maxRateAllowed } = entry
  const rate: FirewallRule = {}
  if (typeof rateBasedRuleName === 'string') rate.name = rateBasedRuleName
  if (typeof maxRateAllowed === 'number' && Number.isSafeInteger(maxRateAllowed)) rate.rate_limit = maxRateAllowed
  return rate
}

function first(record: WafRecord, field: number): Json | undefined {
  return listOf(record, field)[0]
}

function listOf({ at, document }: WafRecord, field: number): readonly Json[] {
  const list = at[field]!
  return list === 0 ? [] : (document.value(list) as Json[])
}
