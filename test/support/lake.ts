import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'

/** How often each http_request.uid stands in the Parquet files of a lake, read without any help of Haetae's own query. */
export async function rowsByRequestUid(lakeFolder: string): Promise<Map<string, number>> {
  if (!existsSync(lakeFolder) || parquetFiles(lakeFolder).length === 0) return new Map()
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    const files = `${lakeFolder.replaceAll("'", "''")}/**/*.parquet`
    const result = await connection.runAndReadAll(
      `SELECT http_request.uid AS uid, count(*)::INTEGER AS rows FROM read_parquet('${files}') GROUP BY 1`,
    )
    return new Map(result.getRows().map(([uid, rows]) => [String(uid), Number(rows)]))
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

function parquetFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.parquet'))
    .map(name => join(folder, name))
    .filter(path => statSync(path).isFile())
}
