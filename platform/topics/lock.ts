import { chmodSync, closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { asError, HaetaeError } from '../errors.ts'

const LOCK_FILE = 'owner.lock'
const PID_FILE = 'owner.pid'
const SQLITE_BUSY = 5

export interface Lock {
  release(): void
}

/**
 * Makes this process the owner of the topic log, or throws TOPIC_OWNED. The lock is the kernel's: SQLite takes it on
 * its (empty) database file with fcntl, and the kernel drops it with the process, however that ends. So nothing is ever
 * stale, and of two processes that start at once exactly one wins. Nobody else may open and close that file in this
 * process: POSIX would drop the lock.
 */
export function lockFolder(folder: string): Lock {
  const path = join(folder, LOCK_FILE)
  let database: DatabaseSync
  try {
    makePrivate(path)
    database = new DatabaseSync(path, { timeout: 0 })
  } catch (cause) {
    throw unusable(folder, cause)
  }
  try {
    // Without a journal file, which a full disk could refuse.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (cause) {
    database.close()
    throw isBusy(cause) ? owned(folder, cause) : unusable(folder, cause)
  }
  const pidFile = join(folder, PID_FILE)
  try {
    writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 })
  } catch {
    // Only told to people; on a full disk the lock holds without it.
  }
  return {
    release() {
      rmSync(pidFile, { force: true })
      database.close()
    },
  }
}

/** SQLite would make it readable for everybody. Opened only where it is not there yet: see above. */
function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (cause) {
    if (!(cause instanceof Error) || !('code' in cause) || cause.code !== 'EEXIST') throw cause
    chmodSync(path, 0o600)
  }
}

function isBusy(cause: unknown): boolean {
  return cause instanceof Error && 'errcode' in cause && cause.errcode === SQLITE_BUSY
}

function unusable(folder: string, cause: unknown): HaetaeError {
  return new HaetaeError(
    'TOPIC_UNWRITABLE',
    `the topic log in ${folder} cannot be locked (${asError(cause).message}): check the disk and who owns the folder`,
    { cause },
  )
}

function owned(folder: string, cause: unknown): HaetaeError {
  return new HaetaeError(
    'TOPIC_OWNED',
    `the topic log in ${folder} belongs to another process (${ownerPid(folder)}): stop it, or set HAETAE_STATE to a ` +
      'folder of its own for this one; the commands that only ask or append talk to the owner by themselves',
    { cause },
  )
}

function ownerPid(folder: string): string {
  try {
    return `pid ${readFileSync(join(folder, PID_FILE), 'utf8').trim()}`
  } catch {
    return 'its pid is unknown'
  }
}
