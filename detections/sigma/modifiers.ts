import { Refused } from './refusal.ts'

/** How the values of one item are to be understood: what stands behind its field, in the specification's order of meaning. */
export interface Modifiers {
  /** windash, wide, base64 …: each makes texts from texts, in the order written. */
  readonly encoders: readonly string[]
  readonly place: 'whole' | 'start' | 'end' | 'inside'
  readonly compare: 'text' | 're' | 'cidr' | 'exists' | 'fieldref' | 'gt' | 'gte' | 'lt' | 'lte'
  /** Sub-modifiers of re. */
  readonly flags: string
  /** Its values hold placeholders. */
  readonly expand: boolean
  readonly all: boolean
  readonly cased: boolean
  readonly neq: boolean
}

const places: Readonly<Record<string, Modifiers['place']>> = {
  contains: 'inside',
  startswith: 'start',
  endswith: 'end',
}
const encoders = ['windash', 'wide', 'utf16', 'utf16le', 'utf16be', 'base64', 'base64offset'] as const
const comparisons = ['re', 'cidr', 'exists', 'fieldref', 'gt', 'gte', 'lt', 'lte'] as const
const flags = ['i', 'm', 's'] as const
/** Of the specification, but not of this engine. */
const missing: Readonly<Record<string, string>> = {
  minute: 'parts of a date are not compared',
  hour: 'parts of a date are not compared',
  day: 'parts of a date are not compared',
  week: 'parts of a date are not compared',
  month: 'parts of a date are not compared',
  year: 'parts of a date are not compared',
}

/** Reads the names behind a field. Throws Refused for one that does not exist, or does not go with the others. */
export function readModifiers(names: readonly string[]): Modifiers {
  for (const [at, name] of names.entries()) {
    if (Object.hasOwn(missing, name)) throw new Refused('modifier', `${name}: ${missing[name]}`)
    if (!isKnown(name)) throw new Refused('modifier', `there is no modifier "${name}"`)
    if (names.indexOf(name) !== at) throw new Refused('invalid', `${name} stands twice`)
  }
  const compare = comparisons.filter(name => names.includes(name))
  const placed = Object.keys(places).filter(name => names.includes(name))
  const flagged = flags.filter(name => names.includes(name))
  const encoding = names.filter(isEncoder)
  const is = compare[0] ?? 'text'
  if (compare.length > 1) clash(compare)
  if (placed.length > 1) clash(placed)
  if (flagged.length > 0 && is !== 're') throw new Refused('invalid', `${flagged[0]} is about re, which is not there`)
  if (is !== 'text' && encoding.length > 0) clash([is, encoding[0]!])
  if (is !== 'text' && is !== 'fieldref' && placed.length > 0) clash([is, placed[0]!])
  if (names.includes('cased') && is !== 'text' && is !== 'fieldref') clash([is, 'cased'])
  return {
    encoders: encoding,
    place: places[placed[0] ?? ''] ?? 'whole',
    compare: is,
    flags: flagged.join(''),
    expand: names.includes('expand'),
    all: names.includes('all'),
    cased: names.includes('cased'),
    neq: names.includes('neq'),
  }
}

function isEncoder(name: string): boolean {
  return encoders.some(each => each === name)
}

function isKnown(name: string): boolean {
  const known: readonly string[] = [
    ...Object.keys(places),
    ...encoders,
    ...comparisons,
    ...flags,
    'expand',
    'all',
    'cased',
    'neq',
  ]
  return known.includes(name)
}

function clash(names: readonly string[]): never {
  throw new Refused('invalid', `${names.join(' and ')} do not go together`)
}

export function modifierNames(): { readonly runs: readonly string[]; readonly refused: readonly string[] } {
  return {
    runs: [...Object.keys(places), 'all', 'cased', 'neq', 'expand', ...encoders, ...comparisons, ...flags],
    refused: Object.keys(missing),
  }
}
