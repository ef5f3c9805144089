import type { About } from '../detections/sigma/about.ts'
import { alert, alertOf, seenOf } from '../detections/sigma/alert.ts'
import { actorOf } from '../detections/sigma/correlate/correlator.ts'
import { type Explanation, explainRules } from '../detections/sigma/explain.ts'
import { loadRules, shippedRules } from '../detections/sigma/load.ts'
import type { RuleSet } from '../detections/sigma/read.ts'
import type { Rule } from '../detections/sigma/rule.ts'
import { type Alert, type Deps, type Event, type LogKind, logKinds, type Stage } from '../engine/contract.ts'
import { stages } from '../enrichers/index.ts'
import { queryLake } from '../platform/lake/query.ts'
import { lakeTables } from '../platform/lake/tables.ts'
import type { OcsfEvent } from '../platform/ocsf/event.ts'
import { SecretNames } from '../platform/redaction/names.ts'
import { redactValue } from '../platform/redaction/plain.ts'
import { type Decision, decisionSchema } from '../platform/response/decision.ts'
import { stableId } from '../platform/stable-id.ts'
import { decisionsOf } from '../response/decide/alert.ts'
import { openByType } from './compose.ts'

/** As the sink `decide` has it by default. */
const BLOCK_RULE_PREFIX = 'haetae-block'

/** What becomes of one record, step by step. Without secrets. */
export interface Explained {
  readonly kind: string
  readonly id: string
  /** Why no event came of it; everything below is then missing. */
  readonly rejected?: string
  readonly event?: OcsfEvent
  readonly rules: readonly ExplainedRule[]
  /** Correlations that count it, with what they count by. */
  readonly counted: readonly ExplainedCount[]
  /** What its rules ask for, as the sink `decide` would put it; of a correlation, once it has counted enough. */
  readonly asked: readonly Asked[]
}

export interface Asked {
  readonly title: string
  readonly once: 'now' | 'counted'
  readonly decision: Decision
}

interface ExplainedRule {
  readonly id: string
  readonly title: string
  readonly level: string
  readonly file: string
  readonly matched: boolean
  /** It is there to be counted, and gives no alert of its own. */
  readonly feeds: boolean
  readonly asksToBlock: boolean
  readonly held: readonly string[]
  readonly missing: readonly string[]
}

interface ExplainedCount {
  readonly title: string
  readonly level: string
  readonly type: string
  readonly groupBy: readonly string[]
  readonly rule: string
  readonly asksToBlock: boolean
}

/** Explains records with the rules of these folders, or those that come with Haetae. */
export class Explainer {
  readonly #parsers: ReadonlyMap<LogKind, Stage>
  readonly #geoip: Stage
  readonly #rules: RuleSet
  readonly #names = new SecretNames([])

  private constructor(parsers: ReadonlyMap<LogKind, Stage>, geoip: Stage, rules: RuleSet) {
    this.#parsers = parsers
    this.#geoip = geoip
    this.#rules = rules
  }

  static async open(folders: readonly string[], deps: Deps): Promise<Explainer> {
    const rules = await loadRules([shippedRules, ...folders])
    const parsers = new Map<LogKind, Stage>()
    for (const kind of logKinds) parsers.set(kind, await openByType(stages, `parse-${kind}`, {}, deps))
    return new Explainer(parsers, await openByType(stages, 'geoip', {}, deps), rules)
  }

  /** A record as it was received. */
  async record(event: Event): Promise<Explained> {
    const reasons: string[] = []
    const kind = event.kind as LogKind
    const parsed = await this.#parsers.get(kind)!.apply([event], (_, reason) => reasons.push(reason))
    const [enriched] = parsed.length > 0 ? await this.#geoip.apply(parsed, (_, reason) => reasons.push(reason)) : []
    if (!enriched) return { kind, id: event.id, rejected: reasons[0] ?? 'dropped', rules: [], counted: [], asked: [] }
    return this.event(enriched)
  }

