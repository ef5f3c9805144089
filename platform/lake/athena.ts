import { HaetaeError } from '../errors.ts'
import { athenaType, named } from './columns.ts'
import type { LakeTable } from './tables.ts'
import { partitionColumns } from './views.ts'

export interface AthenaOptions {
  readonly table: LakeTable
  /** Of the lake: `s3://bucket` or `s3://bucket/prefix`. */
  readonly location: string
  readonly database?: string
  /**
   * Values that occur in the paths. With none, queries must name the value (`WHERE region = '…'`): Athena cannot list what a
   * projection does not say.
   */
  readonly regions?: readonly string[]
  readonly accounts?: readonly string[]
  /** First day, YYYY-MM-DD. */
  readonly from?: string
}

const LOCATION = /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[A-Za-z0-9!_.*()=-]+)*\/?$/
const NAME = /^[a-z0-9_]{1,128}$/
const PART = /^[A-Za-z0-9-]{1,32}$/
const DAY = /^\d{4}-\d{2}-\d{2}$/

/**
 * Two statements for one table, named as `haetae lake query` names its views: `<name>_raw`, an external table over every row of every object, with
 * partition projection (no crawler, no partitions to add), and `<name>`, a view that shows each event once. While a compaction
 * has written an object and not yet deleted those that it replaces, the table shows their events twice and the view does not: it looks once, and
 * keeps one row of each id. Statements and properties as in the Athena user guide ("CREATE TABLE", "Partition projection", "CREATE VIEW").
 * Throws USAGE for a value that could not stand in the statement.
 */
export function athenaDdl(options: AthenaOptions): string {
  const { table, database, regions = [], accounts = [], from = '2026-01-01' } = options
  check(LOCATION, options.location, 'location', 's3://bucket/prefix')
  if (database !== undefined) check(NAME, database, 'database', 'lower case letters, digits and _')
  for (const region of regions) check(PART, region, 'region', 'letters, digits and -')
  for (const account of accounts) check(PART, account, 'account', 'letters, digits and -')
  check(DAY, from, 'first day', 'YYYY-MM-DD')
  const root = `${options.location.replace(/\/$/, '')}/class=${table.name}`
  const columns = named(table.fields, (name, field) => `  \`${name}\` ${athenaType(field)}`, ',\n')
  const properties = {
    'parquet.compression': 'ZSTD',
    'projection.enabled': 'true',
    ...projection('region', regions),
    ...projection('account', accounts),
    'projection.day.type': 'date',
    'projection.day.format': 'yyyy-MM-dd',
    'projection.day.range': `${from},NOW+1DAYS`,
    'projection.day.interval': '1',
    'projection.day.interval.unit': 'DAYS',
    'storage.location.template': `${root}/${partitionColumns.map(each => `${each}=\${${each}}`).join('/')}/`,
  }
  const pairs = Object.entries(properties).map(([name, value]) => `  '${name}' = '${value}'`)
  const raw = `${table.name}_raw`
  return `CREATE EXTERNAL TABLE IF NOT EXISTS ${database ? `\`${database}\`.` : ''}\`${raw}\` (
${columns}
)
PARTITIONED BY (${partitionColumns.map(each => `\`${each}\` string`).join(', ')})
STORED AS PARQUET
LOCATION '${root}/'
TBLPROPERTIES (
${pairs.join(',\n')}
);

${onceView(table, database)}`
}

/** In Trino's dialect, as Athena runs it. What a query asks of region, account and day reaches the table: they are keys of the window. */
function onceView({ name, fields }: LakeTable, database: string | undefined): string {
  const qualified = (each: string): string => (database ? `"${database}"."${each}"` : `"${each}"`)
  const partition = partitionColumns.join(', ')
  const columns = [...Object.keys(fields).map(field => `"${field}"`), ...partitionColumns].join(', ')
  return `CREATE OR REPLACE VIEW ${qualified(name)} AS
SELECT ${columns}
FROM (
  SELECT *, row_number() OVER (PARTITION BY ${partition}, metadata.uid ORDER BY "$path") AS copy_number
  FROM ${qualified(`${name}_raw`)}
)
WHERE copy_number = 1 OR metadata.uid IS NULL;
`
}

function projection(column: string, values: readonly string[]): Record<string, string> {
  if (values.length === 0) return { [`projection.${column}.type`]: 'injected' }
  return { [`projection.${column}.type`]: 'enum', [`projection.${column}.values`]: values.join(',') }
}

function check(pattern: RegExp, value: string, what: string, shape: string): void {
  if (!pattern.test(value)) throw new HaetaeError('USAGE', `${what}: expected ${shape}, not ${JSON.stringify(value)}`)
}
