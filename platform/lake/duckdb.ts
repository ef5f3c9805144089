import { rm } from 'node:fs/promises'
import type { DuckDBConnection, DuckDBInstance, DuckDBValue } from '@duckdb/node-api'
import { asError } from '../errors.ts'

export interface DuckDbSettings {
  readonly memoryBytesMax: number
  readonly threads: number
  /** Where it may spill, up to `tempBytesMax`; emptied at the start. Of the first that opens it, if it is shared. */
  readonly tempFolder: string
  readonly tempBytesMax: number
}

/** DuckDB for writing lake files, in memory. Statements run one at a time, on a thread of libuv's pool: the event loop goes on. */
export interface DuckDb {
  run(sql: string): Promise<void>
  /** The whole answer: for a few rows. */
  rows(sql: string): Promise<DuckDBValue[][]>
  /** Waits for the statement that is running, or interrupts it. */
  close(): Promise<void>
}

interface Shared {
  readonly connection: Promise<DuckDBConnection>
  instance: DuckDBInstance | undefined
  users: number
  queue: Promise<unknown>
}

/** Instances by limits: sinks of one process that ask for the same share one, so that its memory counts once. */
const instances = new Map<string, Shared>()

export function instanceKey({ memoryBytesMax, threads }: Pick<DuckDbSettings, 'memoryBytesMax' | 'threads'>): string {
  return `${memoryBytesMax} ${threads}`
}

export async function openDuckDb(settings: DuckDbSettings): Promise<DuckDb> {
  const key = instanceKey(settings)
  const shared = instances.get(key) ?? start(key, settings)
  shared.users++
  const connection = await shared.connection
  let closed = false
  let running = false
  const exclusive = <T>(task: (connected: DuckDBConnection) => Promise<T>): Promise<T> => {
    const next = shared.queue.then(async () => {
      if (closed) throw new Error('DuckDB was closed')
      running = true
      try {
        return await task(connection)
      } finally {
        running = false
      }
    })
    shared.queue = next.catch(() => undefined)
    return next
  }
  return {
    run: async sql => void (await exclusive(connected => connected.run(sql))),
    rows: sql => exclusive(async connected => (await connected.runAndReadAll(sql)).getRows()),
    async close() {
      if (closed) return
      closed = true
      if (running) connection.interrupt()
      await shared.queue
      if (--shared.users > 0) return
      instances.delete(key)
      connection.closeSync()
      shared.instance?.closeSync()
    },
  }
}

function start(key: string, settings: DuckDbSettings): Shared {
  const shared: Shared = { connection: connect(), instance: undefined, users: 0, queue: Promise.resolve() }
  instances.set(key, shared)
  shared.connection.catch(() => instances.delete(key))
  return shared

  async function connect(): Promise<DuckDBConnection> {
    await rm(settings.tempFolder, { recursive: true, force: true })
    // The native library is large: it is loaded when the first lake opens, not by every command.
    const { DuckDBInstance } = await import('@duckdb/node-api')
    const instance = await DuckDBInstance.create(':memory:', {
      memory_limit: `${settings.memoryBytesMax}B`,
      threads: String(settings.threads),
      temp_directory: settings.tempFolder,
      max_temp_directory_size: `${settings.tempBytesMax}B`,
      // Freed memory goes back at once: without this, resident memory grows by another 100 MiB over the first few
      // files and stays there (docs/performance.md); it costs no measurable time.
      allocator_flush_threshold: '1MB',
      allocator_bulk_deallocation_flush_threshold: '1MB',
      // Rows come in the order of the files anyway, and only without this promise are row groups bounded by bytes.
      preserve_insertion_order: 'false',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    })
    shared.instance = instance
    return instance.connect()
  }
}

/** A value or path as an SQL literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** True when the statement failed over the rows it read, so that trying again cannot help. */
export function isRowError(thrown: unknown): boolean {
  return /^(Invalid Input|Conversion|Out of Range) Error/.test(asError(thrown).message)
}
