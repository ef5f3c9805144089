import { constants, statfsSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Open files of the spool at most; a hostile spread of days and Regions must not use up the process's file descriptors. */
const OPEN_MAX = 64

/** Free disk space that the spool leaves alone: the topic log, most often on the same disk, must still be able to commit. */
const KEPT_FREE_BYTES = 4 * 1024 * 1024

/** Append-only files, the recently used ones kept open. One user at a time. */
export class AppendFiles {
  readonly #open = new Map<string, FileHandle>()

  /**
   * Writes `bytes` at `offset`, where the caller knows the file to end. After a failure the same call may be made again: it writes over what
   * the failed one left.
   */
  async write(path: string, parts: readonly Buffer[], offset: number): Promise<void> {
    const file = await this.#get(path)
    assertRoom(path, parts)
    for (const bytes of parts) {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset)
        done += bytesWritten
        offset += bytesWritten
      }
    }
  }

  async close(path: string): Promise<void> {
    const file = this.#open.get(path)
    this.#open.delete(path)
    await file?.close()
  }

  async closeAll(): Promise<void> {
    for (const path of this.#open.keys()) await this.close(path)
  }

  async #get(path: string): Promise<FileHandle> {
    const known = this.#open.get(path)
    if (known) {
      this.#open.delete(path)
      this.#open.set(path, known)
      return known
    }
    for (const oldest of this.#open.keys()) {
      if (this.#open.size < OPEN_MAX) break
      await this.close(oldest)
    }
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600)
    this.#open.set(path, file)
    return file
  }
}

function assertRoom(path: string, parts: readonly Buffer[]): void {
  const { bavail, bsize } = statfsSync(dirname(path))
  const bytes = parts.reduce((sum, part) => sum + part.length, 0)
  if (bavail * bsize < KEPT_FREE_BYTES + bytes) {
    const message = 'too little disk space is left for the spool of the lake'
    throw Object.assign(new Error(message), { code: 'ENOSPC', syscall: 'write' })
  }
}
