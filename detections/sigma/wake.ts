import type { Clue } from './field.ts'
import type { FieldLiteral } from './literals.ts'
import type { View } from './view.ts'

/** A formula whose tests are numbered, each with the literal that must be there for it to hold. */
export type Guarded =
  | { readonly is: 'all' | 'any'; readonly of: readonly Guarded[] }
  | { readonly is: 'not'; readonly of: Guarded }
  | {
      readonly is: 'test'
      /** Number of its field. */
      readonly at: number
      readonly clue: Clue
      readonly literal: FieldLiteral | undefined
      /** The literal in its place says all: nothing is left to check. */
      readonly exact: boolean
      readonly check: (view: View) => boolean
    }

interface Cover {
  readonly literals: readonly FieldLiteral[]
  /** An estimate of how often it wakes the rule for nothing: smaller is better. */
  readonly weight: number
}

const weights: Readonly<Record<Clue, number>> = { good: 0, poor: 100 }

/**
 * Literals of which at least one stands in every event for which the formula holds, so chosen that they are rare; undefined when there are none, and the rule must look at every event.
 */
export function coverOf(guarded: Guarded): readonly FieldLiteral[] | undefined {
  return cover(guarded)?.literals
}

function cover(guarded: Guarded): Cover | undefined {
  switch (guarded.is) {
    case 'not':
      return undefined
    case 'test': {
      const { literal, clue } = guarded
      return literal && { literals: [literal], weight: weights[clue] + 0.5 ** literal.text.length }
    }
    case 'all':
      return guarded.of
        .map(cover)
        .filter(each => each !== undefined)
        .reduce<Cover | undefined>((best, each) => (best && best.weight <= each.weight ? best : each), undefined)
    case 'any': {
      const covers = guarded.of.map(cover)
      if (covers.some(each => each === undefined)) return undefined
      const present = covers.filter(each => each !== undefined)
      return {
        literals: present.flatMap(({ literals }) => literals),
        weight: present.reduce((sum, { weight }) => sum + weight, 0),
      }
    }
  }
}
