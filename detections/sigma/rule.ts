import { z } from 'zod'
import type { LogKind, Severity } from '../../engine/contract.ts'
import { about, checked, checkStatus, severityOf } from './about.ts'
import { parseCondition } from './condition.ts'
import { anyOf, certain, type Formula, unknowns } from './formula.ts'
import { logOf } from './logsource.ts'
import type { Placeholders } from './placeholders.ts'
import { Refused } from './refusal.ts'
import { SelectionReader } from './selection.ts'

/** A request of a rule's own test, in short: what is left out is that of a plain browser. */
export const testRequest = z.strictObject({
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
  /**
   * Web requests: fields of the WAF record that take the place of those of a request that was let through: action, labels, …
   * GuardDuty and Falco: the record, whole.
   */
  record: z.record(z.string(), z.unknown()).default({}),
})
export type RuleTest = z.output<typeof ruleTest>

const metadata = z.object({
  ...about,
  logsource: z.object({
    category: z.string().optional(),
    product: z.string().optional(),
    service: z.string().optional(),
  }),
  detection: z.record(z.string(), z.unknown()),
  tests: z.array(ruleTest).default([]),
})

type Metadata = Omit<z.output<typeof metadata>, 'detection'>
export interface Rule extends Metadata {
  readonly file: string
  /** What it is about. */
  readonly log: LogKind
  readonly severity: Severity
  /** Fields it names and WAF never logs; the formula decides without them. */
  readonly without: readonly string[]
  readonly formula: Formula
}

/** Reads one YAML document. Throws Refused. */
export function parseRule(file: string, value: unknown, placeholders?: Placeholders): Rule {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refused('invalid', 'a rule is a map with title, id, logsource and detection')
  for (const key of ['filter', 'action'])
    if (Object.hasOwn(value, key)) throw new Refused('document', `it is a ${key}, not a rule`, [key])
  const { detection, ...rest } = checked(metadata, value)
  checkStatus(rest.status)
  const log = logOf(rest.logsource)
  if (!log) throw new Refused('logsource', otherLog(rest.logsource), ['logsource'])
  const formula = detectionFormula(detection, log, placeholders)
  const sure = certain(formula)
  const without = unknowns(formula)
  if (sure.is === 'constant') {
    const message = sure.value
      ? 'it matches every event'
      : `it cannot decide without ${without.join(', ') || 'a selection'}`
    throw new Refused(without.length > 0 ? 'absent' : 'invalid', message, ['detection'])
  }
  return { ...rest, file, log, severity: severityOf(rest.level), without, formula: sure }
}

function otherLog({ category, product, service }: Metadata['logsource']): string {
  const said = [category, product, service].filter(each => each !== undefined).join(', ')
  return `it is about ${said || 'no log'}, not category webserver, product aws with service waf or guardduty, or product falco`
}

function detectionFormula(
  detection: Readonly<Record<string, unknown>>,
  log: LogKind,
  placeholders: Placeholders | undefined,
): Formula {
  const { condition, timeframe, ...selections } = detection
  if (timeframe !== undefined)
    throw new Refused('condition', 'timeframe: write a correlation instead', ['detection', 'timeframe'])
  const reader = new SelectionReader(log, placeholders)
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
