import { randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { readJson } from '../../platform/lake/columns.ts'
import { type DuckDb, literal } from '../../platform/lake/duckdb.ts'
import type { LakeStore, StoredObject } from '../../platform/lake/store.ts'
import { lakeTables, partitionOf } from '../../platform/lake/tables.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'

/** A DuckDB of a test, without the bounds of production. */
export async function plainDuckDb(): Promise<DuckDb> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', preserve_insertion_order: 'false' })
  const connection = await instance.connect()
  return {
    async run(sql) {
      await connection.run(sql)
    },
    rows: async sql => (await connection.runAndReadAll(sql)).getRows(),
    close() {
      connection.closeSync()
      instance.closeSync()
      return Promise.resolve()
    },
  }
}

/** Stores events as one object of their partition, as a sink would; gives its path. */
export async function putEvents(
  store: LakeStore,
  db: DuckDb,
  name: string,
  events: readonly OcsfEvent[],
): Promise<string> {
  const partition = partitionOf(events[0]!)
  if (typeof partition === 'string') throw new Error(partition)
  const start = join(store.partsFolder, randomBytes(6).toString('hex'))
  writeFileSync(`${start}.ndjson`, events.map(event => `${JSON.stringify(event)}\n`).join(''))
  const rows = readJson(lakeTables[0]!.fields, [`${start}.ndjson`])
  await db.run(`COPY (SELECT * FROM ${rows}) TO ${literal(`${start}.part`)} (FORMAT parquet, COMPRESSION zstd)`)
  const path = `${partition.path}/${name}.parquet`
  await store.putNew(path, `${start}.part`)
  for (const ending of ['ndjson', 'part']) rmSync(`${start}.${ending}`)
  return path
}

/** The moment between two steps, or instead of one. */
type Step = 'putNew' | 'get' | 'remove' | 'sizeOf' | 'list'

/** A store whose clock is the test's, and that tells of each step before and after. */
export class WatchedStore implements LakeStore {
  readonly location: string
  readonly partsFolder: string
  readonly #store: LakeStore
  /** When each object was stored, by the test's clock. */
  readonly times: Map<string, number>
  readonly #now: () => number
  /** Its process was killed: nothing is done any more. */
  isDead = false
  onStep: (when: 'before' | 'after', step: Step, path: string) => Promise<void> | void = () => undefined

  constructor(store: LakeStore, now: () => number, times = new Map<string, number>()) {
    this.#store = store
    this.location = store.location
    this.partsFolder = store.partsFolder
    this.#now = now
    this.times = times
  }

  prepare(nowMs: number): Promise<void> {
    return this.#store.prepare(nowMs)
  }

  sizeOf(path: string): Promise<number | undefined> {
    return this.#step('sizeOf', path, () => this.#store.sizeOf(path))
  }

  putNew(path: string, file: string): Promise<'stored' | 'present'> {
    return this.#step('putNew', path, async () => {
      const result = await this.#store.putNew(path, file)
      if (result === 'stored') this.times.set(path, this.#now())
      return result
    })
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    await this.#tell('before', 'list', prefix)
    for await (const object of this.#store.list(prefix)) {
      yield { ...object, modifiedMs: this.times.get(object.path) ?? object.modifiedMs }
    }
    await this.#tell('after', 'list', prefix)
  }

  get(path: string, file: string): Promise<boolean> {
    return this.#step('get', path, () => this.#store.get(path, file))
  }

  remove(path: string): Promise<void> {
    return this.#step('remove', path, () => this.#store.remove(path))
  }

  source(path: string): string {
    return this.#store.source(path)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  async #step<T>(step: Step, path: string, task: () => Promise<T>): Promise<T> {
    await this.#tell('before', step, path)
    const result = await task()
    await this.#tell('after', step, path)
    return result
  }

  async #tell(when: 'before' | 'after', step: Step, path: string): Promise<void> {
    if (this.isDead) throw new Error('the process is dead')
    await this.onStep(when, step, path)
    if (this.isDead) throw new Error('the process is dead')
  }
}
