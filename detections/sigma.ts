import { z } from 'zod'
import { type Alert, type Deps, defineDetector, type Event, type LogKind, logKinds } from '../engine/contract.ts'
import { HaetaeError } from '../platform/errors.ts'
import type { OcsfEvent } from '../platform/ocsf/event.ts'
import { LazyBody } from '../platform/ocsf/lazy-body.ts'
import { NAME_CHARS_MAX } from '../platform/redaction/name-table.ts'
import { SecretNames } from '../platform/redaction/names.ts'
import { alertOf, type SeenEvent, seenOf } from './sigma/alert.ts'
import { Correlator, streamOf } from './sigma/correlate/correlator.ts'
import { loadRules, revisionOfRules, shippedRules } from './sigma/load.ts'
import { Matcher } from './sigma/matcher.ts'
import { defaultPlaceholders } from './sigma/placeholders.ts'
import type { RuleSet } from './sigma/read.ts'
import { brokenReasons } from './sigma/refusal.ts'
import type { Rule } from './sigma/rule.ts'

const config = z.strictObject({
  rules: z
    .array(z.string().min(1))
    .max(100)
    .default([])
    .describe('Folders of Sigma rules of your own, read at start with everything below them'),
  shipped: z.boolean().default(true).describe('Whether the rules that come with Haetae run too'),
  except: z.array(z.uuid()).max(1000).default([]).describe('Ids of rules that shall not run'),
  placeholders: z
    .record(z.string().regex(/^[A-Za-z0-9_]{1,64}$/), z.array(z.string().min(1)).min(1).max(1_000))
    .default({})
    .describe('Values for placeholders in rules (`expand`), in place of those that come with Haetae: login_paths …'),
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
  latenessMs: z
    .int()
    .min(0)
    .max(86_400_000)
    .default(600_000)
    .describe('How much older than the newest of its stream an event may be and still count in a correlation'),
  groupsMax: z
    .int()
    .min(1)
    .max(10_000_000)
    .default(1_000_000)
    .describe('Groups that correlations count at once; of more, those used least recently go'),
  groupBytesMax: z.int().min(1_048_576).default(268_435_456).describe('What these groups may take together, estimated'),
})

/**
 * Sigma rules and correlations, on WAF's HTTP Activity and on findings before anything is redacted. One alert for each rule and event, its
 * id a hash of both; one for each correlation, group and time span. Evidence is redacted here. What cannot run is counted by reason
 * and named by `haetae rules list`. What is to be counted elsewhere leaves as records of the kind `match` among the alerts, and records of
 * that kind are counted.
 */
