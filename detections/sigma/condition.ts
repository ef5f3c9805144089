import { allOf, anyOf, type Formula, not } from './formula.ts'
import { Refused } from './refusal.ts'

/** The selections of a rule by name, each made on demand: one that nobody asks for is never looked at. */
export interface Selections {
  readonly names: readonly string[]
  formula(name: string): Formula
}

const TOKENS_MAX = 500
const DEPTH_MAX = 32
const TOKEN = /\s*(?:([()|])|([\w*?.-]+))/y

/** Reads a condition: names, and, or, not, parentheses, `1 of` or `all of` a pattern or `them`. */
export function parseCondition(text: string, selections: Selections): Formula {
  const parser = new ConditionParser(tokensOf(text), selections)
  const formula = parser.either(0)
  parser.end()
  return formula
}

function tokensOf(text: string): string[] {
  const tokens: string[] = []
  const source = text.trimEnd()
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < source.length) {
    const at = TOKEN.lastIndex
    const token = TOKEN.exec(source)
    if (!token) throw new Refused('invalid', `nothing a condition knows at "${source.slice(at, at + 20).trim()}"`)
    if (token[1] === '|') throw new Refused('condition', '"|" counts or aggregates: write a correlation instead')
    tokens.push(token[1] ?? token[2]!)
    if (tokens.length > TOKENS_MAX) throw new Refused('bounds', `a condition has at most ${TOKENS_MAX} words`)
  }
  return tokens
}

class ConditionParser {
  readonly #tokens: readonly string[]
  readonly #selections: Selections
  #at = 0

  constructor(tokens: readonly string[], selections: Selections) {
    this.#tokens = tokens
    this.#selections = selections
  }

  /** `a or b`; `and` binds closer. */
  either(depth: number): Formula {
    const parts = [this.#both(depth)]
    while (this.#take('or')) parts.push(this.#both(depth))
    return anyOf(parts)
  }

  end(): void {
    const rest = this.#tokens[this.#at]
    if (rest?.toLowerCase() === 'near') throw new Refused('condition', '"near": write a correlation instead')
    if (rest !== undefined) throw new Refused('invalid', `"${rest}" has no place there`)
  }

  #both(depth: number): Formula {
    const parts = [this.#negated(depth)]
    while (this.#take('and')) parts.push(this.#negated(depth))
    return allOf(parts)
  }

  #negated(depth: number): Formula {
    if (depth > DEPTH_MAX) throw new Refused('bounds', `a condition is nested at most ${DEPTH_MAX} deep`)
    if (this.#take('not')) return not(this.#negated(depth + 1))
    if (!this.#take('(')) return this.#named()
    const inner = this.either(depth + 1)
    if (!this.#take(')')) throw new Refused('invalid', 'a parenthesis is not closed')
    return inner
  }

  #named(): Formula {
    const word = this.#tokens[this.#at++]
    if (word === undefined) throw new Refused('invalid', 'the condition ends where a selection should stand')
    if (this.#take('of')) return this.#several(word)
    if (this.#selections.names.includes(word)) return this.#selections.formula(word)
    throw new Refused('invalid', `there is no selection "${word}"; there are: ${this.#selections.names.join(', ')}`)
  }

  #several(quantity: string): Formula {
    const target = this.#tokens[this.#at++]
    if (target === undefined) throw new Refused('invalid', `"${quantity} of" what?`)
    const names = this.#matching(target)
    if (names.length === 0) throw new Refused('invalid', `"${target}" is the name of no selection`)
    const formulas = names.map(name => this.#selections.formula(name))
    if (quantity === 'all') return allOf(formulas)
    if (quantity === '1' || quantity === 'any') return anyOf(formulas)
    throw new Refused('condition', `"${quantity} of": Sigma has "1 of", "any of" and "all of"`)
  }

  /** Names that begin with an underscore are only meant when they are named. */
  #matching(target: string): string[] {
    if (target === 'them') return this.#selections.names.filter(name => !name.startsWith('_'))
    const parts = target.split('*').map(part => part.replace(/[.?-]/g, '\\$&'))
    const pattern = new RegExp(`^${parts.join('[^]*?')}$`)
    if (parts.length > 4) throw new Refused('bounds', `"${target}" has too many stars`)
    return this.#selections.names.filter(name => pattern.test(name))
  }

  #take(word: string): boolean {
    if (this.#tokens[this.#at]?.toLowerCase() !== word) return false
    this.#at++
    return true
  }
}
