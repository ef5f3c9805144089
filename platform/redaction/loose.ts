import type { SecretNames } from './names.ts'
import { REDACTED, redactString } from './string.ts'

/** A JSON string, perhaps cut off; a bracket; or anything between. */
const pieces = /"(?:[^"\\]|\\[\s\S])*"?|[{}[\]]|[^"{}[\]]+/g
const header = /^([\w-]{1,64}):[ \t]*(\S.*)$/gm
const valueName = /value$|^matchedData$/i

/** An object or list that is open in the text. */
interface Open {
  readonly isList: boolean
  /** Whose value comes next; in a list, whose value the list is. */
  key: string | undefined
  /** Some member says that the values here are those of a secret. */
  isNamed: boolean
  /** Where in the result its values are. */
  readonly values: number[]
}

/**
 * Redacts what is not JSON as a whole: a record that was cut off, several of them, header lines, a message. Looks at the
 * strings it can tell apart as redactDocument would, and at everything else as one string. Linear in the length.
 */
export function redactLoose(text: string, names: SecretNames): string {
  const result: string[] = []
  const open: Open[] = [{ isList: false, key: undefined, isNamed: false, values: [] }]
  let last = ''
  for (const [piece] of text.matchAll(pieces)) {
    const top = open.at(-1)!
    if (piece === '{') open.push({ isList: false, key: undefined, isNamed: false, values: [] })
    else if (piece === '[') open.push({ ...top, isList: true })
    else if (piece === '}' || piece === ']') {
      if (open.length > 1) open.pop()
    } else if (piece.startsWith('"')) {
      last = decoded(piece)
      result.push(isSecret(top, names) && last !== '' ? quoted(REDACTED, piece) : redactPiece(piece, last, names))
      noteString(top, last, names, result)
      continue
    } else {
      if (/^\s*:/.test(piece)) top.key = last
      const isNumber = top.key !== undefined && isSecret(top, names) && /\d/.test(piece)
      result.push(isNumber ? piece.replace(/[\d.eE+-]+/, JSON.stringify(REDACTED)) : redactBetween(piece, names))
      if (!top.isList && piece.includes(',')) top.key = undefined
      continue
    }
    result.push(piece)
  }
  return result.join('')
}

function isSecret({ key, isNamed }: Open, names: SecretNames): boolean {
  return key !== undefined && (names.has(key) || (isNamed && valueName.test(key)))
}

/** After a string was written: it may name what the values beside it are, before or after it; or be such a value. */
function noteString(top: Open, text: string, names: SecretNames, result: string[]): void {
  const { key, values } = top
  if (key === undefined) return
  if (valueName.test(key)) values.push(result.length - 1)
  else if ((key === 'name' || key === 'matchedFieldName') && names.has(text)) {
    top.isNamed = true
    for (const at of values) result[at] = JSON.stringify(REDACTED)
  }
}

function redactBetween(text: string, names: SecretNames): string {
  const lines = text.replace(header, (line, name: string) => (names.has(name) ? `${name}: ${REDACTED}` : line))
  return redactString(lines, names)
}

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
    return isWhole ? piece.slice(1, -1) : piece.slice(1)
  }
}
