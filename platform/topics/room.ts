import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'

/** With this much free disk nothing is written ahead: that somebody fills it within one commit is not foreseen. */
const AMPLE_BYTES = 64 * 1024 * 1024
/** Room that appends leave for positions and deletions, which make room. */
const UPKEEP_BYTES = 2 * 1024 * 1024
/** Pages of the trees that one write may touch, and those that one transaction may touch besides. */
const WRITE_OVERHEAD_BYTES = 16 * 1024
const TRANSACTION_OVERHEAD_BYTES = 256 * 1024
const RESERVE_FILE = 'reserve'
const RESERVE_BYTES = 4 * 1024 * 1024
const ZEROS = Buffer.alloc(256 * 1024)

export interface RoomOptions {
  readonly folder: string
  readonly file: string
  /** End of the last page that a transaction has used so far. */
  usedBytes(): number
  /** Before that end, what was deleted and not written again. */
  freeBytesInside(): number
}

/** What a transaction needs. */
export interface Need {
  readonly bytes: number
  readonly writes: number
  /** Appends leave room for upkeep. */
  readonly appends: boolean
}

/**
 * Sees to it that LMDB never meets a full disk: lmdb-js answers ENOSPC by printing into a buffer that is too small
 * (mdb.c, mdb_page_flush: sprintf of `last_error`, 100 bytes), which kills the process sooner or later. So on a disk that is not
 * ample, the file is extended here first, with zeros beyond its end, where a full disk is an ordinary error. What was
 * written ahead stays and serves the next transaction. (A file system that copies on write cannot promise it.)
 */
export class LogRoom {
  readonly #options: RoomOptions
  #handle: FileHandle | undefined

  constructor(options: RoomOptions) {
    this.#options = options
    this.restoreReserve()
  }

  /** Only between transactions. Rejects with the error of the file system, mostly ENOSPC. */
  async prepare({ bytes, writes, appends }: Need): Promise<void> {
    const own = bytes + writes * WRITE_OVERHEAD_BYTES + TRANSACTION_OVERHEAD_BYTES
    // Pages that were freed come first, so that the room past the end is only insurance then.
    const need = own + (appends && this.#options.freeBytesInside() < own ? UPKEEP_BYTES : 0)
    if (this.#freeBytes() >= AMPLE_BYTES + 2 * need) return
    const end = this.#options.usedBytes() + need
    try {
      await this.#extendTo(end)
    } catch (error) {
      if (!existsSync(this.#reserve)) throw error
      rmSync(this.#reserve)
      await this.#extendTo(end)
    }
  }

  /**
   * Disk space set aside for the case that somebody else fills the disk between two transactions. As room in the file
   * it serves for good: what upkeep deletes is used again inside the file.
   */
  restoreReserve(): void {
    if (existsSync(this.#reserve) || this.#freeBytes() < 4 * RESERVE_BYTES) return
    try {
      const file = openSync(this.#reserve, 'w', 0o600)
      try {
        // Random, as a file system may store a row of zeros in no space at all.
        writeSync(file, randomBytes(RESERVE_BYTES))
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
    } catch {
      rmSync(this.#reserve, { force: true }) // Tried again with the next upkeep.
    }
  }

  async close(): Promise<void> {
    await this.#handle?.close()
    this.#handle = undefined
  }

  async #extendTo(end: number): Promise<void> {
    this.#handle ??= await open(join(this.#options.folder, this.#options.file), 'r+')
    let { size } = await this.#handle.stat()
    while (size < end) {
      const { bytesWritten } = await this.#handle.write(ZEROS, 0, Math.min(ZEROS.length, end - size), size)
      size += bytesWritten
    }
  }

  #freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#options.folder)
    return bavail * bsize
  }

  get #reserve(): string {
    return join(this.#options.folder, RESERVE_FILE)
  }
}
