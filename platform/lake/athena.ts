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
 * CREATE EXTERNAL TABLE for the objects of one table, with partition projection: no crawler, no partitions to add. Statement
 * and properties as in the Athena user guide ("CREATE TABLE", "Partition projection"). Throws USAGE for a value that could not
 * stand in the statement.
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
  return `CREATE EXTERNAL TABLE IF NOT EXISTS ${database ? `\`${database}\`.` : ''}\`${table.name}\` (
${columns}
)
PARTITIONED BY (${partitionColumns.map(each => `\`${each}\` string`).join(', ')})
STORED AS PARQUET
LOCATION '${root}/'
TBLPROPERTIES (
${pairs.join(',\n')}
);
`
}

function projection(column: string, values: readonly string[]): Record<string, string> {
  if (values.length === 0) return { [`projection.${column}.type`]: 'injected' }
  return { [`projection.${column}.type`]: 'enum', [`projection.${column}.values`]: values.join(',') }
}

function check(pattern: RegExp, value: string, what: string, shape: string): void {
  if (!pattern.test(value)) throw new HaetaeError('USAGE', `${what}: expected ${shape}, not ${JSON.stringify(value)}`)
}
