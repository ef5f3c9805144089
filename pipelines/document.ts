import { isMap, isPair, isScalar, LineCounter, parseDocument, Scalar, visit, type YAMLParseError } from 'yaml'
import { z } from 'zod'
import { asError, HaetaeError } from '../platform/errors.ts'
import { expand, hasReference } from './template.ts'

type Path = readonly PropertyKey[]

/** A YAML file that remembers where each value stands, so that an error can name the line. */
export interface Document {
  readonly file: string
  readonly value: unknown
  /** `file:line:column` of the value at `path`, or of the nearest parent that exists. */
  locate(path: Path, key?: string): string
}

/**
 * Parses YAML 1.2 and fills in the environment (left as written when `env` is undefined). Throws CONFIG_UNREADABLE with the place of
 * the first error.
 */
export function readDocument(file: string, text: string, env: NodeJS.ProcessEnv | undefined): Document {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false })
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${line}:${col}`
  }
  const broken = document.errors[0]
  if (broken) throw new HaetaeError('CONFIG_UNREADABLE', explainBroken(text, broken, at))
  visit(document, {
    Scalar(key, node) {
      if (!env || key === 'key' || typeof node.value !== 'string' || !hasReference(node.value)) return
      const value = expand(node.value, env, at(node.range?.[0] ?? 0))
      // A plain scalar takes the type its value has, as if it had been written there; a quoted one stays a string.
      node.value = node.type === Scalar.PLAIN ? plain(value) : value
    },
  })
  return {
    file,
    value: toValue(file, () => document.toJS({ maxAliasCount: 100 })),
    locate(path, key) {
      return at(offsetOf(document.contents, path, key))
    },
  }
}

/** In `{ }` and `[ ]` the brace of a reference begins a mapping, of which the parser's own words say nothing useful. */
function explainBroken(text: string, { pos, message }: YAMLParseError, at: (offset: number) => string): string {
  const [, reference] = /^(\$\{[^}\n]*\})/.exec(text.slice(pos[0] - 1, pos[0] + 200)) ?? []
  if (reference === undefined) return `${at(pos[0])}: not YAML: ${message}`
  return `${at(pos[0] - 1)}: not YAML: inside { } or [ ] quote it: "${reference}"; where it must not become text, write lines instead of { }`
}

function toValue(file: string, convert: () => unknown): unknown {
  try {
    return convert()
  } catch (cause) {
    // An alias without an anchor, or aliases that multiply without end.
    throw new HaetaeError('CONFIG_UNREADABLE', `${file}:1:1: not usable YAML: ${asError(cause).message}`, { cause })
  }
}

const NUMBER = /^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$/

function plain(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true'
  return NUMBER.test(text) ? Number(text) : text
}

function offsetOf(root: unknown, path: Path, key: string | undefined): number {
  let node = root
  let offset = 0
  for (const step of path) {
    offset = rangeOf(node) ?? offset
    const next = isMap(node) || hasItems(node) ? node.get(step, true) : undefined
    if (next === undefined) return offset
    node = next
  }
  offset = rangeOf(node) ?? offset
  if (key === undefined || !isMap(node)) return offset
  const pair = node.items.find(item => isPair(item) && isScalar(item.key) && item.key.value === key)
  return (pair && rangeOf(pair.key)) ?? offset
}

function hasItems(node: unknown): node is { get(key: unknown, keepScalar: true): unknown } {
  return typeof node === 'object' && node !== null && 'get' in node && typeof node.get === 'function'
}

function rangeOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return undefined
  const start: unknown = node.range[0]
  return typeof start === 'number' ? start : undefined
}

/** One problem of a configuration file, ready to print. */
export interface Problem {
  readonly where: string
  readonly message: string
}

/** What `schema` finds wrong with `value`, each with its place and, for an unknown key, the keys that are allowed. */
export function problemsOf(document: Document, schema: z.ZodType, value: unknown, base: Path): Problem[] {
  const result = schema.safeParse(value)
  if (result.success) return []
  return result.error.issues.flatMap(issue => explain(document, schema, issue, base))
}

function explain(document: Document, schema: z.ZodType, issue: z.core.$ZodIssue, base: Path): Problem[] {
  const path = [...base, ...issue.path]
  if (issue.code === 'unrecognized_keys') {
    const allowed = allowedKeys(schema, issue.path)
    return issue.keys.map(key => ({
      where: document.locate(path, key),
      message: `unknown key "${key}"${allowed.length > 0 ? `; allowed here: ${allowed.join(', ')}` : ''}`,
    }))
  }
  if (issue.code === 'invalid_union') {
    // The branch that got furthest says most; the first one decides between equals.
    const branch = issue.errors.toSorted((a, b) => a.length - b.length)[0]?.[0]
    if (branch) return explain(document, schema, { ...branch, path: [...issue.path, ...branch.path] }, base)
  }
  const name = issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : ''
  return [{ where: document.locate(path), message: `${name}${issue.message}` }]
}

/** Keys of the object schema at `path`, read from its JSON Schema. */
export function allowedKeys(schema: z.ZodType, path: Path): string[] {
  let at: unknown = z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' })
  for (const step of path) at = typeof step === 'number' ? member(at, 'items') : member(member(at, 'properties'), step)
  const properties = member(at, 'properties')
  return typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
}

function member(value: unknown, key: PropertyKey): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return (value as Record<PropertyKey, unknown>)[key]
}
