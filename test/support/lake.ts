import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { openLakeReader } from '../../platform/lake/query.ts'

/** How often each http_request.uid stands in the Parquet files of a lake, read without any help of Haetae's own query. */
export function rowsByRequestUid(lakeFolder: string): Promise<Map<string, number>> {
  return rowsByUid(lakeFolder, 'http_request.uid')
}

/** The same for another id. */
export async function rowsByUid(
  lakeFolder: string,
  id: 'http_request.uid' | 'metadata.uid',
): Promise<Map<string, number>> {
  if (!existsSync(lakeFolder) || parquetFiles(lakeFolder).length === 0) return new Map()
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    const files = `${lakeFolder.replaceAll("'", "''")}/**/*.parquet`
    const result = await connection.runAndReadAll(
      `SELECT ${id} AS uid, count(*)::INTEGER AS rows FROM read_parquet('${files}') GROUP BY 1`,
    )
    return new Map(result.getRows().map(([uid, rows]) => [String(uid), Number(rows)]))
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

/** The answer of Haetae's own query. */
export async function rowsOf(lake: string, sql: string): Promise<unknown[][]> {
  const reader = await openLakeReader(lake, { threads: 1 })
  try {
    const rows: unknown[][] = []
    for await (const chunk of (await reader.query(sql)).rows) rows.push(...chunk.map(row => [...row]))
    return rows
  } finally {
    await reader.close()
  }
}

/** Paths of the Parquet objects below a folder. */
export function objectsIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.parquet'))
    .sort()
}

function parquetFiles(folder: string): string[] {
  return objectsIn(folder)
    .map(name => join(folder, name))
    .filter(path => statSync(path).isFile())
}
