import type { Cidr } from '../../platform/address.ts'
import type { Field } from './field.ts'
import type { Glob } from './glob.ts'
import type { Pattern } from './pattern.ts'

/** What a rule asks of an event, with every selection, list and modifier of its YAML resolved. */
export type Formula =
  | { readonly is: 'all' | 'any'; readonly of: readonly Formula[] }
  | { readonly is: 'not'; readonly of: Formula }
  | { readonly is: 'constant'; readonly value: boolean }
  /** About a field that WAF never logs: neither true nor false can be said. */
  | { readonly is: 'unknown'; readonly field: string }
  | { readonly is: 'test'; readonly field: Field; readonly test: Test }

/** Holds if it holds for some value of the field (a header that is sent twice, a path and what it says decoded). */
export type Test =
  | { readonly by: 'glob'; readonly glob: Glob; readonly cased: boolean }
  | { readonly by: 'pattern'; readonly pattern: Pattern }
  | { readonly by: 'cidr'; readonly network: Cidr }
  | { readonly by: 'number'; readonly operator: NumberOperator; readonly operand: number }
  /** There is a value at all, if it may be empty. */
  | { readonly by: 'exists' }
  /** Compared with the values of another field of the same event. */
  | { readonly by: 'field'; readonly other: Field; readonly place: Place; readonly cased: boolean }
export type NumberOperator = 'gt' | 'gte' | 'lt' | 'lte'
export type Place = 'whole' | 'start' | 'end' | 'inside'

const FALSE: Formula = { is: 'constant', value: false }
const TRUE: Formula = { is: 'constant', value: true }

export function allOf(of: readonly Formula[]): Formula {
  return join('all', of)
}

export function anyOf(of: readonly Formula[]): Formula {
  return join('any', of)
}

function join(is: 'all' | 'any', given: readonly Formula[]): Formula {
  const deciding = is === 'any'
  const of = given.flatMap(each => (each.is === is ? each.of : [each]))
  if (of.some(each => each.is === 'constant' && each.value === deciding)) return deciding ? TRUE : FALSE
  const open = of.filter(each => each.is !== 'constant')
  if (open.length === 0) return deciding ? FALSE : TRUE
  return open.length === 1 ? open[0]! : { is, of: open }
}

export function not(of: Formula): Formula {
  if (of.is === 'constant') return of.value ? FALSE : TRUE
  return of.is === 'not' ? of.of : { is: 'not', of }
}

/**
 * The part of a formula that is certain whatever the unknown fields hold: an alert may be missed, never made up. A constant false
 * is left of a formula that can never be sure.
 */
export function certain(formula: Formula, wanted = true): Formula {
  switch (formula.is) {
    case 'unknown':
      return wanted ? FALSE : TRUE
    case 'not':
      return not(certain(formula.of, !wanted))
    case 'all':
      return allOf(formula.of.map(each => certain(each, wanted)))
    case 'any':
      return anyOf(formula.of.map(each => certain(each, wanted)))
    case 'constant':
    case 'test':
      return formula
  }
}

/** Names of the unknown fields in a formula. */
export function unknowns(formula: Formula): string[] {
  if (formula.is === 'unknown') return [formula.field]
  if (formula.is === 'not') return unknowns(formula.of)
  if (formula.is !== 'all' && formula.is !== 'any') return []
  return [...new Set(formula.of.flatMap(unknowns))]
}
