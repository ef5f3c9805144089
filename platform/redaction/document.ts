import type { JsonDocument, Replacement } from '../json/document.ts'
import { ARRAY, ENTRY, ESCAPED, KEY, kindOf, NUMBER, START_MASK, STRING } from '../json/scan.ts'
import type { SecretNames } from './names.ts'
import { REDACTED, redactString } from './string.ts'
import { isSuspect } from './suspect.ts'

/**
 * Replaces the secrets in a document; says whether there were any. Beside the secrets inside strings (string.ts): the value of a member
 * with a secret's name, and of an object `{name, value}` with one (headers, cookies, query arguments, in any order).
 */
export function redactDocument(document: JsonDocument, names: SecretNames): boolean {
  const { tape, end } = document
  const found: Replacement[] = []
  for (let entry = document.root; entry < end; entry += ENTRY) {
    const word = tape[entry]!
    const kind = kindOf(word)
    if (kind === STRING) {
      if ((word & REPLACED) === 0 && isSuspect(document, entry, names)) replaceParts(document, entry, names, found)
    } else if (kind === KEY) {
      if (isSecretName(document, entry, names)) replaceValue(document, entry + ENTRY, found)
      else if (isNaming(document, entry) && isSecretName(document, entry + ENTRY, names)) {
        replaceSiblings(document, entry, found)
      }
    }
  }
  if (found.length === 0) return false
  document.replace(merged(document.replacements, found))
  return true
}

/** In the tape, on a string or number that is replaced as a whole. Lasts for one pass, which is all that needs it. */
const REPLACED = 1 << 25

/** Of a key or string; false for any other value. */
function isSecretName(document: JsonDocument, entry: number, names: SecretNames): boolean {
  const word = document.tape[entry]!
  if (kindOf(word) > STRING) return false
  if ((word & ESCAPED) !== 0) return names.has(document.text(entry))
  return names.hasBytes(document.bytes, (word & START_MASK) + 1, document.tape[entry + 1]! - 1)
}

/** The members that say what the object's value is a value of: headers, and terminatingRuleMatchDetails of AWS WAF. */
function isNaming(document: JsonDocument, key: number): boolean {
  const length = document.tape[key + 1]! - (document.tape[key]! & START_MASK)
  return (length === 6 && document.is(key, '"name"')) || (length === 18 && document.is(key, '"matchedFieldName"'))
}

/** `value`, `myValue`, `matchedData`: whatever stands beside the name as its value. */
const valueName = /value$|^matchedData$/i

function isValueName(document: JsonDocument, key: number): boolean {
  return document.is(key, '"value"') || (!document.is(key, '"name"') && valueName.test(document.text(key)))
}

function replaceSiblings(document: JsonDocument, key: number, found: Replacement[]): void {
  let close = key
  while (!document.isClose(close)) close = document.after(close + ENTRY)
  const object = document.tape[close + 1]!
  for (let member = object + ENTRY; member < close; member = document.after(member + ENTRY)) {
    if (member !== key && isValueName(document, member)) replaceValue(document, member + ENTRY, found)
  }
}

const redactedJson = JSON.stringify(REDACTED)

/** A secret as a whole: a string or number, or a list of them. */
function replaceValue(document: JsonDocument, entry: number, found: Replacement[]): void {
  const kind = document.kind(entry)
  if (kind === ARRAY) {
    for (let item = entry + ENTRY; !document.isClose(item); item = document.after(item)) {
      if (document.kind(item) !== ARRAY) replaceValue(document, item, found)
    }
  } else if (kind === NUMBER || (kind === STRING && !document.is(entry, '""'))) {
    document.tape[entry]! |= REPLACED
    found.push({ start: document.from(entry), end: document.to(entry), json: redactedJson })
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
  if (earlier.length === 0 && found.length === 1) return found
  const byStart = new Map<number, Replacement>()
  for (const replacement of [...earlier, ...found]) byStart.set(replacement.start, replacement)
  return [...byStart.values()].sort((a, b) => a.start - b.start)
}
