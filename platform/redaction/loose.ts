import { isValueKey, SECRET, type SecretNames, WHOLE } from './names.ts'
import { REDACTED, redactString } from './string.ts'

/** A JSON string, perhaps cut off; a bracket; or anything between. */
const pieces = /"(?:[^"\\]|\\[\s\S])*"?|[{}[\]]|[^"{}[\]]+/g
/** The value is the rest of the line, with its quotes: `Cookie: a="b"; c`. */
const header = /^([ \t<>]{0,8}([\w-]{1,64})[ \t]{0,64}):([ \t]*)(\S.*)$/gm
/** Numbers, and what was meant to be a value; between members and items. */
const scalars = /[^\s,:]+/g
const literals: ReadonlySet<string> = new Set(['true', 'false', 'null'])

/** Pieces of the result, the last included. */
interface Range {
  readonly from: number
  readonly to: number
}

/** An object that is open in the text. */
interface Members {
  /** Whose value comes next. */
  key: string | undefined
  /** Some member says that the values here are those of a secret. */
  isNamed: boolean
  /** It stands in the place of a secret. */
  readonly isWhole: boolean
  /** Where in the result its values are, as long as that is not known. */
  values: Range[]
}

/** A list shares the members of the object whose value it is. */
interface Open {
  readonly members: Members
  readonly isList: boolean
  /** The piece that opened it. */
  readonly from: number
}

function opened(from: number, isWhole: boolean): Open {
  return { members: { key: undefined, isNamed: false, isWhole, values: [] }, isList: false, from }
}

/**
 * Redacts what is not JSON as a whole: a record that was cut off, several of them, header lines, a message. Looks at the
 * strings it can tell apart as redactDocument would, and at everything else as one string. Linear in the length.
 */
export function redactLoose(text: string, names: SecretNames): string {
  const result: string[] = []
  /** What turned out to be a secret after it was written. */
  const late: Range[] = []
  const open: Open[] = [opened(0, false)]
  let last = ''
  for (const [piece] of withoutHeaders(text, names).matchAll(pieces)) {
    const top = open.at(-1)!
    const { members } = top
    const at = result.length
    if (piece === '{') open.push(opened(at, isWholeSecret(members, names)))
    else if (piece === '[') open.push({ members, isList: true, from: at })
    else if (piece === '}' || piece === ']') {
      if (open.length > 1) {
        open.pop()
        if (!top.isList) note(open.at(-1)!.members, top.from, at)
      }
    } else if (piece.startsWith('"')) {
      last = decoded(piece)
      result.push(isSecret(members, names) ? wholly(piece) : redactPiece(piece, last, names))
      note(members, at, at)
      nameValues(members, last, names, late)
      continue
    } else {
      if (/^\s*:/.test(piece)) members.key = last
      result.push(isSecret(members, names) ? wholly(piece) : redactString(piece, names))
      note(members, at, at)
      if (!top.isList && piece.includes(',')) members.key = undefined
      continue
    }
    result.push(piece)
  }
  redactRanges(result, late)
  return result.join('')
}

function withoutHeaders(text: string, names: SecretNames): string {
  return text.replace(header, (line, before: string, name: string, space: string) =>
    (names.keyRoles(name) & SECRET) === 0 ? line : `${before}:${space}${REDACTED}`,
  )
}

function isSecret({ key, isNamed, isWhole }: Members, names: SecretNames): boolean {
  if (key === undefined) return false
  return isWhole || (names.keyRoles(key) & SECRET) !== 0 || (isNamed && isValueKey(key))
}

/** Whether an object that begins now is one as a whole. */
function isWholeSecret({ key, isNamed, isWhole }: Members, names: SecretNames): boolean {
  if (isWhole) return true
  return key !== undefined && ((names.keyRoles(key) & WHOLE) !== 0 || (isNamed && isValueKey(key)))
}

/** A piece that belongs to the value of a secret. */
function wholly(piece: string): string {
  if (!piece.startsWith('"')) {
    return piece.replace(scalars, word => (literals.has(word) ? word : JSON.stringify(REDACTED)))
  }
  return piece === '""' || piece === '"' ? piece : quoted(REDACTED, piece)
}

/** Keeps where a value is until its object says what it is a value of, which may come later. */
function note({ key, isNamed, values }: Members, from: number, to: number): void {
  if (key !== undefined && !isNamed && isValueKey(key)) values.push({ from, to })
}

/** After a string was written: it may say what the values of its object are, before or after it. */
function nameValues(members: Members, text: string, names: SecretNames, late: Range[]): void {
  if (members.key === undefined || members.isNamed) return
  if (!names.isNaming(names.keyRoles(members.key), text)) return
  members.isNamed = true
  for (const range of members.values) late.push(range)
  members.values = []
}

/** Every value in these ranges, which may lie in each other; keys and brackets stay. */
function redactRanges(result: string[], ranges: Range[]): void {
  let next = 0
  for (const { from, to } of ranges.sort((a, b) => a.from - b.from)) {
    for (let at = Math.max(from, next); at <= to; at++) {
      const piece = result[at]!
      const isKey = piece.startsWith('"') && /^\s*:/.test(result[at + 1] ?? '')
      if (!isKey && !brackets.has(piece)) result[at] = wholly(piece)
    }
    next = Math.max(next, to + 1)
  }
}

const brackets: ReadonlySet<string> = new Set(['{', '}', '[', ']'])

function redactPiece(piece: string, text: string, names: SecretNames): string {
  const redacted = redactString(text, names)
  return redacted === text ? piece : quoted(redacted, piece)
}

/** As JSON; open at its end if the original was. */
function quoted(text: string, original: string): string {
  const json = JSON.stringify(text)
  return original.length > 1 && original.endsWith('"') ? json : json.slice(0, -1)
}

/** What a string says, as far as it goes; escapes that were cut or are none stand for themselves. */
function decoded(piece: string): string {
  const isWhole = piece.length > 1 && piece.endsWith('"')
  try {
    return String(JSON.parse(isWhole ? piece : `${piece}"`))
  } catch {
    const text = isWhole ? piece.slice(1, -1) : piece.slice(1)
    return text.replace(escapes, (_match, hex: string | undefined, char: string) =>
      hex === undefined ? (controls[char] ?? char) : String.fromCharCode(Number.parseInt(hex, 16)),
    )
  }
}

const escapes = /\\(?:u([0-9a-fA-F]{4})|([\s\S]))/g
const controls: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', u: '\\u' }
