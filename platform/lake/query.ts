import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { asError, HaetaeError } from '../errors.ts'
import { untrusted } from '../untrusted.ts'
import { literal } from './duckdb.ts'
import { useBucket } from './httpfs.ts'
import { type LakeObject, listObjects, liveObjects } from './objects.ts'
import { openLakeStore } from './open-store.ts'
import { type LakeFormat, type LakeResult, renderResult } from './render.ts'
import type { LakeStore } from './store.ts'
import { lakeTables } from './tables.ts'
import { alertsView, auditView, findingsView, tableViews, wafView } from './views.ts'

/** DuckDB's StatementType.SELECT, which DESCRIBE, SHOW, SUMMARIZE and VALUES are too. */
const SELECT = 1

/** A lake opened for reading: for each table the views `<name>` and `<name>_raw`, and `waf`, `findings`, `alerts`, `audit` for people (views.ts). */
export interface LakeReader {
  /** No object at all: every view is there, without rows. */
  readonly isEmpty: boolean
  /** One SELECT. Throws LAKE_QUERY with what DuckDB says about it, made harmless for a terminal. */
  query(sql: string): Promise<LakeResult>
  /** An object is gone that was there: a compaction replaced it longer ago than its grace. A query fails then, it never misses rows. */
  isStale(): Promise<boolean>
  close(): Promise<void>
}

export interface ReadOptions {
  readonly memoryBytesMax?: number
  /** Default: one for each processor. */
  readonly threads?: number
}

const GIB = 1024 ** 3
const STALE_TRIES_MAX = 3

/**
 * Opens the lake at a location (HAETAE_LAKE) as it is now. Queries can read nothing outside it and write nothing at all; settings are
 * locked. Throws LAKE_QUERY for a folder that DuckDB could not name, or when DuckDB cannot reach the bucket.
 */
export async function openLakeReader(location: string, options: ReadOptions = {}): Promise<LakeReader> {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const spill = await mkdtemp(join(tmpdir(), 'haetae-query-'))
  let instance: DuckDBInstance | undefined
  let store: LakeStore | undefined
  const close = async (): Promise<void> => {
    instance?.closeSync()
    await store?.close()
    await rm(spill, { recursive: true, force: true })
  }
  try {
    store = await openLakeStore(location, spill)
    if (!store.access && /[*?[\]{}]/.test(store.location)) {
      const advice = 'DuckDB takes a folder with any of *?[]{} in its name for a pattern'
      throw new HaetaeError('LAKE_QUERY', `${store.location}: ${advice}`)
    }
    instance = await DuckDBInstance.create(':memory:', {
      memory_limit: `${options.memoryBytesMax ?? GIB}B`,
      ...(options.threads === undefined ? {} : { threads: String(options.threads) }),
      temp_directory: spill,
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    })
    return await readerOf(instance, store, spill, close)
  } catch (thrown) {
    await close()
    throw failed(thrown)
  }
}

async function readerOf(
  instance: DuckDBInstance,
  store: LakeStore,
  workFolder: string,
  close: () => Promise<void>,
): Promise<LakeReader> {
  const connection = await instance.connect()
  const objects = await showObjects(connection, store, workFolder)
  for (const view of [wafView, findingsView, alertsView, auditView]) await connection.run(view)
  await connection.run(
    `SET allowed_directories = [${literal(store.source(''))}]; SET enable_external_access = false; SET lock_configuration = true`,
  )
  return {
    isEmpty: objects.length === 0,
    query: sql => query(connection, sql),
    isStale: () => isAnyGone(store, objects),
    async close() {
      connection.closeSync()
      await close()
    },
  }
}

/** Makes the views over the objects that are there. DuckDB reads the first of them at once: where that has gone meanwhile, it lists again. */
async function showObjects(
  connection: DuckDBConnection,
  store: LakeStore,
  workFolder: string,
): Promise<readonly LakeObject[]> {
  for (let attempt = 1; ; attempt++) {
    const objects: LakeObject[] = []
    try {
      for (const table of lakeTables) {
        const own = await liveObjects(store, table, workFolder)
        if (store.access && own.length > 0 && objects.length === 0) await useBucket(connection, await store.access())
        objects.push(...own)
        const sources = own.map(({ path }) => store.source(path))
        await connection.run(tableViews(table, sources))
      }
      return objects
    } catch (thrown) {
      if (attempt === STALE_TRIES_MAX || !(await isAnyGone(store, objects))) throw thrown
    }
  }
}

/** A compaction deleted something of what was listed; the same events are in other objects now. */
async function isAnyGone(store: LakeStore, objects: readonly LakeObject[]): Promise<boolean> {
  const there = new Set<string>()
  for (const table of lakeTables) for (const { path } of await listObjects(store, table)) there.add(path)
  return objects.some(({ path }) => !there.has(path))
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
  location: string,
  sql: string,
  { format, notice }: { readonly format: LakeFormat; readonly notice?: (text: string) => void },
): AsyncGenerator<string> {
  for (let attempt = 1; ; attempt++) {
    const reader = await openLakeReader(location)
    let begun = false
    try {
      const result = await reader.query(sql)
      if (reader.isEmpty) {
        notice?.(`the lake in ${location} is empty: objects appear when the first events have been flushed to it`)
      }
      for await (const piece of renderResult(result, format, notice)) {
        begun = true
        yield piece
      }
      return
    } catch (thrown) {
      if (begun || attempt === STALE_TRIES_MAX || !(await reader.isStale())) throw thrown
    } finally {
      await reader.close()
    }
  }
}
