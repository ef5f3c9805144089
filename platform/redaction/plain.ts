import { renderFragment } from '../ocsf/fragment.ts'
import type { SecretNames } from './names.ts'
import { REDACTED, redactString } from './string.ts'

type Fields = Readonly<Record<string, unknown>>

/**
 * A JSON value with its secrets replaced, by the same rules as redactDocument. What holds none is given back as it is; what does is
 * copied, so that nothing shared or frozen changes.
 */
export function redactValue(value: unknown, names: SecretNames): unknown {
  if (typeof value === 'string') return redactString(value, names)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return redactItems(value, item => redactValue(item, names))
  // Fragments come from databases of ours.
  if (renderFragment(value) !== undefined) return value
  return redactMembers(value as Fields, names)
}

function redactItems(list: readonly unknown[], redact: (item: unknown) => unknown): readonly unknown[] {
  let copy: unknown[] | undefined
  for (let at = 0; at < list.length; at++) {
    const redacted = redact(list[at])
    if (redacted === list[at]) continue
    copy ??= [...list]
    copy[at] = redacted
  }
  return copy ?? list
}

const valueName = /value$|^matchedData$/i

function redactMembers(object: Fields, names: SecretNames): Fields {
  let copy: Record<string, unknown> | undefined
  const isNamed = namesSecret(object, 'name', names) || namesSecret(object, 'matchedFieldName', names)
  for (const key of Object.keys(object)) {
    const value = object[key]
    const isSecret = names.has(key) || (isNamed && valueName.test(key))
    const redacted = isSecret ? redactWhole(value, names) : redactValue(value, names)
    if (redacted === value) continue
    copy ??= ownCopy(object)
    copy[key] = redacted
  }
  return copy ?? object
}

/** Spread makes `__proto__` an own member like any other; assigning to it then stays harmless. */
function ownCopy(object: Fields): Record<string, unknown> {
  return { ...object }
}

function namesSecret(object: Fields, key: string, names: SecretNames): boolean {
  const name = object[key]
  return typeof name === 'string' && names.has(name)
}

function redactWhole(value: unknown, names: SecretNames): unknown {
  if (typeof value === 'number') return REDACTED
  if (typeof value === 'string') return value === '' ? value : REDACTED
  if (!Array.isArray(value)) return redactValue(value, names)
  return redactItems(value, item => (Array.isArray(item) ? redactValue(item, names) : redactWhole(item, names)))
}
