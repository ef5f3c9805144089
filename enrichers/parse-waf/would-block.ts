import { isObject } from '../../platform/json/residue.ts'
import type { Json, JsonObject } from '../../platform/ocsf/event.ts'

const LABELS_MAX = 16
const RULE_CHARS_MAX = 128
const stopping = new Set<Json | undefined>(['BLOCK', 'CAPTCHA', 'CHALLENGE'])

export interface RuleLists {
  readonly groups: Json | undefined
  readonly nonTerminating: Json | undefined
  /** A rule group gave the verdict: the last group with a terminating rule is the one. */
  readonly endedByGroup: boolean
}

/**
 * Labels `haetae:would-block:<rule>` for the rules that matched but were not allowed to stop the request: counted, overridden or excluded.
 * None of this is a verdict: a group whose action is overridden to Count says BLOCK in its terminatingRule while the request was let through.
 */
export function wouldBlockLabels({ groups, nonTerminating, endedByGroup }: RuleLists): string[] {
  const rules = new Set<string>()
  const add = (rule: Json | undefined): void => {
    if (typeof rule === 'string' && rules.size < LABELS_MAX) rules.add(rule)
  }
  for (const item of objects(nonTerminating)) if (isCounted(item)) add(item['ruleId'])
  const ended = objects(groups).filter(group => isObject(group['terminatingRule']))
  const verdict = endedByGroup ? ended.at(-1) : undefined
  for (const group of objects(groups)) {
    const rule = group['terminatingRule']
    if (group !== verdict && isObject(rule) && stopping.has(rule['overriddenAction'] ?? rule['action']))
      add(rule['ruleId'])
    for (const item of objects(group['nonTerminatingMatchingRules'])) if (isCounted(item)) add(item['ruleId'])
    for (const item of objects(group['excludedRules'])) add(item['ruleId'])
  }
  return [...rules].map(rule => `haetae:would-block:${rule.slice(0, RULE_CHARS_MAX).toWellFormed()}`)
}

function isCounted(rule: JsonObject): boolean {
  const { action, overriddenAction } = rule
  return action === 'COUNT' && (overriddenAction === undefined || stopping.has(overriddenAction))
}

function objects(list: Json | undefined): JsonObject[] {
  return Array.isArray(list) ? list.filter(isObject) : []
}
