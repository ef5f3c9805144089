import { randomBytes } from 'node:crypto'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { LakeStore } from '../../platform/lake/store.ts'
import type { Log } from '../../platform/log.ts'
import type { Split } from './spool.ts'

/** A row that cannot be in its object. */
export interface BadRow {
  /** In the split. */
  readonly row: number
  /** What who made the file said. */
  readonly problem: string
}

/** Where objects go. A path is relative to the lake or the prefix: `class=…/region=…/account=…/day=…/<name>.parquet`. */
export interface ObjectStore {
  /** True when the object is there and durable: an earlier try wrote it. */
  has(path: string): Promise<boolean>
  /**
   * Writes the rows as one object, durable when it resolves, and gives the rows that cannot be stored. `settle` is called
   * with them before the object appears, so that they are never forgotten behind an object that exists.
   */
  put(path: string, split: Split, settle: (bad: readonly BadRow[]) => Promise<void>, signal: AbortSignal): Promise<Put>
}
export interface Put {
  readonly rows: number
  readonly bytes: number
}

/** Writes the rows of a split into a file, and gives those that cannot be in it. */
export type MakeFile = (
  split: Split,
  file: string,
) => Promise<{ readonly written: number; readonly bad: readonly BadRow[] }>

/** A file whose rows were settled; its object could not be stored yet. */
interface Ready extends Put {
  readonly path: string
  readonly file: string
}

/** Makes files and stores them. One `put` at a time. */
export class MadeObjects implements ObjectStore {
  readonly #store: LakeStore
  readonly #make: MakeFile
  readonly #log: Log
  /** Kept over a failed try: while the store is away, nothing is written again and again. */
  #ready: Ready | undefined

  constructor(store: LakeStore, make: MakeFile, log: Log) {
    this.#store = store
    this.#make = make
    this.#log = log
  }

  async has(path: string): Promise<boolean> {
    return (await this.#store.sizeOf(path)) !== undefined
  }

  async put(
    path: string,
    split: Split,
    settle: (bad: readonly BadRow[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<Put> {
    if (this.#ready?.path !== path) await this.forget()
    this.#ready ??= await this.#write(path, split, settle)
    const ready = this.#ready
    if (ready.rows > 0 && (await this.#store.putNew(path, ready.file, signal)) === 'present') await this.#compare(ready)
    await this.forget()
    return ready
  }

  async forget(): Promise<void> {
    const file = this.#ready?.file
    this.#ready = undefined
    if (file !== undefined) await rm(file, { force: true })
  }

  async #write(path: string, split: Split, settle: (bad: readonly BadRow[]) => Promise<void>): Promise<Ready> {
    const file = join(this.#store.partsFolder, `${randomBytes(12).toString('hex')}.part`)
    try {
      const { written, bad } = await this.#make(split, file)
      if (bad.length > 0) await settle(bad)
      return { path, file, rows: written, bytes: written === 0 ? 0 : (await stat(file)).size }
    } catch (thrown) {
      await rm(file, { force: true })
      throw thrown
    }
  }

  /**
   * Somebody else stored this range first, or we did and did not hear of it. The records are the same; their bytes may differ when they were
   * enriched by another GeoIP file or written by another version, which a person should know of.
   */
  async #compare({ path, bytes }: Ready): Promise<void> {
    const stored = await this.#store.sizeOf(path)
    if (stored === undefined) throw new Error(`${path} is said to be there, and is not`)
    if (stored === bytes) return
    this.#log.warn('an object was there already, and is not as large as ours: the one that was there stays', {
      path,
      stored,
      ours: bytes,
    })
  }
}
