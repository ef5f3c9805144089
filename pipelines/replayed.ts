import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { KeptLetter } from '../engine/dead-letter-files.ts'
import { systemCodeOf } from '../platform/errors.ts'

/** The beginning of the record's id, so that a mark is for this letter whatever happened to the file. */
const ID_BYTES = 16
const MARK_BYTES = ID_BYTES + 1
const MARKS_AT_ONCE = 4_096

/**
 * Which dead letters were replayed: next to each `<day>.ndjson` a `<day>.replayed`, 0600, with one mark of fixed length for
 * each of its lines, empty (NUL) for those that were not. It is read along with the letters, a piece at a time, and goes
 * with them when their retention ends.
 */
export class ReplayedMarks {
  readonly #piece = Buffer.alloc(MARKS_AT_ONCE * MARK_BYTES)
  #path: string | undefined
  #file: FileHandle | undefined
  #firstLine = -1

  /** Letters are asked for in the order of their files. */
  async has({ letter, path, line }: KeptLetter): Promise<boolean> {
    if (path !== this.#path) await this.#open(path)
    if (!this.#file) return false
    const firstLine = line - (line % MARKS_AT_ONCE)
    if (firstLine !== this.#firstLine) {
      this.#piece.fill(0)
      await this.#file.read(this.#piece, 0, this.#piece.length, firstLine * MARK_BYTES)
      this.#firstLine = firstLine
    }
    const at = (line - firstLine) * MARK_BYTES
    return this.#piece.toString('latin1', at, at + ID_BYTES) === letter.id.slice(0, ID_BYTES)
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
    this.#path = undefined
  }

  async #open(path: string): Promise<void> {
    await this.close()
    this.#path = path
    this.#firstLine = -1
    try {
      this.#file = await open(marksOf(path), 'r')
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw error // Else nothing of this day was replayed yet.
    }
  }
}

/** Resolves when the marks are durable. */
export async function markReplayed(letters: readonly KeptLetter[]): Promise<void> {
  for (const [path, ofFile] of Map.groupBy(letters, ({ path }) => path)) {
    const file = await open(marksOf(path), constants.O_CREAT | constants.O_WRONLY, 0o600)
    try {
      for (const { letter, line } of ofFile) {
        await file.write(`${letter.id.slice(0, ID_BYTES)}\n`, line * MARK_BYTES, 'latin1')
      }
      await file.sync()
    } finally {
      await file.close()
    }
  }
}

function marksOf(path: string): string {
  return path.replace(/\.ndjson$/, '.replayed')
}
