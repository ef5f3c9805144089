import { join } from 'node:path'
import type { DuckDBConnection } from '@duckdb/node-api'
import { asError, HaetaeError } from '../errors.ts'
import type { S3Access } from '../s3.ts'
import { literal } from './duckdb.ts'

/**
 * Lets DuckDB read objects of a bucket by ranges, so that a query loads only the columns and row groups it asks for. That takes DuckDB's
 * extension httpfs: from HAETAE_DUCKDB_EXTENSIONS, a folder with `httpfs.duckdb_extension`, or else as DuckDB itself downloads and keeps it
 * (https://duckdb.org/docs/stable/core_extensions/httpfs/s3api). Throws LAKE_QUERY when it cannot be had.
 */
export async function useBucket(connection: DuckDBConnection, access: S3Access): Promise<void> {
  const folder = process.env['HAETAE_DUCKDB_EXTENSIONS']
  try {
    if (folder) await connection.run(`LOAD ${literal(join(folder, 'httpfs.duckdb_extension'))}`)
    else await connection.run('INSTALL httpfs; LOAD httpfs')
  } catch (cause) {
    const advice = folder
      ? 'the folder must hold httpfs.duckdb_extension of this DuckDB version and platform'
      : 'let this machine reach extensions.duckdb.org once, or set HAETAE_DUCKDB_EXTENSIONS to a folder with httpfs.duckdb_extension'
    const said = asError(cause).message.split('\n', 1)[0]
    throw new HaetaeError('LAKE_QUERY', `DuckDB needs its extension httpfs to read a lake on S3: ${advice} (${said})`, {
      cause,
    })
  }
  await connection.run(`CREATE OR REPLACE SECRET (${secretOf(access)})`)
}

/** Kept in the memory of this DuckDB, which shows it to no query. */
function secretOf({ accessKeyId, secretAccessKey, sessionToken, region, endpoint }: S3Access): string {
  const options = [
    'TYPE s3',
    `KEY_ID ${literal(accessKeyId)}`,
    `SECRET ${literal(secretAccessKey)}`,
    `REGION ${literal(region)}`,
  ]
  if (sessionToken) options.push(`SESSION_TOKEN ${literal(sessionToken)}`)
  if (endpoint) {
    options.push(`ENDPOINT ${literal(endpoint.host)}`, "URL_STYLE 'path'", `USE_SSL ${endpoint.protocol === 'https:'}`)
  }
  return options.join(', ')
}
