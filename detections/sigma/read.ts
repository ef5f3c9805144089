import { isMap, isSeq, LineCounter, type Node, parseAllDocuments, type Document as YamlDocument } from 'yaml'
import { asError } from '../../platform/errors.ts'
import { type Correlation, isCorrelation, parseCorrelation } from './correlate/read.ts'
import { isCalled, type RunningCorrelation, resolveCorrelation } from './correlate/resolve.ts'
import type { Placeholders } from './placeholders.ts'
import { type RefusalReason, Refused } from './refusal.ts'
import { parseRule, type Rule } from './rule.ts'

/** A rule that does not run, and why. */
export interface RefusedRule {
  readonly file: string
  /** `file:line:column` of what is wrong. */
  readonly where: string
  readonly id: string
  readonly title: string
  readonly level: string
  readonly reason: RefusalReason
  readonly message: string
}

/** What the documents of one file hold. */
export interface FileRules {
  readonly rules: readonly Rule[]
  readonly correlations: readonly Correlation[]
  readonly refused: readonly RefusedRule[]
}

export interface RuleSet {
  readonly rules: readonly Rule[]
  readonly correlations: readonly RunningCorrelation[]
  /** Ids of rules that are there for correlations, and alert by themselves only if one of these says `generate`. */
  readonly feeding: ReadonlySet<string>
  readonly refused: readonly RefusedRule[]
}

export const FILE_CHARS_MAX = 262_144
const ALIASES_MAX = 100

/** Reads the text of one rule file, which may hold several documents. Nothing of it is dropped: a rule runs, or is refused with a reason. */
export function readRules(file: string, text: string, placeholders?: Placeholders): FileRules {
  const rules: Rule[] = []
  const correlations: Correlation[] = []
  const refused: RefusedRule[] = []
  const refuse = (where: string, value: unknown, reason: RefusalReason, message: string): void => {
    const said = (key: string): string => textAt(value, key)
    refused.push({ file, where, id: said('id'), title: said('title'), level: said('level'), reason, message })
  }
  if (text.length > FILE_CHARS_MAX) {
    refuse(`${file}:1:1`, undefined, 'unreadable', `a rule file has at most ${FILE_CHARS_MAX} characters`)
    return { rules, correlations, refused }
  }
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false })
  const documents = Array.isArray(parsed) ? parsed : []
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`
  }
  for (const document of documents) {
    const broken = document.errors[0]
    let value: unknown
    try {
      if (broken) throw new Refused('unreadable', broken.message)
      value = asJson(document)
      if (isCorrelation(value)) correlations.push(parseCorrelation(file, value))
      else if (value !== null) rules.push(parseRule(file, value, placeholders))
    } catch (thrown) {
      const { reason, message, path } = thrown instanceof Refused ? thrown : unforeseen(thrown)
      const offset = broken ? broken.pos[0] : offsetOf(document.contents, path)
      refuse(at(offset), value, reason, message)
    }
  }
  if (rules.length + correlations.length + refused.length === 0)
    refuse(`${file}:1:1`, undefined, 'unreadable', 'there is no rule in it')
  return { rules, correlations, refused }
}

function asJson(document: YamlDocument): unknown {
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX })
  } catch (thrown) {
    // An alias without an anchor, or aliases that multiply without end.
    throw new Refused('unreadable', asError(thrown).message)
  }
}

/** A rule must not stop the others, whatever is in it. */
function unforeseen(thrown: unknown): Refused {
  return new Refused('invalid', asError(thrown).message)
}

function textAt(value: unknown, key: string): string {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return ''
  const text = (value as Record<string, unknown>)[key]
  return typeof text === 'string' ? text : ''
}

/** Where the value at `path` stands, or the nearest parent that exists. */
function offsetOf(root: Node | null, path: readonly PropertyKey[]): number {
  let node: unknown = root
  let offset = root?.range?.[0] ?? 0
  for (const step of path) {
    if (!isMap(node) && !isSeq(node)) break
    node = node.get(step, true)
    const start = (node as Node | undefined)?.range?.[0]
    if (start === undefined) break
    offset = start
  }
  return offset
}

/** Several files as one set. Of two rules with one id or name, the first stays; `except` are ids of those that shall not run. */
export function together(files: readonly FileRules[], except: readonly string[] = []): RuleSet {
  const refused = files.flatMap(file => file.refused)
  const taken = new Map<string, string>()
  const isFirst = (rule: Rule | Correlation): boolean => {
    const { file, id, name } = rule
    const known = [id, name].find(each => each !== undefined && taken.has(each))
    if (known === undefined) for (const each of [id, name]) if (each !== undefined) taken.set(each, file)
    if (known !== undefined)
      refused.push(refusalOf(rule, 'duplicate', `${taken.get(known)} has a rule ${known} already`))
    return known === undefined
  }
  const wanted = ({ id }: Rule | Correlation): boolean => !except.includes(id)
  const rules = files
    .flatMap(file => file.rules)
    .filter(isFirst)
    .filter(wanted)
  const all = files.flatMap(file => file.correlations).filter(isFirst)
  const correlations: RunningCorrelation[] = []
  for (const correlation of all.filter(wanted)) {
    try {
      correlations.push(resolveCorrelation(correlation, rules, all))
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown
      refused.push(refusalOf(correlation, thrown.reason, thrown.message))
    }
  }
  return { rules, correlations, feeding: feeding(rules, all), refused }
}

function refusalOf(rule: Rule | Correlation, reason: RefusalReason, message: string): RefusedRule {
  const { file, id, title, level } = rule
  return { file, where: `${file}:1:1`, id, title, level, reason, message }
}

/** Also of correlations that do not run: what was written to be counted is not meant to be said one by one. */
function feeding(rules: readonly Rule[], correlations: readonly Correlation[]): ReadonlySet<string> {
  const silent = rules.filter(rule => {
    const feeds = correlations.filter(each => each.rules.some(reference => isCalled(rule, reference)))
    return feeds.length > 0 && !feeds.some(({ generate }) => generate)
  })
  return new Set(silent.map(({ id }) => id))
}
