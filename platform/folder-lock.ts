import { chmodSync, closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { asError, type HaetaeError, systemCodeOf } from './errors.ts'

const LOCK_FILE = 'owner.lock'
const PID_FILE = 'owner.pid'
const SQLITE_BUSY = 5

/** Locks that are held. An open database that nobody refers to is closed by the garbage collection, and its lock with it. */
const held = new Set<DatabaseSync>()

export interface FolderLock {
  release(): void
}

/** What is said to a person when the lock is not to be had. */
export interface LockErrors {
  /** `owner` as `pid 123`. */
  taken(owner: string, options: ErrorOptions): HaetaeError
  /** The lock file itself cannot be used. */
  unusable(why: string, options: ErrorOptions): HaetaeError
}

/**
 * Makes this process the owner of a folder, or throws what `errors` say. The lock is the kernel's: SQLite takes it on its
 * (empty) database file with fcntl, and the kernel drops it with the process, however that ends. So nothing is ever
 * stale, and of two processes that start at once exactly one wins. Nobody else may open and close that file in this
 * process: POSIX would drop the lock.
 */
export function lockFolder(folder: string, errors: LockErrors): FolderLock {
  const path = join(folder, LOCK_FILE)
  const unusable = (cause: unknown): HaetaeError => errors.unusable(asError(cause).message, { cause })
  let database: DatabaseSync
  try {
    makePrivate(path)
    database = new DatabaseSync(path, { timeout: 0 })
  } catch (cause) {
    throw unusable(cause)
  }
  try {
    // Without a journal file, which a full disk could refuse.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (cause) {
    database.close()
    throw isBusy(cause) ? errors.taken(ownerOf(folder), { cause }) : unusable(cause)
  }
  held.add(database)
  const pidFile = join(folder, PID_FILE)
  try {
    writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 })
  } catch {
    // Only told to people; on a full disk the lock holds without it.
  }
  return {
    release() {
      rmSync(pidFile, { force: true })
      held.delete(database)
      database.close()
    },
  }
}

/** SQLite would make it readable for everybody. Opened only where it is not there yet: see above. */
function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (cause) {
    if (systemCodeOf(cause) !== 'EEXIST') throw cause
    chmodSync(path, 0o600)
  }
}

function isBusy(cause: unknown): boolean {
  return cause instanceof Error && 'errcode' in cause && cause.errcode === SQLITE_BUSY
}

function ownerOf(folder: string): string {
  try {
    return `pid ${readFileSync(join(folder, PID_FILE), 'utf8').trim()}`
  } catch {
    return 'its pid is unknown'
  }
}
