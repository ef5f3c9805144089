import { z } from 'zod'
import { type About, about, checked, checkStatus, durationMs, severityOf } from '../about.ts'
import { Refused } from '../refusal.ts'
import { testRequest } from '../rule.ts'

export const correlationTypes = ['event_count', 'value_count', 'temporal', 'temporal_ordered'] as const
export type CorrelationType = (typeof correlationTypes)[number]

const RULES_MAX = 20
const GROUP_BY_MAX = 8
/** A window keeps its events until it holds (window.ts). */
const countMax = { event_count: 5_000, value_count: 1_000, temporal: 20, temporal_ordered: 20 } as const
const TIMESPAN_MS_MAX = 86_400_000

const offset = z
  .string()
  .regex(/^(0s|[1-9]\d{0,5}[smhd])$/, 'a time like 90s or 5m')
  .default('0s')

const step = z.strictObject({
  /** Which log it is from, and thereby through which parse stage it goes. */
  log: z.enum(['waf', 'guardduty', 'falco']).default('waf'),
  /** When, after the first moment: `90s`. */
  at: offset,
  /** So many such events, one each `every`; `{n}` in request and record stands for the number of each. */
  times: z.int().min(1).max(20_000).default(1),
  every: offset,
  /** What the stage geoip would add. */
  asn: z.int().min(0).optional(),
  request: testRequest.default({}),
  record: z.record(z.string(), z.unknown()).default({}),
})

const correlationTest = z.strictObject({
  name: z.string().min(1),
  alerts: z.int().min(0),
  events: z.array(step).min(1).max(1_000),
})
export type CorrelationTest = z.output<typeof correlationTest>

const texts = z.union([z.string(), z.array(z.string())]).transform(value => [value].flat())

const document = z.object({
  ...about,
  generate: z.boolean().optional(),
  correlation: z.object({
    type: z.string(),
    rules: texts.pipe(z.array(z.string().min(1)).min(1)),
    'group-by': texts.default([]),
    timespan: z.string(),
    condition: z.unknown().optional(),
    aliases: z.record(z.string(), z.record(z.string(), z.string())).default({}),
    generate: z.boolean().optional(),
  }),
  tests: z.array(correlationTest).default([]),
})

/** A correlation as it stands in its document; what it names is looked up in resolve.ts. */
export interface Correlation extends About {
  readonly type: CorrelationType
  /** Names or ids, in their order. */
  readonly rules: readonly string[]
  readonly groupBy: readonly string[]
  readonly timespanMs: number
  /** Events, values or rules that complete it. */
  readonly atLeast: number
  /** value_count: of which field values are counted. */
  readonly valueField: string | undefined
  /** Field by rule, by alias. */
  readonly aliases: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Whether its rules alert by themselves, too. */
  readonly generate: boolean
  readonly tests: readonly CorrelationTest[]
}

export function isCorrelation(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, 'correlation')
}

/** Reads one YAML document (Sigma correlation rules specification 2.0). Throws Refused. */
export function parseCorrelation(file: string, value: unknown): Correlation {
  const { correlation, generate, ...rest } = checked(document, value)
  checkStatus(rest.status)
  const type = correlationTypes.find(each => each === correlation.type)
  if (!type) refuse('correlation', `of the types there are ${correlationTypes.join(', ')}`, 'type')
  const { rules, aliases } = correlation
  if (rules.length > RULES_MAX) refuse('bounds', `a correlation has at most ${RULES_MAX} rules`, 'rules')
  if (new Set(rules).size < rules.length) refuse('invalid', 'a rule stands twice', 'rules')
  const groupBy = correlation['group-by']
  if (groupBy.length > GROUP_BY_MAX) refuse('bounds', `a group has at most ${GROUP_BY_MAX} fields`, 'group-by')
  const timespanMs = durationMs(correlation.timespan)
  if (timespanMs === undefined) refuse('invalid', `${correlation.timespan} is no time like 90s or 5m`, 'timespan')
  if (timespanMs > TIMESPAN_MS_MAX) refuse('bounds', 'a time span is at most 1d', 'timespan')
  const { atLeast, field } = conditionOf(type, correlation.condition, rules.length)
  return {
    ...rest,
    file,
    severity: severityOf(rest.level),
    type,
    rules,
    groupBy,
    timespanMs,
    atLeast,
    valueField: field,
    aliases,
    generate: correlation.generate ?? generate ?? false,
  }
}

interface Condition {
  readonly atLeast: number
  readonly field: string | undefined
}

function conditionOf(type: CorrelationType, given: unknown, rules: number): Condition {
  const temporal = type === 'temporal' || type === 'temporal_ordered'
  if (given === undefined && temporal) return { atLeast: rules, field: undefined }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    refuse('correlation', 'a condition is a map like { gte: 10 }', 'condition')
  const { field, ...operators } = given as Record<string, unknown>
  if (type === 'value_count' ? typeof field !== 'string' : field !== undefined)
    refuse('invalid', 'value_count, and it alone, needs the one field whose values it counts', 'condition')
  const atLeast = thresholdOf(operators, countMax[type])
  if (temporal && atLeast > rules) refuse('invalid', `there are only ${rules} rules`, 'condition')
  if (type === 'temporal_ordered' && atLeast < rules)
    refuse('correlation', 'in order, all rules must have matched', 'condition')
  return { atLeast, field: typeof field === 'string' ? field : undefined }
}

/** Only what more events cannot undo: an alert is given on the event that completes a pattern. */
function thresholdOf(operators: Readonly<Record<string, unknown>>, most: number): number {
  const entries = Object.entries(operators)
  if (entries.length === 0) refuse('invalid', 'there is no count to compare with', 'condition')
  const counts = entries.map(([operator, operand]) => {
    if (['lt', 'lte', 'eq', 'neq'].includes(operator))
      refuse('window', `${operator} can still change until the time span is over`, 'condition')
    if (operator !== 'gt' && operator !== 'gte') refuse('invalid', `there is no operator ${operator}`, 'condition')
    if (!Number.isSafeInteger(operand)) refuse('invalid', `${operator} compares with a whole number`, 'condition')
    return Number(operand) + (operator === 'gt' ? 1 : 0)
  })
  const atLeast = Math.max(...counts)
  if (atLeast < 1) refuse('invalid', 'a count of nothing always holds', 'condition')
  if (atLeast > most) refuse('bounds', `a correlation of this type counts up to ${most}`, 'condition')
  return atLeast
}

function refuse(reason: ConstructorParameters<typeof Refused>[0], message: string, key: string): never {
  throw new Refused(reason, message, ['correlation', key])
}
