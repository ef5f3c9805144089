import { formatAddress } from '../../platform/address.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import type { Formula, NumberOperator, Place, Test } from './formula.ts'
import { ANY, type Glob } from './glob.ts'
import { Matcher } from './matcher.ts'
import type { Rule } from './rule.ts'

/** What a rule makes of an event, in words. */
export interface Explanation {
  readonly rule: Rule
  readonly matched: boolean
  /** Of what it asks, what holds. */
  readonly held: readonly string[]
  /** Of what it asks, what does not hold. */
  readonly missing: readonly string[]
  /** One condition alone keeps it from matching, and another holds that few requests fulfil. */
  readonly near: boolean
}

/** Of a list of alternatives, so many are named. */
const NAMED_MAX = 3
const TEXT_CHARS_MAX = 80

/** Every rule that matches, and every one that only one of its conditions keeps from it; the others say nothing about the event. */
export function explainRules(rules: readonly Rule[], body: OcsfEvent): readonly Explanation[] {
  return rules.map(rule => explainRule(rule, body)).filter(each => each.matched || each.near)
}

/** Asks the matcher itself for each part, so that what is said is what runs. For people: it takes a matcher a part. */
export function explainRule(rule: Rule, body: OcsfEvent): Explanation {
  const holds = (formula: Formula): boolean => new Matcher([{ ...rule, formula }]).match(body).length > 0
  const parts = rule.formula.is === 'all' ? rule.formula.of : [rule.formula]
  const held = parts.filter(holds)
  const missing = parts.filter(part => !held.includes(part))
  return {
    rule,
    matched: missing.length === 0,
    held: held.map(part => inWords(part, holds)),
    missing: missing.map(part => inWords(part)),
    near: missing.length === 1 && held.some(isTelling),
  }
}

/** Not what nearly every request fulfils: a method, something that is absent, or is there at all. */
function isTelling(formula: Formula): boolean {
  if (formula.is === 'all') return formula.of.some(isTelling)
  if (formula.is === 'any') return formula.of.every(isTelling)
  return formula.is === 'test' && formula.field.clue === 'good' && formula.test.by !== 'exists'
}

/** `holds`: name the alternatives that hold, and no others. */
function inWords(formula: Formula, holds?: (formula: Formula) => boolean): string {
  switch (formula.is) {
    case 'test':
      return `${formula.field.name} ${testInWords(formula.test)}`
    case 'not':
      return `not (${inWords(formula.of)})`
    case 'all':
      return listed(formula.of, ' and ', holds)
    case 'any': {
      const alternatives = holds ? formula.of.filter(holds) : formula.of
      return listed(alternatives, ' or ', holds)
    }
    case 'constant':
      return formula.value ? 'anything' : 'nothing'
    case 'unknown':
      return `${formula.field}, which is not logged`
  }
}

function listed(parts: readonly Formula[], between: string, holds?: (formula: Formula) => boolean): string {
  const named = parts.slice(0, NAMED_MAX).map(part => {
    const words = inWords(part, holds)
    return parts.length > 1 && (part.is === 'all' || part.is === 'any') ? `(${words})` : words
  })
  const more = parts.length - named.length
  return more > 0 ? `${named.join(between)}${between}${more} more` : named.join(between)
}

function testInWords(test: Test): string {
  switch (test.by) {
    case 'glob':
      return globInWords(test.glob)
    case 'pattern':
      return `matches /${short(test.pattern.source)}/${test.pattern.flags}`
    case 'cidr':
      return `is in ${formatAddress(test.network.address)}/${test.network.prefixLength}`
    case 'number':
      return `is ${comparisons[test.operator]} ${test.operand}`
    case 'exists':
      return 'is there'
    case 'field':
      return `${places[test.place]} the value of ${test.other.name}`
  }
}

const comparisons: Readonly<Record<NumberOperator, string>> = {
  gt: 'more than',
  gte: 'at least',
  lt: 'less than',
  lte: 'at most',
}
const places: Readonly<Record<Place, string>> = {
  whole: 'is',
  start: 'begins with',
  end: 'ends with',
  inside: 'contains',
}

function globInWords(glob: Glob): string {
  const first = glob[0]
  const last = glob.at(-1)
  const inner = glob.slice(first === ANY ? 1 : 0, last === ANY && glob.length > 1 ? -1 : undefined)
  const text = short(inner.map(token => (typeof token === 'string' ? token : token === ANY ? '*' : '?')).join(''))
  const place: Place = first === ANY ? (last === ANY ? 'inside' : 'end') : last === ANY ? 'start' : 'whole'
  return `${places[place]} ${JSON.stringify(text)}`
}

function short(text: string): string {
  return text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX)}…` : text
}
