import { z } from 'zod'
import { cidrContains, parseAddress, parseCidr } from './address.ts'
import type { OcsfEvent } from './ocsf/event.ts'
import { type FieldPath, parsePath, someValue } from './ocsf/path.ts'
import { type Fields, httpActivity } from './ocsf/schema.ts'

/**
 * A question about an event, as it is written in a pipeline file: `all`, `any` or `not` of other conditions, or a `field` with
 * operators that must all hold for one value at it. Of a field that is a list, some item must answer. No regular expressions:
 * what a condition costs is bounded by the length of the value.
 */
export interface Condition {
  readonly all?: readonly Condition[] | undefined
  readonly any?: readonly Condition[] | undefined
  readonly not?: Condition | undefined
  /** Dotted path into the OCSF event. */
  readonly field?: string | undefined
  readonly equals?: Plain | undefined
  readonly in?: readonly Plain[] | undefined
  readonly prefix?: Texts | undefined
  readonly suffix?: Texts | undefined
  readonly contains?: Texts | undefined
  /** Whether there is a value at all. */
  readonly exists?: boolean | undefined
  readonly cidr?: Texts | undefined
  readonly gte?: number | undefined
  readonly lte?: number | undefined
  /** For equals, in, prefix, suffix and contains. */
  readonly ignoreCase?: boolean | undefined
}
type Plain = string | number | boolean
/** One or any of several. */
type Texts = string | readonly string[]

const DEPTH_MAX = 16
const forms = ['all', 'any', 'not', 'field'] as const
const textOperators = ['prefix', 'suffix', 'contains'] as const
const operators = ['equals', 'in', ...textOperators, 'exists', 'cidr', 'gte', 'lte'] as const

const plain = z.union([z.string(), z.number(), z.boolean()])
const texts = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)])

/** The schema of conditions about HTTP Activity events; also says what is wrong with fields and the types of their operands. */
export const conditionSchema: z.ZodType<Condition> = z.lazy(() =>
  z
    .strictObject({
      all: z.array(conditionSchema).min(1).optional(),
      any: z.array(conditionSchema).min(1).optional(),
      not: conditionSchema.optional(),
      field: z.string().optional(),
      equals: plain.optional(),
      in: z.array(plain).min(1).optional(),
      prefix: texts.optional(),
      suffix: texts.optional(),
      contains: texts.optional(),
      exists: z.boolean().optional(),
      cidr: texts.optional(),
      gte: z.number().optional(),
      lte: z.number().optional(),
      ignoreCase: z.boolean().optional(),
    })
    .superRefine((condition, context) => {
      for (const [message, ...path] of problems(condition, httpActivity))
        context.addIssue({ code: 'custom', message, path })
    }),
)

type Problem = readonly [message: string, ...path: string[]]

function problems(condition: Condition, schema: Fields): Problem[] {
  const used = forms.filter(form => condition[form] !== undefined)
  if (used.length !== 1) return [[`a condition has exactly one of ${forms.join(', ')}`]]
  if (depthOf(condition) > DEPTH_MAX) return [[`conditions are nested deeper than ${DEPTH_MAX}`]]
  const given = operators.filter(operator => condition[operator] !== undefined)
  if (condition.field === undefined) {
    const [stray] = [...given, ...(condition.ignoreCase === undefined ? [] : ['ignoreCase'])]
    return stray ? [[`${stray} needs a field beside it`, stray]] : []
  }
  const path = parsePath(condition.field, schema)
  if ('error' in path) return [[path.error, 'field']]
  if (given.length === 0) return [[`say what about ${path.text}: ${operators.join(', ')}`, 'field']]
  if (condition.exists !== undefined && given.length > 1) return [['exists stands alone', 'exists']]
  return given.flatMap(operator => operandProblems(condition, operator, path))
}

function depthOf(condition: Condition): number {
  const inner = [...(condition.all ?? []), ...(condition.any ?? []), ...(condition.not ? [condition.not] : [])]
  return 1 + Math.max(0, ...inner.map(depthOf))
}

