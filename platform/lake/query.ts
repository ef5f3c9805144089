import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { asError, HaetaeError } from '../errors.ts'
import { untrusted } from '../untrusted.ts'
import { literal } from './duckdb.ts'
import { type LakeFormat, type LakeResult, renderResult } from './render.ts'
import { lakeTables } from './tables.ts'
import { objectsPattern, tableViews, wafView } from './views.ts'

/** DuckDB's StatementType.SELECT, which DESCRIBE, SHOW, SUMMARIZE and VALUES are too. */
const SELECT = 1

/** A lake opened for reading: views `http_activity`, `http_activity_raw` and `waf` (views.ts). */
export interface LakeReader {
  /** No object at all: every view is there, without rows. */
  readonly isEmpty: boolean
  /** One SELECT. Throws LAKE_QUERY with what DuckDB says about it, made harmless for a terminal. */
  query(sql: string): Promise<LakeResult>
  close(): Promise<void>
}

export interface ReadOptions {
  readonly memoryBytesMax?: number
  /** Default: one for each processor. */
  readonly threads?: number
}

const GIB = 1024 ** 3

/**
 * Opens the lake in `folder`. Queries can read nothing outside it and write nothing at all; settings are locked. Throws LAKE_QUERY for a
 * folder that DuckDB could not name.
 */
export async function openLakeReader(folder: string, options: ReadOptions = {}): Promise<LakeReader> {
  const lake = resolve(folder)
  if (/[*?[\]{}]/.test(lake)) {
    throw new HaetaeError('LAKE_QUERY', `${lake}: DuckDB takes a folder with any of *?[]{} in its name for a pattern`)
  }
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const spill = await mkdtemp(join(tmpdir(), 'haetae-query-'))
  const instance = await DuckDBInstance.create(':memory:', {
    memory_limit: `${options.memoryBytesMax ?? GIB}B`,
    ...(options.threads === undefined ? {} : { threads: String(options.threads) }),
    temp_directory: spill,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  })
  const close = async (): Promise<void> => {
    instance.closeSync()
    await rm(spill, { recursive: true, force: true })
  }
  try {
    return await readerOf(instance, lake, close)
  } catch (thrown) {
    await close()
    throw failed(thrown)
  }
}

async function readerOf(instance: DuckDBInstance, lake: string, close: () => Promise<void>): Promise<LakeReader> {
  const connection = await instance.connect()
  let isEmpty = true
  for (const table of lakeTables) {
    const count = `SELECT count(*) FROM glob(${literal(objectsPattern(lake, table))})`
    const isTableEmpty = (await (await connection.run(count)).getRows())[0]?.[0] === 0n
    await connection.run(tableViews(lake, table, isTableEmpty))
    isEmpty &&= isTableEmpty
  }
  await connection.run(wafView)
  await connection.run(
    `SET allowed_directories = [${literal(`${lake}/`)}]; SET enable_external_access = false; SET lock_configuration = true`,
  )
  return {
    isEmpty,
    query: sql => query(connection, sql),
    async close() {
      connection.closeSync()
      await close()
    },
  }
}

async function query(connection: DuckDBConnection, sql: string): Promise<LakeResult> {
  try {
    if (sql.trim() === '') throw new Error('there is no SQL')
    const statements = await connection.extractStatements(sql)
    if (statements.count !== 1) throw new Error(`one statement at a time, not ${statements.count}`)
    const statement = await statements.prepare(0)
    if (statement.statementType !== SELECT)
      throw new Error('the lake is only read: SELECT, WITH, DESCRIBE or SUMMARIZE')
    const result = await statement.stream()
    return { columns: result.deduplicatedColumnNames(), rows: guarded(result.yieldRows()) }
  } catch (thrown) {
    throw failed(thrown)
  }
}

async function* guarded<T>(rows: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* rows
  } catch (thrown) {
    throw failed(thrown)
  }
}

function failed(thrown: unknown): HaetaeError {
  if (thrown instanceof HaetaeError) return thrown
  const said = asError(thrown).message.replaceAll('\t', '  ').split('\n', 8).map(untrusted).join('\n')
  return new HaetaeError('LAKE_QUERY', said.trim(), { cause: thrown })
}

/** The answer to one SELECT as text, in pieces; `notice` is told what a person should know besides. */
export async function* queryLake(
  folder: string,
  sql: string,
  { format, notice }: { readonly format: LakeFormat; readonly notice?: (text: string) => void },
): AsyncGenerator<string> {
  const reader = await openLakeReader(folder)
  try {
    const result = await reader.query(sql)
    if (reader.isEmpty) {
      notice?.(`the lake in ${folder} is empty: objects appear when the first events have been flushed to it`)
    }
    yield* renderResult(result, format, notice)
  } finally {
    await reader.close()
  }
}
