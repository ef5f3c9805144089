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
  const { tape, bytes, end } = document
  const found = new Found(document)
  for (let entry = document.root; entry < end; entry += ENTRY) {
    const word = tape[entry]!
    const kind = kindOf(word)
    if (kind === STRING) {
      if (isSuspect(document, entry, names)) found.addString(entry, names)
    } else if (kind === KEY) {
      const from = (word & START_MASK) + 1
      const to = tape[entry + 1]! - 1
      if ((names.mayHave(bytes, from, to) || (word & ESCAPED) !== 0) && names.has(document.text(entry))) {
        found.addValue(entry + ENTRY)
      } else if (isNaming(document, entry, to - from) && namesSecret(document, entry + ENTRY, names)) {
        addSiblings(document, entry, found)
      }
    }
  }
  return found.apply()
}

/** The members that say what the object's value is a value of: headers, and terminatingRuleMatchDetails of AWS WAF. */
function isNaming(document: JsonDocument, key: number, length: number): boolean {
  return (length === 4 && document.is(key, '"name"')) || (length === 16 && document.is(key, '"matchedFieldName"'))
}

function namesSecret(document: JsonDocument, value: number, names: SecretNames): boolean {
  const { bytes, tape } = document
  if (document.kind(value) !== STRING) return false
  const mayBe = (tape[value]! & ESCAPED) !== 0 || names.mayHave(bytes, document.from(value) + 1, document.to(value) - 1)
  return mayBe && names.has(document.text(value))
}

/** `value`, `myValue`, `matchedData`: whatever stands beside the name as its value. */
const valueName = /value$|^matchedData$/i

function isValueName(document: JsonDocument, key: number): boolean {
  return document.is(key, '"value"') || (!document.is(key, '"name"') && valueName.test(document.text(key)))
}

function addSiblings(document: JsonDocument, key: number, found: Found): void {
  let close = key
  while (!document.isClose(close)) close = document.after(close + ENTRY)
  const object = document.tape[close + 1]!
  for (let member = object + ENTRY; member < close; member = document.after(member + ENTRY)) {
    if (member !== key && isValueName(document, member)) found.addValue(member + ENTRY)
  }
}

const redactedJson = JSON.stringify(REDACTED)

/** What is to be replaced, by first byte. */
class Found {
  readonly #document: JsonDocument
  #byStart: Map<number, Replacement> | undefined = undefined

  constructor(document: JsonDocument) {
    this.#document = document
  }

  /** The secrets in a string, unless it is one as a whole. */
  addString(entry: number, names: SecretNames): void {
    if (this.#byStart?.has(this.#document.from(entry))) return
    const text = this.#document.text(entry)
    const redacted = redactString(text, names)
    if (redacted !== text) this.#set(entry, Buffer.from(JSON.stringify(redacted)).toString('latin1'))
  }

  /** A secret as a whole: a string or number, or a list of them. */
  addValue(entry: number): void {
    const document = this.#document
    const kind = document.kind(entry)
    if (kind === ARRAY) {
      for (let item = entry + ENTRY; !document.isClose(item); item = document.after(item)) {
        if (document.kind(item) !== ARRAY) this.addValue(item)
      }
    } else if (kind === NUMBER || (kind === STRING && !document.is(entry, '""'))) this.#set(entry, redactedJson)
  }

  #set(entry: number, json: string): void {
    const start = this.#document.from(entry)
    this.#byStart ??= new Map()
    this.#byStart.set(start, { start, end: this.#document.to(entry), json })
  }

  /** Makes the document read so; false if there was nothing. */
  apply(): boolean {
    const fresh = this.#byStart
    if (!fresh) return false
    const all = [...fresh.values()]
    for (const earlier of this.#document.replacements) if (!fresh.has(earlier.start)) all.push(earlier)
    this.#document.replace(all.length === 1 ? all : all.sort((a, b) => a.start - b.start))
    return true
  }
}
