import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { asError, HaetaeError, systemCodeOf } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import { syncFolder } from '../../platform/sync-folder.ts'
import { mendTail } from './tail.ts'

interface Waiting {
  readonly bytes: Buffer
  resolve(): void
  reject(error: unknown): void
}

/** What only a person can mend; everything else (a full disk, an unreachable mount) is waited for. */
const WRONG_PATH = ['EACCES', 'EEXIST', 'EPERM', 'EROFS', 'EISDIR', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']

/**
 * Appends whole lines to one file. Writes that arrive while one is under way share the next append and its one flush to
 * the disk. A failed append is cut off again, so that no torn line stays, also not one of a process that was killed.
 */
export class AppendFile {
  readonly #path: string
  readonly #bytesMax: number
  readonly #log: Log
  #waiting: Waiting[] = []
  #busy: Promise<void> | undefined
  #handle: FileHandle | undefined
  /** Length up to which the file holds whole lines that were answered for. */
  #size = 0
  /** Something may stand beyond `#size` that could not be cut off. */
  #dirty = false

  private constructor(path: string, bytesMax: number, log: Log) {
    this.#path = resolve(path)
    this.#bytesMax = bytesMax
    this.#log = log
  }

  /** Creates the file (0600) and its folders (0700). Throws SINK_MISCONFIGURED for a path that cannot be written. */
  static async open(path: string, bytesMax: number, log: Log): Promise<AppendFile> {
    const file = new AppendFile(path, bytesMax, log)
    await file.#open()
    return file
  }

  /** Resolves when the bytes are on the disk; rejects when none of them are in the file. */
  append(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, resolve, reject })
      this.#busy ??= this.#appendWaiting()
    })
  }

  async close(): Promise<void> {
    await this.#busy
    await this.#handle?.close()
    this.#handle = undefined
  }

  async #appendWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      try {
        await this.#appendNow(group.length === 1 ? group[0]!.bytes : Buffer.concat(group.map(({ bytes }) => bytes)))
        for (const waiting of group) waiting.resolve()
      } catch (error) {
        for (const waiting of group) waiting.reject(error)
      }
    }
    // In the same turn as the look at the queue: a write in between would wait for an append that never comes.
    this.#busy = undefined
  }

  async #appendNow(bytes: Buffer): Promise<void> {
    const handle = await this.#ready(bytes.length)
    try {
      for (let written = 0; written < bytes.length; ) {
        written += (await handle.write(bytes, written, bytes.length - written)).bytesWritten
      }
      await handle.datasync()
      this.#size += bytes.length
    } catch (error) {
      this.#dirty = true
      await this.#cutBack(handle).catch(() => undefined) // Tried again before the next append.
      throw error
    }
  }

  /** The file, ready to take `bytes` more. */
  async #ready(bytes: number): Promise<FileHandle> {
    if (this.#handle && this.#dirty) await this.#cutBack(this.#handle)
    if (this.#handle && !(await this.#isStillThere(this.#handle))) {
      this.#log.info('the output file was moved or deleted: a new one is begun', { path: this.#path })
      await this.#release()
    }
    if (this.#handle && this.#size > 0 && this.#size + bytes > this.#bytesMax) await this.#rotate()
    return this.#handle ?? (await this.#open())
  }

  async #open(): Promise<FileHandle> {
    const { O_APPEND, O_CREAT, O_RDWR } = constants
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
      const handle = await open(this.#path, O_APPEND | O_CREAT | O_RDWR, 0o600)
      try {
        if (!(await handle.stat()).isFile()) throw wrongPath(this.#path, 'it is not a regular file')
        this.#size = await mendTail(handle, this.#path, this.#log)
        await syncFolder(dirname(this.#path))
      } catch (error) {
        await handle.close()
        throw error
      }
      this.#handle = handle
      return handle
    } catch (thrown) {
      throw WRONG_PATH.includes(systemCodeOf(thrown)) ? wrongPath(this.#path, asError(thrown).message) : thrown
    }
  }

  async #cutBack(handle: FileHandle): Promise<void> {
    await handle.truncate(this.#size)
    this.#dirty = false
  }

  async #isStillThere(handle: FileHandle): Promise<boolean> {
    const ours = await handle.stat()
    try {
      const there = await stat(this.#path)
      return there.ino === ours.ino && there.dev === ours.dev
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return false
      throw error
    }
  }

  async #rotate(): Promise<void> {
    const folder = dirname(this.#path)
    const start = `${basename(this.#path)}.`
    const numbers = (await readdir(folder))
      .filter(name => name.startsWith(start) && /^\d{1,15}$/.test(name.slice(start.length)))
      .map(name => Number(name.slice(start.length)))
    await rename(this.#path, join(folder, `${start}${Math.max(0, ...numbers) + 1}`))
    await syncFolder(folder)
    await this.#release()
  }

  async #release(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    this.#dirty = false
    await handle?.close()
  }
}

function wrongPath(path: string, why: string): HaetaeError {
  return new HaetaeError(
    'SINK_MISCONFIGURED',
    `${path} cannot be written: ${why}; name a file that this user may write`,
  )
}
