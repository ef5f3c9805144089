import type { Field, Fields, Scalar } from './schema.ts'

/** A dotted path into an event body, checked against the schema. */
export interface FieldPath {
  readonly text: string
  readonly segments: readonly string[]
  /** What stands at its end; 'any' below a free object (`unmapped.*`). */
  readonly scalar: Scalar | 'any'
}

/**
 * Reads `http_request.http_headers.name` and the like; a list on the way stands for each of its items. Gives an error message for
 * a path that no event can have.
 */
export function parsePath(text: string, schema: Fields): FieldPath | { readonly error: string } {
  const segments = text.split('.')
  let fields: Fields = schema
  for (const [depth, segment] of segments.entries()) {
    const field = Object.hasOwn(fields, segment) ? fields[segment] : undefined
    const isLast = depth === segments.length - 1
    if (field === undefined) {
      const parent = segments.slice(0, depth).join('.') || 'the event'
      return { error: `there is no field ${segment} in ${parent}: it has ${Object.keys(fields).join(', ')}` }
    }
    const item = itemOf(field)
    if (item === 'json' && segments.slice(depth + 1).every(rest => rest !== ''))
      return { text, segments, scalar: 'any' }
    if (typeof item !== 'string') {
      if (isLast)
        return { error: `${text} is an object: name one of its fields ${Object.keys(item.object).join(', ')}` }
      fields = item.object
    } else if (isLast) {
      return { text, segments, scalar: item }
    } else {
      return { error: `${segments.slice(0, depth + 1).join('.')} has no fields` }
    }
  }
  return { error: 'a path cannot be empty' }
}

function itemOf(field: Field): Exclude<Field, { list: unknown }> {
  return typeof field === 'object' && 'list' in field ? field.list : field
}

/** Calls `visit` with each value at the path until it answers true; says whether it did. Own properties only. */
export function someValue(
  body: object,
  segments: readonly string[],
  visit: (value: unknown) => boolean,
  from = 0,
): boolean {
  let value: unknown = body
  for (let depth = from; depth < segments.length; depth++) {
    if (Array.isArray(value)) {
      const rest = depth
      return value.some(item => isObject(item) && someValue(item, segments, visit, rest))
    }
    if (!isObject(value)) return false
    value = ownValue(value, segments[depth]!)
  }
  if (Array.isArray(value)) return value.some(item => visit(item))
  return value !== undefined && value !== null && visit(value)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** A body may be a view whose fields are getters of its class; a record's own names never reach a prototype of Object. */
function ownValue(holder: object, name: string): unknown {
  if (Object.hasOwn(Object.prototype, name) && !Object.hasOwn(holder, name)) return undefined
  return (holder as Readonly<Record<string, unknown>>)[name]
}
