import type { Address } from '../address.ts'
import { asError } from '../errors.ts'
import { type Answers, type Database, fileStamp, loadDatabase } from './database.ts'
import { FileChanged } from './file-bytes.ts'
import type { Layout, Topic } from './records.ts'

/**
 * `ok`; `old`: built longer ago than allowed; `reload_failed`: the file was replaced by one that cannot be used, `missing`:
 * it is gone: in both, the database opened before stays in use, as far as it was not overwritten.
 */
export const databaseStates = ['ok', 'old', 'reload_failed', 'missing'] as const
export type DatabaseState = (typeof databaseStates)[number]

export interface DatabaseStatus {
  readonly topic: Topic
  readonly path: string
  readonly state: DatabaseState
  readonly layout: Layout
  readonly type: string
  readonly builtMs: number
  readonly ageDays: number
  /** What is wrong and what to do, unless `ok`. */
  readonly message: string | undefined
}

const DAY_MS = 86_400_000

/** A database that follows its file. */
export class WatchedDatabase<T extends Topic> {
  #database: Database<T>
  /** Content seen once; it is read when the next look finds the same, so that a copy in progress is left alone. */
  #settling: string | undefined
  #refused: string | undefined
  #problem: { readonly state: 'reload_failed' | 'missing'; readonly message: string } | undefined

  private constructor(database: Database<T>) {
    this.#database = database
  }

  static async open<T extends Topic>(topic: T, path: string): Promise<WatchedDatabase<T>> {
    return new WatchedDatabase(await loadDatabase(topic, path))
  }

  lookup(address: Address): Answers[T] | undefined {
    return this.#database.lookup(address)
  }

  close(): void {
    this.#database.close()
  }

  /** Looks at the file; true when another content is in use now. Never rejects. */
  async check(): Promise<boolean> {
    const { topic, path } = this.#database
    const stamp = await fileStamp(path)
    if (stamp === undefined) {
      const message = `the GeoIP ${topic} database ${path} is gone; the database opened before stays in use until the process ends: put the file back`
      this.#problem = { state: 'missing', message }
      this.#settling = undefined
      return false
    }
    if (stamp === this.#database.stamp) {
      this.#problem = undefined
      this.#settling = undefined
      return false
    }
    if (stamp === this.#refused) return false
    if (stamp !== this.#settling) {
      this.#settling = stamp
      return false
    }
    return this.#reload(stamp)
  }

  async #reload(stamp: string): Promise<boolean> {
    this.#settling = undefined
    try {
      const before = this.#database
      this.#database = await loadDatabase(before.topic, before.path)
      before.close()
      this.#refused = undefined
      this.#problem = undefined
      return true
    } catch (error) {
      if (error instanceof FileChanged) return false
      this.#refused = stamp
      const message = `${asError(error).message}; the database opened before stays in use`
      this.#problem = { state: 'reload_failed', message }
      return false
    }
  }

  status(nowMs: number, ageDaysMax: number): DatabaseStatus {
    const { topic, path, layout, type, builtMs } = this.#database
    const ageDays = Math.max(0, Math.floor((nowMs - builtMs) / DAY_MS))
    const old = `the GeoIP ${topic} database ${path} is ${ageDays} days old (ageDaysMax ${ageDaysMax}): replace it with a newer one`
    const state = this.#problem?.state ?? (ageDays > ageDaysMax ? 'old' : 'ok')
    const message = this.#problem?.message ?? (state === 'old' ? old : undefined)
    return { topic, path, state, layout, type, builtMs, ageDays, message }
  }
}
