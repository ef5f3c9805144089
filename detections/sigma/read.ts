import { isMap, isSeq, LineCounter, type Node, parseAllDocuments, type Document as YamlDocument } from 'yaml'
import { asError } from '../../platform/errors.ts'
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

export interface RuleSet {
  readonly rules: readonly Rule[]
  readonly refused: readonly RefusedRule[]
}

const FILE_CHARS_MAX = 262_144
const ALIASES_MAX = 100

/** Reads the text of one rule file, which may hold several documents. Nothing of it is dropped: a rule runs, or is refused with a reason. */
export function readRules(file: string, text: string): RuleSet {
  const rules: Rule[] = []
  const refused: RefusedRule[] = []
  const refuse = (where: string, value: unknown, reason: RefusalReason, message: string): void => {
    const said = (key: string): string => textAt(value, key)
    refused.push({ file, where, id: said('id'), title: said('title'), level: said('level'), reason, message })
  }
  if (text.length > FILE_CHARS_MAX) {
    refuse(`${file}:1:1`, undefined, 'unreadable', `a rule file has at most ${FILE_CHARS_MAX} characters`)
    return { rules, refused }
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
      if (value !== null) rules.push(parseRule(file, value))
    } catch (thrown) {
      const { reason, message, path } = thrown instanceof Refused ? thrown : unforeseen(thrown)
      const offset = broken ? broken.pos[0] : offsetOf(document.contents, path)
      refuse(at(offset), value, reason, message)
    }
  }
  if (rules.length + refused.length === 0) refuse(`${file}:1:1`, undefined, 'unreadable', 'there is no rule in it')
  return { rules, refused }
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

/** Several files as one set. Of two rules with one id, the first stays. */
export function together(sets: readonly RuleSet[]): RuleSet {
  const first = new Map<string, Rule>()
  const refused = sets.flatMap(set => set.refused)
  for (const rule of sets.flatMap(set => set.rules)) {
    const other = first.get(rule.id)
    if (!other) first.set(rule.id, rule)
    else {
      const { file, id, title, level } = rule
      const message = `${other.file} has the id ${id} already`
      refused.push({ file, where: `${file}:1:1`, id, title, level, reason: 'duplicate', message })
    }
  }
  return { rules: [...first.values()], refused }
}
