/** Records with one part replaced, for property tests. */
import fc from 'fast-check'
import type { Json, JsonObject } from '../../platform/ocsf/event.ts'

export type Place = readonly string[]

/** The path of every value in `value`, without its own. */
export function placesOf(value: Json): Place[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) => [[key], ...placesOf(item).map(place => [key, ...place])])
}

/** A copy of `value` with `by` in this place. */
export function replaced(value: Json, [key, ...rest]: Place, by: Json): Json {
  if (key === undefined) return by
  if (Array.isArray(value)) return value.map((item, index) => (String(index) === key ? replaced(item, rest, by) : item))
  return { ...(value as JsonObject), [key]: replaced((value as JsonObject)[key]!, rest, by) }
}

const awkward: Json[] = ['REDACTED', 'X.X.X.X', '-', '', -1, 2 ** 53, 1e300, 'a\u0000b', '\ud800', '9'.repeat(30)]

/** JSON of any shape, and values that are known to break parsers. */
export const junk: fc.Arbitrary<Json> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }).map(value => value as Json),
  fc.constantFrom(...awkward),
)
