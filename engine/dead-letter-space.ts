import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { HaetaeError, systemCodeOf } from '../platform/errors.ts'
import { namesIn } from './dead-letter-files.ts'

export interface SpaceOptions {
  /** Of one pipeline. */
  readonly folder: string
  /** Of all its files together. */
  readonly bytesMax: number
  /** Told what is in use whenever that changes. */
  used?(bytes: number): void
  /** Told why nothing more is taken, and undefined when it goes on. */
  paused?(reason: string | undefined): void
}

/**
 * The room that the dead letter of a pipeline may take. What is in use is counted along, and looked up in the folder at the
 * start and before anything is refused: retention or a person may have made room.
 */
export class DeadLetterSpace {
  readonly #options: SpaceOptions
  /** In the files, as last looked up and counted since; undefined before the first look. */
  #stored: number | undefined
  /** Taken by writes that are under way. */
  #taken = 0
  /** By all writes so far. */
  #written = 0
  #isPaused = false

  constructor(options: SpaceOptions) {
    this.#options = options
  }

  /** Does `write`, which adds so many bytes. Rejects with DEADLETTER_FULL, and without writing, when they are too many. */
  async take(bytes: number, write: () => Promise<void>): Promise<void> {
    if (!this.#fits(bytes)) await this.measure()
    if (!this.#fits(bytes)) throw this.#refusal()
    this.#taken += bytes
    try {
      await write()
      this.#written += bytes
      this.#stored = (this.#stored ?? 0) + bytes
      this.#options.used?.(this.#stored)
      this.#pause(undefined)
    } finally {
      this.#taken -= bytes
    }
  }

  /** Looks what is in use. */
  async measure(): Promise<void> {
    const before = this.#written
    // What is written during the look may be counted twice: that errs on the safe side, until the next look.
    this.#stored = (await bytesIn(this.#options.folder)) + this.#written - before
    this.#options.used?.(this.#stored)
  }

  #fits(bytes: number): boolean {
    return this.#stored !== undefined && this.#stored + this.#taken + bytes <= this.#options.bytesMax
  }

  #refusal(): HaetaeError {
    const { folder, bytesMax } = this.#options
    const reason =
      `the dead letter in ${folder} has reached its bound of ${bytesMax} bytes: nothing is dropped, reading stops; ` +
      'see `haetae deadletter list`, then delete files of past days there, or raise deadLetterBytesMax'
    this.#pause(reason)
    return new HaetaeError('DEADLETTER_FULL', reason)
  }

  #pause(reason: string | undefined): void {
    if (reason === undefined && !this.#isPaused) return
    this.#isPaused = reason !== undefined
    this.#options.paused?.(reason)
  }
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0
  for (const name of await namesIn(folder)) bytes += await sizeOf(join(folder, name))
  return bytes
}

/** 0 for a file that is gone since it was listed. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return 0
    throw error
  }
}
