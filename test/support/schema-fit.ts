import type { Field, Fields, Scalar } from '../../platform/ocsf/schema.ts'

/** What of an event has no column, or not the type of its column: `path: why`. Written apart from what is generated from the schema. */
export function misfits(body: unknown, fields: Fields): string[] {
  return objectMisfits(body, fields, '')
}

function objectMisfits(value: unknown, fields: Fields, path: string): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path}: expected an object`]
  return Object.entries(value).flatMap(([name, inner]) => {
    const at = path === '' ? name : `${path}.${name}`
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined
    return field === undefined ? [`${at}: no column`] : fieldMisfits(inner, field, at)
  })
}

function fieldMisfits(value: unknown, field: Field, path: string): string[] {
  if (typeof field === 'string') return fits[field](value) ? [] : [`${path}: ${JSON.stringify(value)} is no ${field}`]
  if ('object' in field) return objectMisfits(value, field.object, path)
  if (!Array.isArray(value)) return [`${path}: expected a list`]
  return value.flatMap(item => fieldMisfits(item, field.list, `${path}[]`))
}

const isText = (value: unknown): boolean => typeof value === 'string'
const isLong = (value: unknown): boolean => Number.isSafeInteger(value)

const fits: Readonly<Record<Scalar, (value: unknown) => boolean>> = {
  keyword: isText,
  text: isText,
  ip: isText,
  integer: value => isLong(value) && Math.abs(value as number) < 2 ** 31,
  long: isLong,
  double: value => typeof value === 'number' && Number.isFinite(value),
  boolean: value => typeof value === 'boolean',
  time_ms: isLong,
  geo_point: value => typeof value === 'object' && value !== null && Object.keys(value).sort().join() === 'lat,lon',
  json: value => typeof value === 'object' && value !== null,
}

/** The paths of an event, list positions left out. */
export function pathsIn(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap(item => pathsIn(item, `${path}[]`))
  if (typeof value !== 'object' || value === null) return [path]
  return Object.entries(value).flatMap(([name, inner]) => pathsIn(inner, path === '' ? name : `${path}.${name}`))
}