export const sigma = defineDetector({
  type: 'sigma',
  summary: 'Runs Sigma rules and correlations over web requests and findings, and gives alerts',
  config,
  example: `
rules: [my-rules]
shipped: true
except: [953b895e-5cc9-454b-b183-7f3db555452e]
placeholders: { login_paths: [/login, /api/session] }
blockRulePrefix: haetae-block
names: [x-shop-session]
latenessMs: 600000
groupsMax: 1000000
groupBytesMax: 268435456
`,
  files: {
    revision: given => revisionOfRules(foldersOf(given)),
    async problems(given) {
      const { refused, rules } = await rulesOf(given)
      const broken = refused.filter(({ reason }) => brokenReasons.includes(reason))
      const said = broken.map(({ where, reason, message }) => `${where}: ${reason}: ${message}`)
      return rules.length === 0 ? [...said, NONE_RUNS] : said
    },
  },
  async open({ blockRulePrefix, names, ...given }, deps) {
    const set = await rulesOf(given)
    if (set.rules.length === 0) throw new HaetaeError('CONFIG_INVALID', NONE_RUNS)
    tell(set, deps)
    const { pipeline, metrics } = deps
    const matchers = new Map(logKinds.map(log => [log, new Matcher(set.rules.filter(rule => rule.log === log))]))
    const secrets = new SecretNames(names)
    const { latenessMs, groupsMax, groupBytesMax: bytesMax } = given
    const correlator = new Correlator(set.correlations, { latenessMs, groupsMax, bytesMax }, secrets, metrics, pipeline)
    const unknown = metrics.counter('haetae_matches_unknown_total', 'Matches of correlations that do not run', [
      'pipeline',
    ])
    const matches = deps.metrics.counter('haetae_rule_matches_total', 'Events a rule matched', ['pipeline', 'rule'])
    /** Of the batch at hand, by rule. */
    const counts = new Map<string, number>()
    const matched = (event: Event, rules: readonly Rule[], emit: (alert: Alert) => void): void => {
      let seen: SeenEvent | undefined
      for (const rule of rules) {
        counts.set(rule.id, (counts.get(rule.id) ?? 0) + 1)
        if (!set.feeding.has(rule.id)) {
          seen ??= seenOf(event, secrets)
          emit(alertOf(rule, seen))
        }
        correlator.matched(event, rule, emit)
      }
    }
    return {
      state: correlator.state,
      detect(batch, emit): void {
        for (const event of batch) {
          if (event.kind === 'match') {
            if (!correlator.counted(event, emit)) unknown.add({ pipeline })
            continue
          }
          const matcher = isLogKind(event.kind) ? matchers.get(event.kind) : undefined
          if (!matcher) continue
          correlator.passed(event)
          const rules = matcher.match(event.body)
          if (rules.length > 0) matched(event, feeds(event, rules, blockRulePrefix), emit)
        }
        for (const [rule, count] of counts) matches.add({ pipeline, rule }, count)
        counts.clear()
        correlator.expire(new Set(batch.map(streamOf)))
      },
    }
  },
})

const NONE_RUNS = 'sigma: of the rules none runs: name a folder'

type Given = z.output<typeof config>

function foldersOf({ shipped, rules }: Pick<Given, 'shipped' | 'rules'>): readonly string[] {
  return [...(shipped ? [shippedRules] : []), ...rules]
}

function rulesOf(given: Pick<Given, 'shipped' | 'rules' | 'except' | 'placeholders'>): Promise<RuleSet> {
  return loadRules(foldersOf(given), given.except, { ...defaultPlaceholders, ...given.placeholders })
}

function isLogKind(kind: Event['kind']): kind is LogKind {
  return logKinds.some(each => each === kind)
}

/** A request that our own block stopped must not lengthen that block: only rules that ask for such requests see them. */
function feeds({ body }: Event, matched: readonly Rule[], blockRulePrefix: string): readonly Rule[] {
  const isOurs = blockedBy(body)?.startsWith(blockRulePrefix) === true
  return isOurs ? matched.filter(rule => rule.haetae.blocked) : matched
}

/** `firewall_rule.uid`, without making the rest of the rule where that is possible: every event that a rule matches is asked. */
function blockedBy(body: OcsfEvent): string | undefined {
  const request = LazyBody.behind(body)?.requestBytes()
  if (!request) return body.firewall_rule?.uid
  return request.ruleId === 0 ? undefined : request.document.text(request.ruleId)
}

/** Says how many rules run, and how many do not for which reason. */
function tell({ rules, correlations, refused }: RuleSet, { log, metrics, pipeline }: Deps): void {
  const states = new Map<string, number>([['runs', rules.length + correlations.length]])
  for (const { reason } of refused) states.set(reason, (states.get(reason) ?? 0) + 1)
  const gauge = metrics.gauge('haetae_rules_count', 'Rules by whether they run, or why not', ['pipeline', 'state'])
  for (const [state, count] of states) gauge.set(count, { pipeline, state })
  const counts = Object.fromEntries(states)
  if (refused.length > 0) log.warn('some rules do not run: `haetae rules list` says which and why', counts)
  else log.info('rules are loaded', counts)
}
