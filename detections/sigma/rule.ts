import { z } from 'zod'
import type { Severity } from '../../engine/contract.ts'
import { parseCondition } from './condition.ts'
import { anyOf, certain, type Formula, unknowns } from './formula.ts'
import { Refused } from './refusal.ts'
import { SelectionReader } from './selection.ts'

const texts = z.union([z.string(), z.array(z.string())]).transform(value => [value].flat())

/** A request of a rule's own test, in short: what is left out is that of a plain browser. */
const testRequest = z.strictObject({
  method: z.string().optional(),
  uri: z.string().optional(),
  args: z.string().optional(),
  client: z.string().optional(),
  headers: z.record(z.string(), z.string()).optional(),
})

const ruleTest = z.strictObject({
  name: z.string().min(1),
  match: z.boolean(),
  request: testRequest.default({}),
  /** Fields of the WAF record that take the place of those of a request that was let through: action, labels, … */
  record: z.record(z.string(), z.unknown()).default({}),
})
export type RuleTest = z.output<typeof ruleTest>

/** What a rule says about itself. The specification allows keys of one's own: `haetae` and `tests` are ours. */
const metadata = z.object({
  title: z.string().min(1).max(256),
  id: z.uuid(),
  status: z.enum(['stable', 'test', 'experimental', 'deprecated', 'unsupported']).optional(),
  level: z.enum(['informational', 'low', 'medium', 'high', 'critical']).default('medium'),
  description: z.string().default(''),
  author: z.string().default(''),
  references: texts.default([]),
  tags: z.array(z.string()).default([]),
  falsepositives: texts.default([]),
  logsource: z.object({
    category: z.string().optional(),
    product: z.string().optional(),
    service: z.string().optional(),
  }),
  detection: z.record(z.string(), z.unknown()),
  haetae: z
    .strictObject({
      /** What an analyst does when the rule fired. */
      runbook: z.string().optional(),
      /** Whether requests that our own block stopped count, too. */
      blocked: z.boolean().default(false),
    })
    .default({ blocked: false }),
  tests: z.array(ruleTest).default([]),
})

type Metadata = Omit<z.output<typeof metadata>, 'detection'>
export interface Rule extends Metadata {
  readonly file: string
  readonly severity: Severity
  /** Fields it names and WAF never logs; the formula decides without them. */
  readonly without: readonly string[]
  readonly formula: Formula
}

/** Reads one YAML document. Throws Refused. */
export function parseRule(file: string, value: unknown): Rule {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refused('invalid', 'a rule is a map with title, id, logsource and detection')
  for (const key of ['correlation', 'filter', 'action'])
    if (Object.hasOwn(value, key)) throw new Refused('document', `it is a ${key}, not a rule for single events`, [key])
  const parsed = metadata.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    throw new Refused('invalid', `${issue.path.join('.')}: ${issue.message}`, issue.path)
  }
  const { detection, ...rest } = parsed.data
  if (rest.status === 'unsupported' || rest.status === 'deprecated')
    throw new Refused('document', `its author says that it is ${rest.status}`, ['status'])
  checkLogsource(rest.logsource)
  const formula = detectionFormula(detection)
  const sure = certain(formula)
  const without = unknowns(formula)
  if (sure.is === 'constant') {
    const message = sure.value
      ? 'it matches every event'
      : `it cannot decide without ${without.join(', ') || 'a selection'}`
    throw new Refused(without.length > 0 ? 'absent' : 'invalid', message, ['detection'])
  }
  const severity = rest.level === 'informational' ? 'info' : rest.level
  return { ...rest, file, severity, without, formula: sure }
}

/** Web requests: Sigma's category webserver, or the product itself. */
function checkLogsource({ category, product, service }: Metadata['logsource']): void {
  const isWeb = category === 'webserver' && product === undefined && service === undefined
  const isWaf = category === undefined && product === 'aws' && service === 'waf'
  if (isWeb || isWaf) return
  const said = [category, product, service].filter(each => each !== undefined).join(', ')
  throw new Refused(
    'logsource',
    `it is about ${said || 'no log'}, not category webserver or product aws, service waf`,
    ['logsource'],
  )
}

function detectionFormula(detection: Readonly<Record<string, unknown>>): Formula {
  const { condition, timeframe, ...selections } = detection
  if (timeframe !== undefined)
    throw new Refused('condition', 'timeframe: write a correlation instead', ['detection', 'timeframe'])
  const reader = new SelectionReader()
  const made = new Map<string, Formula>()
  const named = {
    names: Object.keys(selections),
    formula(name: string): Formula {
      const formula = made.get(name) ?? reader.read(selections[name], ['detection', name])
      made.set(name, formula)
      return formula
    },
  }
  const conditions: unknown[] = Array.isArray(condition) ? condition : [condition]
  const path = ['detection', 'condition']
  return anyOf(
    conditions.map(text => {
      if (typeof text !== 'string') throw new Refused('invalid', 'detection.condition is a text', path)
      try {
        return parseCondition(text, named)
      } catch (thrown) {
        throw thrown instanceof Refused && thrown.path.length === 0
          ? new Refused(thrown.reason, thrown.message, path)
          : thrown
      }
    }),
  )
}
