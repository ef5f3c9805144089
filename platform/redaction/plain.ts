import { renderFragment } from '../ocsf/fragment.ts'
import { isValueKey, SECRET, type SecretNames, WHOLE } from './names.ts'
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
    const roles = names.keyRoles(key)
    const isValue = isNamed && isValueKey(key)
    const isSecret = (roles & SECRET) !== 0 || isValue
    const redacted = isSecret ? redactSecret(value, isValue || (roles & WHOLE) !== 0, names) : redactValue(value, names)
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
  const roles = names.keyRoles(key)
  return roles !== 0 && holdsName(value, roles, names)
}

/** A string, also in lists. */
function holdsName(value: unknown, roles: number, names: SecretNames): boolean {
  if (Array.isArray(value)) return value.some(item => holdsName(item, roles, names))
  return typeof value === 'string' && names.isNaming(roles, value)
}

/** A string or number, also in lists and, if `isWhole`, in objects; else these are looked at by themselves. */
function redactSecret(value: unknown, isWhole: boolean, names: SecretNames): unknown {
  if (typeof value === 'number') return REDACTED
  if (typeof value === 'string') return value === '' ? value : REDACTED
  if (Array.isArray(value)) return redactItems(value, item => redactSecret(item, isWhole, names))
  if (!isWhole || typeof value !== 'object' || value === null) return redactValue(value, names)
  let copy: Record<string, unknown> | undefined
  for (const [key, member] of Object.entries(value)) {
    const redacted = redactSecret(member, true, names)
    if (redacted === member) continue
    copy ??= ownCopy(value as Fields)
    copy[key] = redacted
  }
  return copy ?? value
}
