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
    if (kind !== KEY && kind !== STRING) continue
    const from = (word & START_MASK) + 1
    const to = tape[entry + 1]! - 1
    if (kind === KEY) {
      const mayBe = (word & ESCAPED) !== 0 || names.mayHave(bytes, from, to)
      if (mayBe && names.has(document.text(entry))) found.addValue(entry + ENTRY)
      else if (isNaming(document, entry, to - from) && namesSecret(document, entry + ENTRY, names)) {
        addSiblings(document, entry, found)
      }
    } else if (!found.has(entry) && isSuspect(document, entry, names)) {
      const text = document.text(entry)
      const redacted = redactString(text, names)
      if (redacted !== text) found.add(entry, redacted)
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

function addSiblings(document: JsonDocument, key: number, found: Found): void {
  let close = key
  while (!document.isClose(close)) close = document.after(close + ENTRY)
  const object = document.tape[close + 1]!
  for (let member = object + ENTRY; member < close; member = document.after(member + ENTRY)) {
    if (member !== key && valueName.test(document.text(member))) found.addValue(member + ENTRY)
  }
}

/** What is to be replaced, by first byte. */
class Found {
  readonly #document: JsonDocument
  #byStart: Map<number, Replacement> | undefined = undefined

  constructor(document: JsonDocument) {
    this.#document = document
  }

  has(entry: number): boolean {
    return this.#byStart?.has(this.#document.from(entry)) ?? false
  }

  /** A string of which a part was replaced. */
  add(entry: number, text: string): void {
    this.#set(entry, text)
  }

  /** A secret as a whole: a string or number, or a list of them. */
  addValue(entry: number): void {
    const document = this.#document
    const kind = document.kind(entry)
    if (kind === ARRAY) {
      for (let item = entry + ENTRY; !document.isClose(item); item = document.after(item)) {
        if (document.kind(item) !== ARRAY) this.addValue(item)
      }
    } else if (kind === NUMBER || (kind === STRING && !document.is(entry, '""'))) this.#set(entry, REDACTED)
  }

  #set(entry: number, text: string): void {
    const start = this.#document.from(entry)
    const json = Buffer.from(JSON.stringify(text)).toString('latin1')
    this.#byStart ??= new Map()
    this.#byStart.set(start, { start, end: this.#document.to(entry), json })
  }

  /** Makes the document read so; false if there was nothing. */
  apply(): boolean {
    const fresh = this.#byStart
    if (!fresh) return false
    const earlier = (this.#document.replacements ?? []).filter(({ start }) => !fresh.has(start))
    this.#document.replacements = [...earlier, ...fresh.values()].sort((a, b) => a.start - b.start)
    return true
  }
}
