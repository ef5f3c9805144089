import type { Field, Fields, Scalar } from '../ocsf/schema.ts'
import { literal } from './duckdb.ts'

/**
 * One schema, two dialects: the type of a column as DuckDB writes it to Parquet and as Athena reads it. Times stay
 * milliseconds in a BIGINT, which both read alike; a Parquet timestamp is not read alike by both.
 */
const scalars: Readonly<Record<Exclude<Scalar, 'geo_point'>, { readonly duckdb: string; readonly athena: string }>> = {
  keyword: { duckdb: 'VARCHAR', athena: 'string' },
  text: { duckdb: 'VARCHAR', athena: 'string' },
  ip: { duckdb: 'VARCHAR', athena: 'string' },
  integer: { duckdb: 'INTEGER', athena: 'int' },
  long: { duckdb: 'BIGINT', athena: 'bigint' },
  double: { duckdb: 'DOUBLE', athena: 'double' },
  boolean: { duckdb: 'BOOLEAN', athena: 'boolean' },
  time_ms: { duckdb: 'BIGINT', athena: 'bigint' },
  json: { duckdb: 'VARCHAR', athena: 'string' },
}

const geoPoint: Fields = { lat: 'double', lon: 'double' }

/** Field names become part of SQL, so only names that need no thought there; both dialects fold to lower case. */
const SAFE_NAME = /^[a-z][a-z0-9_]{0,62}$/

export function duckDbType(field: Field): string {
  if (typeof field === 'string') return field === 'geo_point' ? duckDbStruct(geoPoint) : scalars[field].duckdb
  return 'list' in field ? `${duckDbType(field.list)}[]` : duckDbStruct(field.object)
}

function duckDbStruct(fields: Fields): string {
  return `STRUCT(${named(fields, (name, field) => `"${name}" ${duckDbType(field)}`)})`
}

export function athenaType(field: Field): string {
  if (typeof field === 'string') return field === 'geo_point' ? athenaStruct(geoPoint) : scalars[field].athena
  return 'list' in field ? `array<${athenaType(field.list)}>` : athenaStruct(field.object)
}

function athenaStruct(fields: Fields): string {
  return `struct<${named(fields, (name, field) => `${name}:${athenaType(field)}`, ',')}>`
}

/** The `columns` of DuckDB's read_json: every column with its type, so that nothing is guessed from the data. */
function duckDbColumns(fields: Fields): string {
  return `{${named(fields, (name, field) => `"${name}": '${duckDbType(field)}'`)}}`
}

/** The rows of NDJSON files. */
export function readJson(fields: Fields, paths: readonly string[]): string {
  return `read_json([${paths.map(literal).join(', ')}], format = 'newline_delimited', columns = ${duckDbColumns(fields)})`
}

/** A relation with these columns, and `strings`, and no rows: what a lake without objects answers. */
export function duckDbEmpty(fields: Fields, strings: readonly string[]): string {
  const columns = named(fields, (name, field) => `NULL::${duckDbType(field)} AS "${name}"`)
  return `SELECT ${[columns, ...strings.map(name => `NULL::VARCHAR AS ${name}`)].join(', ')} WHERE false`
}

export function named(fields: Fields, render: (name: string, field: Field) => string, separator = ', '): string {
  return Object.entries(fields)
    .map(([name, field]) => {
      if (!SAFE_NAME.test(name)) throw new RangeError(`${name} cannot be the name of a lake column`)
      return render(name, field)
    })
    .join(separator)
}
