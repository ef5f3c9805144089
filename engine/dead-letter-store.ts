import { type FileHandle, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppendFile, SharedWrites } from '../platform/append-file.ts'
import type { DeadLetter } from './contract.ts'
import { encodeDeadLetter } from './dead-letter.ts'
import { DeadLetterSpace, type SpaceOptions } from './dead-letter-space.ts'
import type { DeadLetterStore } from './write.ts'

export interface DeadLetterOptions extends SpaceOptions {
  now(): number
}

/**
 * The dead letter of one pipeline on disk: `<folder>/<YYYY-MM-DD>.ndjson`, the folder 0700, files 0600, as they hold
 * unredacted bytes. Its folder must be this object's alone: two that append would cut off each other's lines. A failed
 * append leaves no torn line behind, and no write is taken past the bound of the space.
 */
export class DeadLetterFile implements DeadLetterStore {
  readonly #options: DeadLetterOptions
  readonly #space: DeadLetterSpace
  readonly #writes = new SharedWrites(bytes => this.#append(bytes))
  #today: { readonly day: string; readonly file: AppendFile } | undefined

  constructor(options: DeadLetterOptions) {
    this.#options = options
    this.#space = new DeadLetterSpace(options)
  }

  async write(letters: readonly DeadLetter[]): Promise<void> {
    const bytes = Buffer.from(letters.map(letter => `${encodeDeadLetter(letter)}\n`).join(''))
    await this.#space.take(bytes.length, () => this.#writes.write(bytes))
  }

  /** Looks at the folder again: files may have gone. */
  measure(): Promise<void> {
    return this.#space.measure()
  }

  async close(): Promise<void> {
    await this.#writes.idle()
    await this.#release()
  }

  async #append(bytes: Buffer): Promise<void> {
    const file = await this.#file()
    await file.append(bytes)
  }

  async #file(): Promise<AppendFile> {
    const day = new Date(this.#options.now()).toISOString().slice(0, 10)
    if (this.#today?.day === day && (await this.#today.file.isStillThere())) return this.#today.file
    // Nobody opens the file of a past day again: a torn line must not stay in it.
    await this.#today?.file.cutBack()
    await this.#release()
    const { folder } = this.#options
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const file = await AppendFile.open(join(folder, `${day}.ndjson`), mended)
    this.#today = { day, file }
    return file
  }

  async #release(): Promise<void> {
    const open = this.#today
    this.#today = undefined
    await open?.file.close()
  }
}

/** Cuts off what a crash left behind the last line feed: it was never acknowledged. Closes what somebody opened up to others. */
async function mended(handle: FileHandle): Promise<number> {
  await handle.chmod(0o600)
  const size = await wholeLines(handle)
  await handle.truncate(size)
  return size
}

/** Size up to and including the last line feed. */
async function wholeLines(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat()
  const window = Buffer.alloc(64 * 1024)
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - window.length)
    const { bytesRead } = await handle.read(window, 0, end - start, start)
    const at = window.subarray(0, bytesRead).lastIndexOf(0x0a)
    if (at >= 0) return start + at + 1
    end = start
  }
  return 0
}
