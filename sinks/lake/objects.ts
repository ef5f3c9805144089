import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { DuckDb } from '../../platform/lake/duckdb.ts'
import { syncFolder } from '../../platform/sync-folder.ts'
import type { BadRow } from './bad-rows.ts'
import { writeParquet } from './parquet.ts'
import type { Split } from './spool.ts'

/** Where objects go. A path is relative to the lake: `class=…/region=…/account=…/day=…/<name>.parquet`. */
export interface ObjectStore {
  /** True when the object is there and durable: an earlier try wrote it. */
  has(path: string): Promise<boolean>
  /**
   * Writes the rows as one object, durable when it resolves, and gives the rows that cannot be stored. `settle` is called
   * with them before the object appears, so that they are never forgotten behind an object that exists.
   */
  put(path: string, split: Split, settle: (bad: readonly BadRow[]) => Promise<void>): Promise<Put>
}
export interface Put {
  readonly rows: number
  readonly bytes: number
}

/** A temporary file is as old as this only when its process is gone. */
const ABANDONED_MS = 3_600_000
/** Below the lake, as a rename must stay within one file system; what is in it does not end in .parquet. */
const TEMP_FOLDER = '.tmp'

/** Objects as files, 0600 in folders of 0700. A file appears under its name whole and synced, or not at all. */
export class FolderObjects implements ObjectStore {
  readonly #folder: string
  readonly #workFolder: string
  readonly #db: DuckDb
  /** Folders whose entries in their parents are known to be durable. */
  readonly #synced = new Set<string>()

  /** `workFolder`: for files DuckDB reads while it writes one object. */
  constructor(folder: string, workFolder: string, db: DuckDb) {
    this.#folder = folder
    this.#workFolder = workFolder
    this.#db = db
  }

  /** Makes the folder and proves that it can be written; removes what crashed processes left half written. */
  async prepare(nowMs: number): Promise<void> {
    const temp = join(this.#folder, TEMP_FOLDER)
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    await mkdir(temp, { recursive: true, mode: 0o700 })
    const probe = await open(join(temp, `probe-${randomBytes(6).toString('hex')}`), 'wx', 0o600)
    await probe.close()
    for (const name of await readdir(temp)) {
      const path = join(temp, name)
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: nowMs }))
      if (name.startsWith('probe-') || mtimeMs < nowMs - ABANDONED_MS) await rm(path, { force: true })
    }
  }

  async has(path: string): Promise<boolean> {
    const file = join(this.#folder, path)
    try {
      await stat(file)
    } catch (error) {
      if (isMissing(error)) return false
      throw error
    }
    // It was synced before it got its name; that the name lasts is not known when its writer died.
    await this.#syncFolder(dirname(file))
    return true
  }

  async put(path: string, split: Split, settle: (bad: readonly BadRow[]) => Promise<void>): Promise<Put> {
    const target = join(this.#folder, path)
    const temp = join(this.#folder, TEMP_FOLDER, `${randomBytes(12).toString('hex')}.part`)
    try {
      const { written, bad } = await writeParquet(this.#db, split, temp, this.#workFolder)
      if (bad.length > 0) await settle(bad)
      if (written === 0) return { rows: 0, bytes: 0 }
      const bytes = await sealFile(temp)
      await mkdir(dirname(target), { recursive: true, mode: 0o700 })
      await rename(temp, target)
      await this.#syncFolder(dirname(target))
      return { rows: written, bytes }
    } finally {
      await rm(temp, { force: true })
    }
  }

  /** The folder's own entries, and once for each folder also its entry in its parent, up to the lake. */
  async #syncFolder(folder: string): Promise<void> {
    await syncFolder(folder)
    for (let at = folder; at.length > this.#folder.length && !this.#synced.has(at); at = dirname(at)) {
      await syncFolder(dirname(at))
      if (this.#synced.size >= 10_000) this.#synced.clear()
      this.#synced.add(at)
    }
  }
}

/** DuckDB makes its files readable for everybody. Returns the size. */
async function sealFile(path: string): Promise<number> {
  const handle = await open(path, 'r+')
  try {
    await handle.chmod(0o600)
    await handle.sync()
    return (await handle.stat()).size
  } finally {
    await handle.close()
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
