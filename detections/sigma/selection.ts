import type { LogKind } from '../../engine/contract.ts'
import { parseCidr } from '../../platform/address.ts'
import { encode } from './encode.ts'
import type { Field } from './field.ts'
import { keywords, resolveField } from './fields.ts'
import { allOf, anyOf, type Formula, not, type Place, type Test } from './formula.ts'
import { ANY, type Glob, joined, parseGlob, plainText } from './glob.ts'
import { type Modifiers, readModifiers } from './modifiers.ts'
import { Pattern } from './pattern.ts'
import { defaultPlaceholders, expanded, type Placeholders } from './placeholders.ts'
import { Refused } from './refusal.ts'

type Path = readonly PropertyKey[]
type Plain = string | number | boolean | null

const DEPTH_MAX = 8
const VALUES_MAX = 5_000
const VALUE_CHARS_MAX = 4_096

/** Reads selections of one rule; counts their values, of which a rule has at most VALUES_MAX. */
export class SelectionReader {
  readonly #log: LogKind
  readonly #placeholders: Placeholders
  #values = 0

  constructor(log: LogKind = 'waf', placeholders: Placeholders = defaultPlaceholders) {
    this.#log = log
    this.#placeholders = placeholders
  }

  /** A map (all of its items), a list of maps (any), or keywords. */
  read(value: unknown, path: Path, depth = 0): Formula {
    if (depth > DEPTH_MAX) throw new Refused('bounds', `a selection is nested at most ${DEPTH_MAX} deep`, path)
    if (isPlain(value)) return this.#item('', [], value, path)
    if (Array.isArray(value)) {
      if (value.length === 0) throw new Refused('invalid', 'an empty list selects nothing', path)
      return anyOf(value.map((each, at) => this.read(each, [...path, at], depth + 1)))
    }
    if (typeof value !== 'object') throw new Refused('invalid', 'a selection is a map or a list', path)
    const items = Object.entries(value as Record<string, unknown>)
    if (items.length === 0) throw new Refused('invalid', 'an empty map selects nothing', path)
    return allOf(
      items.map(([key, each]) => {
        const [name = '', ...modifiers] = key.split('|')
        return this.#item(name, modifiers, each, [...path, key])
      }),
    )
  }

  #item(name: string, modifierNames: readonly string[], value: unknown, path: Path): Formula {
    const values = Array.isArray(value) ? (value as unknown[]) : [value]
    this.#values += values.length
    if (this.#values > VALUES_MAX) throw new Refused('bounds', `a rule has at most ${VALUES_MAX} values`, path)
    if (values.length === 0) throw new Refused('invalid', 'an empty list selects nothing', path)
    try {
      const modifiers = readModifiers(modifierNames)
      const field = name === '' ? this.#keywords() : resolveField(name, this.#log)
      if ('unknown' in field) throw new Refused('field', `${name}: ${field.unknown}`)
      const target: Target = 'absent' in field ? { absent: field.absent } : { field }
      const all = modifiers.expand ? values.flatMap(each => this.#expanded(each)) : values
      const tests = all.map(each => {
        if (!isPlain(each)) throw new Refused('invalid', 'a value is a text, a number, true, false or null')
        return valueFormula(target, name === '' ? inside(modifiers) : modifiers, each, this.#log)
      })
      const formula = modifiers.all ? allOf(tests) : anyOf(tests)
      return modifiers.neq ? not(formula) : formula
    } catch (thrown) {
      throw thrown instanceof Refused ? new Refused(thrown.reason, thrown.message, path) : thrown
    }
  }

  #expanded(value: unknown): readonly string[] {
    if (typeof value !== 'string') throw new Refused('invalid', 'expand needs a text')
    return expanded(value, this.#placeholders)
  }

  #keywords(): Field {
    if (this.#log === 'waf') return keywords
    throw new Refused('field', 'keywords are searched in web requests: name a field of the finding')
  }
}

type Target = { readonly field: Field } | { readonly absent: string }

/** Keywords stand anywhere. */
function inside(modifiers: Modifiers): Modifiers {
  if (modifiers.compare === 'text' && modifiers.place === 'whole') return { ...modifiers, place: 'inside' }
  if (modifiers.place === 'inside' || modifiers.compare === 're') return modifiers
  throw new Refused('invalid', 'keywords are searched in the whole request: only contains and re go with them')
}

/** What is wrong with a value is said of a field that is absent, too. */
function valueFormula(target: Target, modifiers: Modifiers, value: Plain, log: LogKind): Formula {
  const tests = testsOf(modifiers, value, log)
  if ('absent' in target) return { is: 'unknown', field: target.absent }
  const { field } = target
  return anyOf(
    tests.map((test): Formula => {
      const wanted: Formula = { is: 'test', field, test: test === 'absent' ? { by: 'exists' } : test }
      return test === 'absent' ? not(wanted) : wanted
    }),
  )
}

function testsOf(modifiers: Modifiers, value: Plain, log: LogKind): (Test | 'absent')[] {
  const { compare, flags, place, cased } = modifiers
  switch (compare) {
    case 'text':
      return value === null ? ['absent'] : textTests(modifiers, String(value))
    case 're':
      return [{ by: 'pattern', pattern: new Pattern(textOf(value, 're'), flags) }]
    case 'cidr': {
      const network = parseCidr(textOf(value, 'cidr'))
      if (!network) throw new Refused('invalid', `${String(value)} is no network like 10.0.0.0/8`)
      return [{ by: 'cidr', network }]
    }
    case 'exists':
      if (typeof value !== 'boolean') throw new Refused('invalid', 'exists is true or false')
      return value ? [{ by: 'exists' }] : ['absent']
    case 'fieldref': {
      const other = resolveField(textOf(value, 'fieldref'), log)
      if ('unknown' in other) throw new Refused('field', other.unknown)
      if ('absent' in other) throw new Refused('absent', `WAF never logs ${other.absent}`)
      return [{ by: 'field', other, place, cased }]
    }
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte':
      if (typeof value !== 'number') throw new Refused('invalid', `${compare} compares with a number`)
      return [{ by: 'number', operator: compare, operand: value }]
  }
}

function textOf(value: Plain, modifier: string): string {
  if (typeof value !== 'string') throw new Refused('invalid', `${modifier} needs a text`)
  return value
}

function textTests({ encoders, place, cased }: Modifiers, text: string): Test[] {
  if (text.length > VALUE_CHARS_MAX) throw new Refused('bounds', `a value has at most ${VALUE_CHARS_MAX} characters`)
  const glob = parseGlob(text)
  if (encoders.length === 0) return [{ by: 'glob', glob: placed(glob, place), cased }]
  const plain = plainText(glob)
  if (plain === undefined && encoders.some(each => each !== 'windash'))
    throw new Refused('invalid', 'a value with wildcards has no encoding')
  // Of the encodings only windash leaves wildcards in place, and it changes none of them.
  const globs = plain === undefined ? encode(text, encoders).map(parseGlob) : encode(plain, encoders).map(literal)
  return globs.map(each => ({ by: 'glob', glob: placed(each, place), cased }))
}

function literal(text: string): Glob {
  return text === '' ? [] : [text]
}

function placed(glob: Glob, place: Place): Glob {
  if (place === 'start') return joined([...glob, ANY])
  if (place === 'end') return joined([ANY, ...glob])
  return place === 'inside' ? joined([ANY, ...glob, ANY]) : glob
}

function isPlain(value: unknown): value is Plain {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value)
}