  /** An event as the pipelines make it. */
  event(given: Event): Explained {
    const { id, body } = given
    const kind = given.kind as LogKind
    const { rules, correlations, feeding } = this.#rules
    const explained = explainRules(
      rules.filter(({ log }) => log === kind),
      body,
    )
    const matched = new Set(explained.filter(each => each.matched).map(({ rule }) => rule.id))
    const counted = correlations.flatMap(({ title, level, type, groupBy, bases, haetae }) =>
      bases
        .filter(({ rule }) => matched.has(rule.id))
        .map(({ rule }) => ({
          title,
          level,
          type,
          groupBy,
          rule: rule.title,
          asksToBlock: haetae.respond?.block === true,
        })),
    )
    const asked = this.#asked(
      given,
      explained.filter(each => each.matched).map(({ rule }) => rule),
    )
    const event = redactValue(JSON.parse(JSON.stringify(body)), this.#names) as OcsfEvent
    return { kind, id, event, rules: explained.map(each => shown(each, feeding.has(each.rule.id))), counted, asked }
  }

  /** By way of the alerts that the detector would give, so that what is said is what runs. */
  #asked(event: Event, matched: readonly Rule[]): readonly Asked[] {
    const seen = seenOf(event, this.#names)
    const decided = (about: About, once: Asked['once'], made: Alert): readonly Asked[] => {
      const requests = decisionsOf(made, BLOCK_RULE_PREFIX)
      if (typeof requests === 'string') return []
      return requests.map(request => ({ title: about.title, once, decision: decisionSchema.parse(request) }))
    }
    const { correlations, feeding } = this.#rules
    const alone = matched.filter(rule => rule.haetae.respond && !feeding.has(rule.id))
    return [
      ...alone.flatMap(rule => decided(rule, 'now', alertOf(rule, seen))),
      ...correlations
        .filter(({ haetae }) => haetae.respond)
        .flatMap(correlation => {
          const base = correlation.bases.find(({ rule }) => matched.some(({ id }) => id === rule.id))
          const actor =
            base &&
            actorOf(
              correlation,
              base.group.map(field => field.read(event.body)[0] ?? ''),
            )
          if (!actor) return []
          const { event: _, ...rest } = seen
          const id = stableId(correlation.id, event.id)
          return decided(correlation, 'counted', alert(correlation, { ...rest, id, actor }))
        }),
    ]
  }

  async close(): Promise<void> {
    for (const stage of [...this.#parsers.values(), this.#geoip]) await stage.close?.()
  }
}

function shown({ rule, matched, held, missing }: Explanation, feeds: boolean): ExplainedRule {
  const { id, title, level, file, haetae } = rule
  return { id, title, level, file, matched, feeds, asksToBlock: haetae.respond?.block === true, held, missing }
}

/** Of which log a record is, by what only records of that log have; undefined when it is of none. */
export function kindOfRecord(text: string): LogKind | undefined {
  let record: unknown
  try {
    record = JSON.parse(text)
  } catch {
    return undefined
  }
  const has = (key: string): boolean => typeof record === 'object' && record !== null && Object.hasOwn(record, key)
  if (has('httpRequest')) return 'waf'
  if (has('output') && has('priority')) return 'falco'
  return has('detail') || has('schemaVersion') || has('SchemaVersion') ? 'guardduty' : undefined
}

/** The event with this id as the lake keeps it: redacted. undefined when no table has it. */
export async function eventInLake(
  location: string,
  id: string,
): Promise<{ readonly kind: LogKind; readonly body: OcsfEvent } | undefined> {
  for (const { name } of lakeTables) {
    const sql = `SELECT * EXCLUDE (region, account, day) FROM ${name} WHERE metadata.uid = '${id}' LIMIT 1`
    let text = ''
    for await (const piece of queryLake(location, sql, { format: 'ndjson' })) text += piece
    if (text.trim() === '') continue
    const body = present(JSON.parse(text)) as OcsfEvent
    if (typeof body.unmapped === 'string') body.unmapped = JSON.parse(body.unmapped)
    return { kind: kindOfEvent(body), body }
  }
  return undefined
}

function kindOfEvent({ metadata }: OcsfEvent): LogKind {
  if (metadata?.log_name === 'aws-health') return 'guardduty'
  return logKinds.find(kind => kind === metadata?.log_name) ?? 'waf'
}

/** A column that an event has not is null in the lake, and absent in the event. */
function present(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(present)
  if (typeof value !== 'object' || value === null) return value
  const there = Object.entries(value).filter(([, inner]) => inner !== null)
  return Object.fromEntries(there.map(([key, inner]) => [key, present(inner)]))
}
