import { type FileHandle, open, readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../platform/clock.ts'
import { asError, systemCodeOf } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { DeadLetter } from './contract.ts'
import { decodeDeadLetter } from './dead-letter.ts'

const DAY_MS = 86_400_000

/** A dead letter and where it is: `line` of the file `path`, counted from 0. Files only grow, so this stays. */
export interface KeptLetter {
  readonly letter: DeadLetter
  readonly path: string
  readonly line: number
}

/** Every readable dead letter below `folder`, by pipeline and then oldest file first, one in memory at a time. */
export async function* readDeadLetters(folder: string): AsyncGenerator<KeptLetter> {
  for (const pipeline of await namesIn(folder)) {
    if (!(await isFolder(join(folder, pipeline)))) continue
    for (const name of await namesIn(join(folder, pipeline))) {
      if (name.endsWith('.ndjson')) yield* readFile(join(folder, pipeline, name))
    }
  }
}

async function* readFile(path: string): AsyncGenerator<KeptLetter> {
  const handle = await openIfThere(path)
  if (!handle) return // Past its retention since it was listed.
  try {
    let line = 0
    for await (const text of handle.readLines()) {
      const letter = decodeDeadLetter(text)
      if (letter) yield { letter, path, line }
      line++
    }
  } finally {
    await handle.close()
  }
}

export interface RetentionOptions {
  /** Of one pipeline. What lies there for a day, `<YYYY-MM-DD>.<ending>`, goes when that day is past its retention. */
  readonly folder: string
  readonly retentionDays: number
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
  /** Called after each round. */
  done?(): Promise<void>
}

/**
 * Removes what is past its retention, now and then once a day until `signal` aborts, whether anything is written or not.
 * Never rejects: what cannot be removed is said in the log and tried again a day later.
 */
export async function keepRetention(options: RetentionOptions): Promise<void> {
  const { folder, retentionDays, clock, log, signal } = options
  while (!signal.aborted) {
    try {
      await removeOlder(folder, clock.now() - retentionDays * DAY_MS)
      await options.done?.()
    } catch (thrown) {
      log.warn('dead letters past their retention cannot be removed', { folder, error: asError(thrown).message })
    }
    await clock.wait(DAY_MS, signal)
  }
}

async function removeOlder(folder: string, beforeMs: number): Promise<void> {
  for (const name of await namesIn(folder)) {
    const day = /^(\d{4}-\d{2}-\d{2})\.(ndjson|replayed)$/.exec(name)?.[1]
    if (day && Date.parse(day) + DAY_MS < beforeMs) await unlink(join(folder, name))
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Empty where no dead letter was ever written. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return []
    throw error
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path)).isDirectory()
}
