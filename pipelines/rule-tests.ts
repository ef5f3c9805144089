import { durationMs } from '../detections/sigma/about.ts'
import { Correlator } from '../detections/sigma/correlate/correlator.ts'
import type { CorrelationTest } from '../detections/sigma/correlate/read.ts'
import type { RunningCorrelation } from '../detections/sigma/correlate/resolve.ts'
import { loadRules, shippedRules } from '../detections/sigma/load.ts'
import { Matcher } from '../detections/sigma/matcher.ts'
import type { RefusedRule, RuleSet } from '../detections/sigma/read.ts'
import type { Rule, RuleTest } from '../detections/sigma/rule.ts'
import { type Alert, type Deps, type Event, type LogKind, logKinds, type Stage } from '../engine/contract.ts'
import { stages } from '../enrichers/index.ts'
import { SecretNames } from '../platform/redaction/names.ts'
import { openByType } from './compose.ts'
import { testEvent } from './rule-events.ts'

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

/** Runs the tests of each rule and correlation: whole records through their parse stage, and what comes out through the rules. */
export async function runRuleTests(
  { rules, correlations }: Pick<RuleSet, 'rules' | 'correlations'>,
  deps: Deps,
): Promise<RuleTestResult[]> {
  const parsers = await openParsers(deps)
  const results: RuleTestResult[] = []
  for (const rule of rules) {
    const matcher = new Matcher([rule])
    for (const test of rule.tests) {
      const failure = await failureOf(rule, test, matcher, parsers, deps.clock.now())
      results.push({ file: rule.file, rule: rule.title, name: test.name, failure })
    }
  }
  for (const correlation of correlations) {
    for (const test of correlation.tests) {
      const failure = await correlationFailure(correlation, test, parsers, deps)
      results.push({ file: correlation.file, rule: correlation.title, name: test.name, failure })
    }
  }
  for (const parser of parsers.values()) await parser.close?.()
  return results
}

type Parsers = ReadonlyMap<LogKind, Stage>

async function openParsers(deps: Deps): Promise<Parsers> {
  const parsers = new Map<LogKind, Stage>()
  for (const log of logKinds) parsers.set(log, await openByType(stages, `parse-${log}`, {}, deps))
  return parsers
}

/** The event as rules see it, or why its record is refused. */
async function parsed(event: Event, parsers: Parsers): Promise<Event | string> {
  const reasons: string[] = []
  const parse = parsers.get(event.kind as LogKind)!
  const [out] = await parse.apply([event], (_, reason) => reasons.push(reason))
  return out ?? `its record is refused: ${reasons.join(', ')}`
}

async function failureOf(
  { log }: Rule,
  { request, record, match }: RuleTest,
  matcher: Matcher,
  parsers: Parsers,
  timeMs: number,
): Promise<string | undefined> {
  const event = await parsed(testEvent({ log, timeMs, request, record, serial: 0 }), parsers)
  if (typeof event === 'string') return event
  const matched = matcher.match(event.body).length > 0
  if (matched === match) return undefined
  return matched ? 'the rule matches, and must not' : 'the rule does not match'
}

const LATENESS_MS = 600_000

/** As the two halves of detection do it: events are counted where they are read, or as matches by whoever reads these. */
async function correlationFailure(
  correlation: RunningCorrelation,
  test: CorrelationTest,
  parsers: Parsers,
  deps: Deps,
): Promise<string | undefined> {
  const bounds = { latenessMs: LATENESS_MS, groupsMax: 100_000, bytesMax: 2 ** 28 }
  const correlator = new Correlator([correlation], bounds, new SecretNames([]), deps.metrics, deps.pipeline)
  const matchers = new Map(
    logKinds.map(log => [log, new Matcher(correlation.bases.map(({ rule }) => rule).filter(rule => rule.log === log))]),
  )
  let alerts = 0
  const emit = (made: Alert): void => {
    if (made.kind === 'alert') alerts++
    else correlator.counted({ ...made, body: JSON.parse(made.raw.toString()) as Event['body'] }, emit)
  }
  for (const event of eventsOf(test, deps.clock.now() - DAY_MS)) {
    const seen = await parsed(event.event, parsers)
    if (typeof seen === 'string') return seen
    if (event.asn !== undefined)
      seen.body.src_endpoint = { ...seen.body.src_endpoint, autonomous_system: { number: event.asn } }
    correlator.passed(seen)
    for (const rule of matchers.get(event.event.kind as LogKind)!.match(seen.body)) correlator.matched(seen, rule, emit)
  }
  return alerts === test.alerts ? undefined : `it gives ${alerts} alerts, and must give ${test.alerts}`
}

const DAY_MS = 86_400_000

/** The events of a test in the order of their times; `{n}` in what it says stands for the number of the repetition. */
function eventsOf({ events }: CorrelationTest, startMs: number) {
  let serial = 0
  const made = events.flatMap(({ log, at, times, every, request, record, asn }) =>
    Array.from({ length: times }, (_, n) => {
      const timeMs = startMs + offsetMs(at) + n * offsetMs(every)
      return { event: testEvent({ log, timeMs, ...numbered({ request, record }, n + 1), serial: serial++ }), asn }
    }),
  )
  return made.sort((a, b) => a.event.timeMs - b.event.timeMs)
}

/** Its form was looked at when the test was read. */
function offsetMs(text: string): number {
  return text.startsWith('0') ? 0 : durationMs(text)!
}

function numbered<T>(value: T, n: number): T {
  return JSON.parse(JSON.stringify(value).replaceAll('{n}', String(n))) as T
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

export function ruleStates({ rules, correlations, feeding, refused }: RuleSet): RuleState[] {
  const states = [
    ...rules.map(rule => running(rule, feeding.has(rule.id))),
    ...correlations.map(correlating),
    ...refused.map(notRunning),
  ]
  return states.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0))
}

function running({ id, title, level, without, file }: Rule, feeds: boolean): RuleState {
  const notes = [
    ...(without.length > 0 ? [`decides without ${without.join(', ')}`] : []),
    ...(feeds ? ['feeds correlations, alerts not by itself'] : []),
  ]
  return { id, title, level, state: 'runs', note: notes.join('; '), file }
}

function correlating({ id, title, level, type, groupBy, inPlace, file }: RunningCorrelation): RuleState {
  const where = inPlace ? '' : ', by way of the topic matches'
  return { id, title, level, state: 'runs', note: `${type} by ${groupBy.join(', ') || 'nothing'}${where}`, file }
}

function notRunning({ id, title, level, reason, message, where, file }: RefusedRule): RuleState {
  return { id, title, level, state: reason, note: `${where}: ${message}`, file }
}