function operandProblems(condition: Condition, operator: (typeof operators)[number], path: FieldPath): Problem[] {
  if (operator === 'exists') return []
  const type = typeOf(path)
  if (type === 'object') return [[`${path.text} is an object: only exists fits`, operator]]
  const operands: readonly Plain[] = [condition[operator] ?? []].flat()
  if (operator === 'cidr') {
    if (path.scalar !== 'ip' && type !== 'any' && type !== 'string')
      return [[`${path.text} is not an address`, operator]]
    return operands
      .filter(text => !parseCidr(String(text)))
      .map(text => [`${text} is not a network like 10.0.0.0/8`, operator])
  }
  const wanted =
    operator === 'equals' || operator === 'in' ? type : operator === 'gte' || operator === 'lte' ? 'number' : 'string'
  if (type !== 'any' && type !== wanted) return [[`${path.text} is a ${type}: ${operator} does not fit`, operator]]
  const wrong = wanted === 'any' ? undefined : operands.find(operand => typeof operand !== wanted)
  return wrong === undefined ? [] : [[`${path.text} is a ${type}, and ${JSON.stringify(wrong)} is not`, operator]]
}

function typeOf(path: FieldPath): 'string' | 'number' | 'boolean' | 'object' | 'any' {
  switch (path.scalar) {
    case 'keyword':
    case 'text':
    case 'ip':
      return 'string'
    case 'integer':
    case 'long':
    case 'double':
    case 'time_ms':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'geo_point':
      return 'object'
    case 'json':
    case 'any':
      return 'any'
  }
}

export type Test = (body: OcsfEvent) => boolean

/** `condition` has passed `conditionSchema`. */
export function compileCondition(condition: Condition): Test {
  const { all, any, not, field } = condition
  if (all) {
    const tests = all.map(compileCondition)
    return body => tests.every(test => test(body))
  }
  if (any) {
    const tests = any.map(compileCondition)
    return body => tests.some(test => test(body))
  }
  if (not) {
    const test = compileCondition(not)
    return body => !test(body)
  }
  const segments = (field ?? '').split('.')
  if (condition.exists !== undefined) {
    const wanted = condition.exists
    return body => someValue(body, segments, () => true) === wanted
  }
  const checks = valueChecks(condition)
  const holds = (value: unknown) => checks.every(check => check(value))
  return body => someValue(body, segments, holds)
}

type Check = (value: unknown) => boolean

function valueChecks(condition: Condition): Check[] {
  const fold = condition.ignoreCase === true ? <T>(value: T) => lowered(value) : <T>(value: T) => value
  const list = (operand: Texts | undefined) => (operand === undefined ? undefined : [operand].flat().map(fold))
  const { equals, gte, lte } = condition
  const known = condition.in && new Set<unknown>(condition.in.map(fold))
  const text = (operands: string[] | undefined, test: (value: string, operand: string) => boolean): Check[] => {
    if (!operands) return []
    return [value => typeof value === 'string' && operands.some(operand => test(fold(value), operand))]
  }
  const networks = list(condition.cidr)?.map(network => parseCidr(network)!)
  return [
    ...(equals === undefined ? [] : [(value: unknown) => fold(value) === fold(equals)]),
    ...(known ? [(value: unknown) => known.has(fold(value))] : []),
    ...text(list(condition.prefix), (value, operand) => value.startsWith(operand)),
    ...text(list(condition.suffix), (value, operand) => value.endsWith(operand)),
    ...text(list(condition.contains), (value, operand) => value.includes(operand)),
    ...(gte === undefined ? [] : [(value: unknown) => typeof value === 'number' && value >= gte]),
    ...(lte === undefined ? [] : [(value: unknown) => typeof value === 'number' && value <= lte]),
    ...(networks ? [addressCheck(value => networks.some(network => cidrContains(network, value)))] : []),
  ]
}

function addressCheck(test: (address: NonNullable<ReturnType<typeof parseAddress>>) => boolean): Check {
  return value => {
    const address = typeof value === 'string' ? parseAddress(value) : undefined
    return address !== undefined && test(address)
  }
}

function lowered<T>(value: T): T {
  return typeof value === 'string' ? (value.toLowerCase() as T & string) : value
}
