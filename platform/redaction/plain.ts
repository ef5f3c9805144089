import { renderFragment } from '../ocsf/fragment.ts'
import { isValueKey, SECRET, type SecretNames } from './names.ts'
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

function redactMembers(object: Fields, names: SecretNames): Fields {
  let copy: Record<string, unknown> | undefined
  const keys = Object.keys(object)
  const isNamed = keys.some(key => namesSecret(object[key], key, names))
  for (const key of keys) {
    const value = object[key]
    const isSecret = (names.keyRoles(key) & SECRET) !== 0 || (isNamed && isValueKey(key))
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

function namesSecret(value: unknown, key: string, names: SecretNames): boolean {
  return typeof value === 'string' && names.isNaming(names.keyRoles(key), value)
}

/** A string or number, also in lists; an object in its place is looked at by itself. */
function redactWhole(value: unknown, names: SecretNames): unknown {
  if (typeof value === 'number') return REDACTED
  if (typeof value === 'string') return value === '' ? value : REDACTED
  return Array.isArray(value) ? redactItems(value, item => redactWhole(item, names)) : redactValue(value, names)
}
