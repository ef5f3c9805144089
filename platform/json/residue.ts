/**
 * Reading a record so that nothing is lost: what is taken has the right type and leaves the record, what stays behind is what the
 * schema has no place for. Works on a record of one's own (guardedJson makes one) and changes it.
 */
import type { Json, JsonObject } from '../ocsf/event.ts'

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object under `key`, without taking it; an empty one if there is none, so that reading can go on. */
export function objectAt(from: JsonObject, key: string): JsonObject {
  const value = from[key]
  return isObject(value) ? value : {}
}

/** The objects of the array under `key`, without taking them. A single object counts as an array of one. */
export function objectsAt(from: JsonObject, key: string): readonly JsonObject[] {
  const value = from[key]
  if (isObject(value)) return [value]
  return Array.isArray(value) ? value.filter(isObject) : []
}

/** A non-empty string. */
export function takeText(from: JsonObject, key: string): string | undefined {
  return takeIf(from, key, (value): value is string => typeof value === 'string' && value !== '')
}

export function takeNumber(from: JsonObject, key: string): number | undefined {
  return takeIf(from, key, (value): value is number => typeof value === 'number')
}

/** A whole number from `min` to `max`; digits in a string count, as some producers quote numbers. */
export function takeInteger(
  from: JsonObject,
  key: string,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const value = from[key]
  const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < min || number > max) return undefined
  delete from[key]
  return number
}

export function takeBoolean(from: JsonObject, key: string): boolean | undefined {
  return takeIf(from, key, (value): value is boolean => typeof value === 'boolean')
}

/** The strings of the array under `key`, empty ones left out; taken only if it holds nothing else. */
export function takeTexts(from: JsonObject, key: string): string[] {
  const value = from[key]
  if (!Array.isArray(value) || !value.every(item => typeof item === 'string')) return []
  delete from[key]
  return value.filter(item => item !== '')
}

function takeIf<T extends Json>(from: JsonObject, key: string, wanted: (value: Json) => value is T): T | undefined {
  const value = from[key]
  if (value === undefined || !wanted(value)) return undefined
  delete from[key]
  return value
}

/** `value` without nulls, empty strings, lists and objects, which say nothing; undefined when nothing is left. */
export function left(value: Json | undefined): Json | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (Array.isArray(value)) {
    const items = value.map(left).filter(item => item !== undefined)
    return items.length > 0 ? items : undefined
  }
  if (typeof value !== 'object') return value
  const kept: JsonObject = {}
  for (const [key, item] of Object.entries(value)) {
    const rest = left(item)
    if (rest !== undefined) kept[key] = rest
  }
  return Object.keys(kept).length > 0 ? kept : undefined
}

/** `fields` without those that are undefined, empty lists and empty objects; undefined when none is left. */
export function present(fields: Readonly<Record<string, Json | undefined>>): JsonObject | undefined {
  const kept: JsonObject = {}
  for (const [key, value] of Object.entries(fields)) {
    const empty =
      value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
    if (!empty) kept[key] = value
  }
  return Object.keys(kept).length > 0 ? kept : undefined
}
