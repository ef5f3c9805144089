import { Refused } from '../refusal.ts'
import type { Rule } from '../rule.ts'
import { type ActorType, type GroupField, groupField } from './group.ts'
import type { Correlation } from './read.ts'

/** One of the rules that a correlation counts, with the fields by which its events are grouped. */
export interface Base {
  readonly rule: Rule
  /** One for each name in `groupBy`. */
  readonly group: readonly GroupField[]
  /** value_count: whose values are counted. */
  readonly value: GroupField | undefined
}

/** A correlation that runs. */
export interface RunningCorrelation extends Correlation {
  readonly bases: readonly Base[]
  /** Every event of a group is in one partition: it is counted where it is read, and not by way of the topic `matches`. */
  readonly inPlace: boolean
  /** Of each name in `groupBy`: what a group with its value is about. */
  readonly actors: readonly ActorType[]
}

/** Finds what a correlation names among the rules that run. Throws Refused. */
export function resolveCorrelation(
  correlation: Correlation,
  rules: readonly Rule[],
  others: readonly Correlation[],
): RunningCorrelation {
  const bases = correlation.rules.map((reference): Base => {
    const rule = rules.find(each => isCalled(each, reference))
    if (rule) return baseOf(correlation, rule, reference)
    if (others.some(each => isCalled(each, reference)))
      throw new Refused('correlation', `${reference} is a correlation itself: only rules are correlated`, PATH)
    throw new Refused('reference', `there is no rule ${reference}, or it does not run`, PATH)
  })
  if (new Set(bases.map(({ rule }) => rule.id)).size < bases.length)
    throw new Refused('invalid', 'a rule stands twice, by its name and by its id', PATH)
  return {
    ...correlation,
    bases,
    inPlace: bases.every(({ group }) => group.some(({ withKey }) => withKey)),
    actors: bases[0]!.group.map(({ actor }) => actor),
  }
}

const PATH = ['correlation', 'rules']

export function isCalled(
  { id, name }: { readonly id: string; readonly name?: string | undefined },
  by: string,
): boolean {
  return id === by || name === by
}

function baseOf(correlation: Correlation, rule: Rule, reference: string): Base {
  const { groupBy, valueField } = correlation
  const field = (name: string, key: string): GroupField => {
    try {
      return groupField(sourceOf(correlation, rule, reference, name), rule.log)
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown
      throw new Refused(thrown.reason, `${name} of ${rule.name ?? rule.title}: ${thrown.message}`, ['correlation', key])
    }
  }
  return {
    rule,
    group: groupBy.map(name => field(name, 'group-by')),
    value: valueField === undefined ? undefined : field(valueField, 'condition'),
  }
}

/** The field that stands for a name in events of this rule. */
function sourceOf({ aliases }: Correlation, rule: Rule, reference: string, name: string): string {
  if (!Object.hasOwn(aliases, name)) return name
  const byRule = aliases[name]!
  const known = [reference, rule.name, rule.id].find(each => each !== undefined && Object.hasOwn(byRule, each))
  if (known === undefined) throw new Refused('invalid', `the alias ${name} says no field of this rule`)
  return byRule[known]!
}
