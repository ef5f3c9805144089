import type { JsonDocument, Replacement } from '../json/document.ts'
import { ARRAY, ENTRY, ESCAPED, KEY, kindOf, NUMBER, OBJECT, START_MASK, STRING } from '../json/scan.ts'
import { isValueKey, NAMES_VALUE, SECRET, type SecretNames, WHOLE } from './names.ts'
import { REDACTED, redactString } from './string.ts'
import { isSuspect } from './suspect.ts'

/**
 * Replaces the secrets in a document; says whether there were any. Beside the secrets inside strings (string.ts): the value of a member
 * with a secret's name, and the values of an object in which another member says so (names.ts), in any order.
 */
export function redactDocument(document: JsonDocument, names: SecretNames): boolean {
  const { tape, end } = document
  const found: Replacement[] = []
  for (let entry = document.root; entry < end; entry += ENTRY) {
    const word = tape[entry]!
    const kind = kindOf(word)
    if (kind === STRING) {
      if ((word & DONE) === 0 && isSuspect(document, entry, names)) replaceParts(document, entry, names, found)
    } else if (kind === KEY) {
      const roles = rolesOf(document, entry, names)
      if (roles !== 0) followRoles(document, entry, roles, names, found)
    }
  }
  if (found.length === 0) return false
  document.replace(merged(document.replacements, found))
  return true
}

/**
 * In the tape, on a string or number that is replaced as a whole, and on a key whose object was looked through. Lasts for one
 * pass, which is all that needs it.
 */
const DONE = 1 << 25

function rolesOf(document: JsonDocument, key: number, names: SecretNames): number {
  const word = document.tape[key]!
  if ((word & ESCAPED) !== 0) return names.keyRoles(document.text(key))
  const from = (word & START_MASK) + 1
  const to = document.tape[key + 1]! - 1
  // Every header has this one.
  if (to - from === 4 && document.view.getInt32(from, true) === NAME) return names.rolesOfName
  return names.keyRolesOfBytes(document.bytes, from, to)
}

const NAME = Buffer.from('name').readInt32LE()

function followRoles(
  document: JsonDocument,
  key: number,
  roles: number,
  names: SecretNames,
  found: Replacement[],
): void {
  if ((roles & SECRET) !== 0) replaceValue(document, key + ENTRY, (roles & WHOLE) !== 0, found)
  if ((document.tape[key]! & DONE) === 0 && isNaming(document, key + ENTRY, roles, names)) {
    replaceSiblings(document, key, found)
  }
}

function isNaming(document: JsonDocument, value: number, roles: number, names: SecretNames): boolean {
  const word = document.tape[value]!
  if (kindOf(word) === ARRAY) return isNamingInList(document, value, roles, names)
  if (kindOf(word) !== STRING) return false
  if (roles !== NAMES_VALUE || (word & ESCAPED) !== 0) return names.isNaming(roles, document.text(value))
  return names.isParameterInBytes(document.bytes, (word & START_MASK) + 1, document.tape[value + 1]! - 1)
}

function isNamingInList(document: JsonDocument, list: number, roles: number, names: SecretNames): boolean {
  if (roles === SECRET || roles === (SECRET | WHOLE)) return false
  const end = document.after(list)
  for (let entry = list + ENTRY; entry < end; ) {
    const kind = document.kind(entry)
    if (kind === STRING && names.isNaming(roles, document.text(entry))) return true
    entry = kind === OBJECT ? document.after(entry) : entry + ENTRY
  }
  return false
}

/** Each object is looked through once, however many members of it name secrets. */
function replaceSiblings(document: JsonDocument, key: number, found: Replacement[]): void {
  const { tape } = document
  let close = key
  while (!document.isClose(close)) close = document.after(close + ENTRY)
  for (let member = tape[close + 1]! + ENTRY; member < close; member = document.after(member + ENTRY)) {
    tape[member]! |= DONE
    if (document.is(member, '"value"') || (member !== key && isValueKey(document.text(member)))) {
      replaceValue(document, member + ENTRY, true, found)
    }
  }
}

const redactedJson = JSON.stringify(REDACTED)

/** A secret as a whole: a string or number, also in lists and, if `isWhole`, in objects; else these are looked at by themselves. */
function replaceValue(document: JsonDocument, value: number, isWhole: boolean, found: Replacement[]): void {
  const { tape } = document
  const end = document.after(value)
  for (let entry = value; entry < end; ) {
    const kind = document.kind(entry)
    const isText = kind === STRING && !document.is(entry, '""') && !document.is(entry, redactedJson)
    if ((isText || kind === NUMBER) && (tape[entry]! & DONE) === 0) {
      tape[entry]! |= DONE
      found.push({ start: document.from(entry), end: document.to(entry), json: redactedJson })
    }
    entry = kind === OBJECT && !isWhole ? document.after(entry) : entry + ENTRY
  }
}

/** The secrets in a string. */
function replaceParts(document: JsonDocument, entry: number, names: SecretNames, found: Replacement[]): void {
  const text = document.text(entry)
  const redacted = redactString(text, names)
  if (redacted === text) return
  const json = Buffer.from(JSON.stringify(redacted)).toString('latin1')
  found.push({ start: document.from(entry), end: document.to(entry), json })
}

/** In the order of the text; of two for one place the later one counts. */
function merged(earlier: readonly Replacement[], found: Replacement[]): readonly Replacement[] {
  if (earlier.length === 0 && isInOrder(found)) return found
  const byStart = new Map<number, Replacement>()
  for (const replacement of [...earlier, ...found]) byStart.set(replacement.start, replacement)
  return [...byStart.values()].sort((a, b) => a.start - b.start)
}

function isInOrder(found: readonly Replacement[]): boolean {
  for (let at = 1; at < found.length; at++) if (found[at]!.start <= found[at - 1]!.start) return false
  return true
}
