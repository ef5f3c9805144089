import { mkdir, readdir, rename } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { AppendFile, SharedWrites } from '../../platform/append-file.ts'
import { asError, HaetaeError, systemCodeOf } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import { syncFolder } from '../../platform/sync-folder.ts'
import { mendTail } from './tail.ts'

/** What only a person can mend; everything else (a full disk, an unreachable mount) is waited for. */
const WRONG_PATH = ['EACCES', 'EEXIST', 'EPERM', 'EROFS', 'EISDIR', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']

/** The file that whole lines are appended to: put aside when it is full, opened anew when somebody took it away. */
export class OutputFile {
  readonly #path: string
  readonly #bytesMax: number
  readonly #log: Log
  readonly #writes = new SharedWrites(bytes => this.#append(bytes))
  #file: AppendFile | undefined

  private constructor(path: string, bytesMax: number, log: Log) {
    this.#path = resolve(path)
    this.#bytesMax = bytesMax
    this.#log = log
  }

  /** Creates the file (0600) and its folders (0700). Throws SINK_MISCONFIGURED for a path that cannot be written. */
  static async open(path: string, bytesMax: number, log: Log): Promise<OutputFile> {
    const output = new OutputFile(path, bytesMax, log)
    output.#file = await output.#open()
    return output
  }

  /** Resolves when the bytes are on the disk; rejects when none of them are in the file. */
  append(bytes: Buffer): Promise<void> {
    return this.#writes.write(bytes)
  }

  async close(): Promise<void> {
    await this.#writes.idle()
    await this.#release()
  }

  async #append(bytes: Buffer): Promise<void> {
    if (this.#file && !(await this.#file.isStillThere())) {
      this.#log.info('the output file was moved, deleted or emptied: a new one is begun', { path: this.#path })
      await this.#release()
    }
    if (this.#file && this.#file.size > 0 && this.#file.size + bytes.length > this.#bytesMax) await this.#rotate()
    this.#file ??= await this.#open()
    await this.#file.append(bytes)
  }

  async #open(): Promise<AppendFile> {
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
      return await AppendFile.open(this.#path, async handle => {
        if (!(await handle.stat()).isFile()) throw wrongPath(this.#path, 'it is not a regular file')
        return mendTail(handle, this.#path, this.#log)
      })
    } catch (thrown) {
      throw WRONG_PATH.includes(systemCodeOf(thrown)) ? wrongPath(this.#path, asError(thrown).message) : thrown
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
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }
}

function wrongPath(path: string, why: string): HaetaeError {
  return new HaetaeError(
    'SINK_MISCONFIGURED',
    `${path} cannot be written: ${why}; name a file that this user may write`,
  )
}
