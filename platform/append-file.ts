import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemCodeOf } from './errors.ts'
import { syncFolder } from './sync-folder.ts'

/**
 * An open file (0600 when it is made) that grows by whole pieces: what an append that failed has left in it is cut off
 * again, at once or, when the disk refuses even that, before anything else is appended. One append at a time.
 */
export class AppendFile {
  readonly #path: string
  readonly #handle: FileHandle
  /** Length up to which the file holds what was answered for. */
  #size: number
  /** Something may stand beyond `#size` that could not be cut off. */
  #dirty = false

  private constructor(path: string, handle: FileHandle, size: number) {
    this.#path = path
    this.#handle = handle
    this.#size = size
  }

  /** `mend` makes what an earlier process left end with a whole piece and answers with the length. The folder must exist. */
  static async open(path: string, mend: (handle: FileHandle) => Promise<number>): Promise<AppendFile> {
    const { O_APPEND, O_CREAT, O_RDWR } = constants
    const handle = await open(path, O_APPEND | O_CREAT | O_RDWR, 0o600)
    try {
      const size = await mend(handle)
      await syncFolder(dirname(path))
      return new AppendFile(path, handle, size)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  get size(): number {
    return this.#size
  }

  /** Resolves when the bytes are on the disk; rejects when none of them counts as written. */
  async append(bytes: Buffer): Promise<void> {
    await this.cutBack()
    try {
      for (let written = 0; written < bytes.length; ) {
        written += (await this.#handle.write(bytes, written, bytes.length - written)).bytesWritten
      }
      await this.#handle.datasync()
      this.#size += bytes.length
    } catch (error) {
      this.#dirty = true
      await this.cutBack().catch(() => undefined) // Tried again before the next append.
      throw error
    }
  }

  /** Removes what a failed append left, if there is any. Rejects when the disk refuses. */
  async cutBack(): Promise<void> {
    if (!this.#dirty) return
    await this.#handle.truncate(this.#size)
    this.#dirty = false
  }

  /** Whether the path still leads to this file with all that was appended: not moved, deleted or emptied by anybody. */
  async isStillThere(): Promise<boolean> {
    await this.cutBack()
    const ours = await this.#handle.stat()
    if (ours.size < this.#size) return false
    this.#size = ours.size // What somebody else has appended is not ours to cut off.
    try {
      const there = await stat(this.#path)
      return there.ino === ours.ino && there.dev === ours.dev
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return false
      throw error
    }
  }

  /** What could not be cut off is left to whoever opens the file next (`mend`). */
  async close(): Promise<void> {
    await this.cutBack().catch(() => undefined)
    await this.#handle.close()
  }
}

interface Waiting {
  readonly bytes: Buffer
  resolve(): void
  reject(error: unknown): void
}

/** Writes that arrive while one is under way share the next one: one append and one flush to the disk for all of them. */
export class SharedWrites {
  readonly #write: (bytes: Buffer) => Promise<void>
  #waiting: Waiting[] = []
  #busy: Promise<void> | undefined

  constructor(write: (bytes: Buffer) => Promise<void>) {
    this.#write = write
  }

  /** Resolves or rejects as the write that the bytes were part of. */
  write(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, resolve, reject })
      this.#busy ??= this.#writeWaiting()
    })
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#busy
  }

  async #writeWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      try {
        await this.#write(group.length === 1 ? group[0]!.bytes : Buffer.concat(group.map(({ bytes }) => bytes)))
        for (const waiting of group) waiting.resolve()
      } catch (error) {
        for (const waiting of group) waiting.reject(error)
      }
    }
    // In the same turn as the look at the queue: a write in between would wait for one that never comes.
    this.#busy = undefined
  }
}
