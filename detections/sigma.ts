import { z } from 'zod'
import { type Deps, type Detector, defineDetector, type Event } from '../engine/contract.ts'
import { HaetaeError } from '../platform/errors.ts'
import { NAME_CHARS_MAX } from '../platform/redaction/name-table.ts'
import { SecretNames } from '../platform/redaction/names.ts'
import { alertOf } from './sigma/alert.ts'
import { loadRules, shippedRules } from './sigma/load.ts'
import { Matcher } from './sigma/matcher.ts'
import type { RuleSet } from './sigma/read.ts'
import type { Rule } from './sigma/rule.ts'

const config = z.strictObject({
  rules: z
    .array(z.string().min(1))
    .max(100)
    .default([])
    .describe('Folders of Sigma rules of your own, read at start with everything below them'),
  shipped: z.boolean().default(true).describe('Whether the rules that come with Haetae run too'),
  except: z.array(z.uuid()).max(1000).default([]).describe('Ids of rules that shall not run'),
  blockRulePrefix: z
    .string()
    .min(1)
    .default('haetae-block')
    .describe('Web ACL rules that block for Haetae: what they stopped feeds no rule that does not say so'),
  names: z
    .array(z.string().min(2).max(NAME_CHARS_MAX))
    .max(200)
    .default([])
    .describe('As of `redact`: further names whose values are secrets, for the evidence in alerts'),
})

/**
 * Sigma rules for single events, on WAF's HTTP Activity before anything is redacted. One alert for each rule and event, its id a hash
 * of both; evidence is redacted here. Rules that cannot run are counted by reason and named by `haetae rules list`.
 */
export const sigma = defineDetector({
  type: 'sigma',
  summary: 'Runs Sigma rules over web requests and gives an alert for each match',
  config,
  example: `
rules: [my-rules]
shipped: true
except: [953b895e-5cc9-454b-b183-7f3db555452e]
blockRulePrefix: haetae-block
names: [x-shop-session]
`,
  async open({ rules: folders, shipped, except, blockRulePrefix, names }, deps): Promise<Detector> {
    const set = await loadRules([...(shipped ? [shippedRules] : []), ...folders])
    const rules = set.rules.filter(({ id }) => !except.includes(id))
    if (rules.length === 0) throw new HaetaeError('CONFIG_INVALID', 'sigma: of the rules none runs: name a folder')
    tell(set, rules, deps)
    const matches = deps.metrics.counter('haetae_rule_matches_total', 'Events a rule matched', ['pipeline', 'rule'])
    const matcher = new Matcher(rules)
    const secrets = new SecretNames(names)
    return {
      detect(batch, emit): void {
        for (const event of batch) {
          if (event.kind !== 'waf') continue
          const matched = matcher.match(event.body)
          if (matched.length === 0) continue
          for (const rule of feeds(event, matched, blockRulePrefix)) {
            matches.add({ pipeline: deps.pipeline, rule: rule.id })
            emit(alertOf(rule, event, secrets))
          }
        }
      },
    }
  },
})

/** A request that our own block stopped must not lengthen that block: only rules that ask for such requests see them. */
function feeds({ body }: Event, matched: readonly Rule[], blockRulePrefix: string): readonly Rule[] {
  const isOurs = body.firewall_rule?.uid?.startsWith(blockRulePrefix) === true
  return isOurs ? matched.filter(rule => rule.haetae.blocked) : matched
}

/** Says how many rules run, and how many do not for which reason. */
function tell({ refused }: RuleSet, rules: readonly Rule[], { log, metrics, pipeline }: Deps): void {
  const states = new Map<string, number>([['runs', rules.length]])
  for (const { reason } of refused) states.set(reason, (states.get(reason) ?? 0) + 1)
  const gauge = metrics.gauge('haetae_rules_count', 'Rules by whether they run, or why not', ['pipeline', 'state'])
  for (const [state, count] of states) gauge.set(count, { pipeline, state })
  const counts = Object.fromEntries(states)
  if (refused.length > 0) log.warn('some rules do not run: `haetae rules list` says which and why', counts)
  else log.info('rules are loaded', counts)
}
