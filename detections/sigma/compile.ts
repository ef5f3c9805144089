import { cidrContains, parseAddress } from '../../platform/address.ts'
import type { Field } from './field.ts'
import { fold } from './fold.ts'
import type { Formula, NumberOperator, Place, Test } from './formula.ts'
import { ANY, type Glob, matchesGlob } from './glob.ts'
import type { FieldLiteral } from './literals.ts'
import type { Rule } from './rule.ts'
import type { View } from './view.ts'
import { coverOf, type Guarded } from './wake.ts'

/** Rules as the matcher runs them: fields, literals and rules by number. */
export interface Compiled {
  readonly fields: readonly Field[]
  readonly literals: readonly FieldLiteral[]
  readonly rules: readonly { readonly rule: Rule; readonly holds: Holds }[]
  /** By literal: the rules it wakes. */
  readonly wakes: readonly (readonly number[])[]
  /** Fields with a literal that wakes a rule. */
  readonly waking: readonly number[]
  /** Rules that no literal can wake. */
  readonly always: readonly number[]
}

type Holds = (view: View) => boolean

export function compile(rules: readonly Rule[]): Compiled {
  const tables = new Tables()
  const compiled = rules.map(rule => {
    const guarded = tables.guarded(rule.formula)
    return { rule, holds: holdsOf(guarded), cover: coverOf(guarded) }
  })
  const wakes: number[][] = tables.literals.map(() => [])
  for (const [at, { cover }] of compiled.entries()) for (const { id } of cover ?? []) wakes[id]!.push(at)
  const wakers = tables.literals.filter(({ id }) => wakes[id]!.length > 0)
  return {
    fields: tables.fields,
    literals: tables.literals,
    rules: compiled,
    wakes,
    waking: [...new Set(wakers.map(({ field }) => field))],
    always: [...compiled.keys()].filter(at => compiled[at]!.cover === undefined),
  }
}

/** Gives fields and literals their numbers; equal ones have one. */
class Tables {
  readonly fields: Field[] = []
  readonly literals: FieldLiteral[] = []
  readonly #byText = new Map<string, FieldLiteral>()

  /** The formula with, beside each test, its field's number and the literal without which it cannot hold. */
  guarded(formula: Formula): Guarded {
    switch (formula.is) {
      case 'all':
      case 'any':
        return { is: formula.is, of: formula.of.map(each => this.guarded(each)) }
      case 'not':
        return { is: 'not', of: this.guarded(formula.of) }
      case 'constant':
        return { is: formula.value ? 'all' : 'any', of: [] }
      case 'unknown':
        // `certain` left none; unsaid, it is false.
        return { is: 'any', of: [] }
      case 'test':
        return this.#test(formula.field, formula.test)
    }
  }

  #test(field: Field, test: Test): Guarded {
    const at = this.#numberOf(field)
    const other = test.by === 'field' ? this.#numberOf(test.other) : at
    const piece = test.by === 'glob' ? longest(test.glob) : undefined
    const literal = piece && this.#literal(at, fold(piece.text), piece.place)
    const exact = literal !== undefined && test.by === 'glob' && piece?.whole === true && !test.cased
    return { is: 'test', at, clue: field.clue, literal, exact, check: checkOf(test, at, other) }
  }

  #numberOf(field: Field): number {
    if (field.base) this.#numberOf(field.base)
    const known = this.fields.indexOf(field)
    return known >= 0 ? known : this.fields.push(field) - 1
  }

  #literal(field: number, text: string, place: Place): FieldLiteral {
    const key = `${field} ${place} ${text}`
    const known = this.#byText.get(key)
    if (known) return known
    const made = { id: this.literals.length, field, text, place }
    this.literals.push(made)
    this.#byText.set(key, made)
    return made
  }
}

interface Piece {
  readonly text: string
  readonly place: Place
  /** It says all that the glob says. */
  readonly whole: boolean
}

/** The longest literal of a glob, and where in a value it must stand. */
function longest(glob: Glob): Piece | undefined {
  let best = -1
  for (const [at, token] of glob.entries()) {
    if (typeof token === 'string' && (best < 0 || token.length > String(glob[best]).length)) best = at
  }
  const text = glob[best]
  if (typeof text !== 'string') return undefined
  const first = best === 0
  const last = best === glob.length - 1
  const place = first ? (last ? 'whole' : 'start') : last ? 'end' : 'inside'
  const around = glob.filter((_, at) => at !== best)
  return { text, place, whole: around.every(token => token === ANY) }
}

function holdsOf(guarded: Guarded): Holds {
  switch (guarded.is) {
    case 'all': {
      const parts = guarded.of.map(holdsOf)
      return view => parts.every(holds => holds(view))
    }
    case 'any': {
      const parts = guarded.of.map(holdsOf)
      return view => parts.some(holds => holds(view))
    }
    case 'not': {
      const holds = holdsOf(guarded.of)
      return view => !holds(view)
    }
    case 'test': {
      const { at, literal, exact, check } = guarded
      if (!literal) return check
      const { id } = literal
      return exact ? view => view.has(at, id) : view => view.has(at, id) && check(view)
    }
  }
}

function checkOf(test: Test, at: number, other: number): Holds {
  switch (test.by) {
    case 'exists':
      return view => view.values(at).length > 0
    case 'glob': {
      if (test.cased) return view => view.values(at).some(value => matchesGlob(test.glob, value))
      const glob = test.glob.map(token => (typeof token === 'string' ? fold(token) : token))
      return view => view.folded(at).some(value => matchesGlob(glob, value))
    }
    case 'pattern':
      return view => view.values(at).some(value => test.pattern.finds(value))
    case 'cidr':
      return view =>
        view.values(at).some(value => {
          const address = parseAddress(value)
          return address !== undefined && cidrContains(test.network, address)
        })
    case 'number':
      return view =>
        view.values(at).some(value => NUMBER.test(value) && compares(Number(value), test.operator, test.operand))
    case 'field': {
      const texts = (view: View, field: number) => (test.cased ? view.values(field) : view.folded(field))
      return view =>
        texts(view, at).some(value => texts(view, other).some(operand => stands(operand, value, test.place)))
    }
  }
}

const NUMBER = /^-?\d{1,20}(?:\.\d{1,20})?$/

function compares(value: number, operator: NumberOperator, operand: number): boolean {
  switch (operator) {
    case 'gt':
      return value > operand
    case 'gte':
      return value >= operand
    case 'lt':
      return value < operand
    case 'lte':
      return value <= operand
  }
}

function stands(operand: string, value: string, place: Place): boolean {
  switch (place) {
    case 'whole':
      return value === operand
    case 'start':
      return value.startsWith(operand)
    case 'end':
      return value.endsWith(operand)
    case 'inside':
      return value.includes(operand)
  }
}
