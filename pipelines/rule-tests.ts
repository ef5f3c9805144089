import { loadRules, shippedRules } from '../detections/sigma/load.ts'
import { Matcher } from '../detections/sigma/matcher.ts'
import type { RefusedRule, RuleSet } from '../detections/sigma/read.ts'
import type { Rule, RuleTest } from '../detections/sigma/rule.ts'
import type { Deps, Stage } from '../engine/contract.ts'
import { RecordEvent } from '../engine/event.ts'
import { stages } from '../enrichers/index.ts'
import { openByType } from './compose.ts'

/** One of the tests that a rule carries, as it went. */
export interface RuleTestResult {
  readonly file: string
  readonly rule: string
  readonly name: string
  /** undefined when the test passed. */
  readonly failure: string | undefined
}

/** Rules of these folders; of those that come with Haetae when none is named. */
export function readFolders(folders: readonly string[]): Promise<RuleSet> {
  return loadRules(folders.length > 0 ? folders : [shippedRules])
}

/** Runs the tests of each rule: a whole WAF record through parse-waf, and the rule over what comes out. */
export async function runRuleTests(rules: readonly Rule[], deps: Deps): Promise<RuleTestResult[]> {
  const parse = await openByType(stages, 'parse-waf', {}, deps)
  const results: RuleTestResult[] = []
  for (const rule of rules) {
    const matcher = new Matcher([rule])
    for (const test of rule.tests) {
      const failure = await failureOf(test, matcher, parse, deps.clock.now())
      results.push({ file: rule.file, rule: rule.title, name: test.name, failure })
    }
  }
  await parse.close?.()
  return results
}

async function failureOf(test: RuleTest, matcher: Matcher, parse: Stage, nowMs: number): Promise<string | undefined> {
  const event = new RecordEvent('waf', Buffer.from(JSON.stringify(recordOf(test, nowMs))), nowMs)
  const reasons: string[] = []
  const [parsed] = await parse.apply([event], (_, reason) => reasons.push(reason))
  if (!parsed) return `its record is refused: ${reasons.join(', ')}`
  const matched = matcher.match(parsed.body).length > 0
  if (matched === test.match) return undefined
  return matched ? 'the rule matches, and must not' : 'the rule does not match'
}

const HOST = 'www.haetae-shop.example'
const BROWSER =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'

/** A WAF record of a request that was let through, but for what the test says. */
function recordOf({ request, record }: RuleTest, nowMs: number): object {
  const headers = { Host: HOST, 'User-Agent': BROWSER, Accept: '*/*', ...request.headers }
  return {
    timestamp: nowMs,
    formatVersion: 1,
    webaclId: 'arn:aws:wafv2:ap-northeast-2:123456789012:regional/webacl/shop/5933d6d9-9dde-4c82-a8aa-9c28aa900001',
    terminatingRuleId: 'Default_Action',
    terminatingRuleType: 'REGULAR',
    action: 'ALLOW',
    terminatingRuleMatchDetails: [],
    httpSourceName: 'ALB',
    httpSourceId: 'app/shop/abc',
    ruleGroupList: [],
    rateBasedRuleList: [],
    nonTerminatingMatchingRules: [],
    httpRequest: {
      clientIp: request.client ?? '192.0.2.10',
      country: 'KR',
      headers: Object.entries(headers).map(([name, value]) => ({ name, value })),
      uri: request.uri ?? '/',
      args: request.args ?? '',
      httpVersion: 'HTTP/2.0',
      httpMethod: request.method ?? 'GET',
      requestId: '1-00000000-000000000000000000000000',
    },
    ...record,
  }
}

/** What `haetae rules list` and docs/detections.md say of each rule. */
export interface RuleState {
  readonly id: string
  readonly title: string
  readonly level: string
  /** `runs`, or the reason of the refusal. */
  readonly state: string
  /** Why it does not run, or what it decides without. */
  readonly note: string
  readonly file: string
}

export function ruleStates({ rules, refused }: RuleSet): RuleState[] {
  const states = [...rules.map(running), ...refused.map(notRunning)]
  return states.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0))
}

function running({ id, title, level, without, file }: Rule): RuleState {
  const note = without.length > 0 ? `decides without ${without.join(', ')}` : ''
  return { id, title, level, state: 'runs', note, file }
}

function notRunning({ id, title, level, reason, message, where, file }: RefusedRule): RuleState {
  return { id, title, level, state: reason, note: `${where}: ${message}`, file }
}
