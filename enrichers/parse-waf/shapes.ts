import type { JsonDocument } from '../../platform/json/document.ts'
import { ENTRY, kindOf, OBJECT, START_MASK, STRING } from '../../platform/json/scan.ts'

/** The two shapes that repeat in every record, told from the tape at once. */
const NAME = Buffer.from('name').readInt32LE()
const VALU = Buffer.from('valu').readInt32LE()
const E = 0x65

/** `{"name":"…"}` and nothing else. */
export function isLabel(document: JsonDocument, item: number): boolean {
  const { tape } = document
  return (
    kindOf(tape[item]!) === OBJECT &&
    tape[item + 1] === item + 4 * ENTRY &&
    isNameKey(document, item + ENTRY) &&
    kindOf(tape[item + 2 * ENTRY]!) === STRING
  )
}

/** `{"name":"…","value":"…"}` and nothing else, in this order. */
export function isHeader(document: JsonDocument, item: number): boolean {
  const { tape } = document
  return (
    kindOf(tape[item]!) === OBJECT &&
    tape[item + 1] === item + 6 * ENTRY &&
    isNameKey(document, item + ENTRY) &&
    kindOf(tape[item + 2 * ENTRY]!) === STRING &&
    isValueKey(document, item + 3 * ENTRY) &&
    kindOf(tape[item + 4 * ENTRY]!) === STRING
  )
}

function isNameKey({ tape, view }: JsonDocument, key: number): boolean {
  const from = tape[key]! & START_MASK
  return tape[key + 1]! - from === 6 && view.getInt32(from + 1, true) === NAME
}

function isValueKey({ tape, view, bytes }: JsonDocument, key: number): boolean {
  const from = tape[key]! & START_MASK
  return tape[key + 1]! - from === 7 && view.getInt32(from + 1, true) === VALU && bytes[from + 5] === E
}
