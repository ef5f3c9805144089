import { constants } from 'node:fs'
import { chmod, type FileHandle, mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { syncFolder } from '../platform/sync-folder.ts'
import { type DeadLetter, type Event, kinds } from './contract.ts'
import type { DeadLetterStore } from './write.ts'

/** How much of an event over the size bound is kept. */
export const OVERSIZE_KEPT_BYTES = 64 * 1024
const REASON_CHARS_MAX = 2_000

export function deadLetterOf(
  event: Event,
  pipeline: string,
  stage: string,
  reason: string,
  timeMs: number,
): DeadLetter {
  const { id, kind, origin, raw } = event
  const kept = reason.startsWith('oversize') ? raw.subarray(0, OVERSIZE_KEPT_BYTES) : raw
  return { id, kind, pipeline, stage, reason: reason.slice(0, REASON_CHARS_MAX), timeMs, origin, raw: kept }
}

/** One line of a dead letter file. `raw` is base64 of the bytes as received. */
const line = z.strictObject({
  id: z.string(),
  kind: z.enum(kinds),
  pipeline: z.string(),
  stage: z.string(),
  reason: z.string(),
  time: z.iso.datetime(),
  stream: z.string().optional(),
  position: z
    .string()
    .regex(/^\d{1,20}$/)
    .optional(),
  raw: z.base64(),
})

export function encodeDeadLetter(letter: DeadLetter): string {
  const { id, kind, pipeline, stage, reason, timeMs, origin, raw } = letter
  const text = JSON.stringify({
    id,
    kind,
    pipeline,
    stage,
    reason,
    time: new Date(timeMs).toISOString(),
    ...(origin ? { stream: origin.stream, position: String(origin.position) } : {}),
    raw: raw.toString('base64'),
  })
  return text.replace(OTHER_LINE_ENDS, end => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Line ends to some readers (node:readline among them), and legal inside a JSON string: a reason may quote an attacker. */
const OTHER_LINE_ENDS = /[\u0085\u2028\u2029]/g

/** undefined for a line that is not a dead letter (a torn tail, a foreign edit). */
export function decodeDeadLetter(text: string): DeadLetter | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  const result = line.safeParse(parsed)
  if (!result.success) return undefined
  const { time, stream, position, raw, ...rest } = result.data
  const origin = stream !== undefined && position !== undefined ? { stream, position: BigInt(position) } : undefined
  return { ...rest, timeMs: Date.parse(time), origin, raw: Buffer.from(raw, 'base64') }
}

export interface DeadLetterOptions {
  /** `<folder>/<pipeline>/<YYYY-MM-DD>.ndjson`, folders 0700, files 0600: they hold unredacted bytes. */
  readonly folder: string
  readonly pipeline: string
  now(): number
}

interface Waiting {
  readonly bytes: Buffer
  resolve(): void
  reject(error: unknown): void
}

/**
 * The dead letter of one pipeline on disk. Writes that arrive while one is under way share the next append and its one
 * fsync. After a failed append the file is cut back to its last whole line, so a full disk leaves no torn line behind.
 */
export class DeadLetterFile implements DeadLetterStore {
  readonly #options: DeadLetterOptions
  #waiting: Waiting[] = []
  #busy: Promise<void> | undefined
  #file: { readonly day: string; readonly handle: FileHandle; size: number } | undefined

  constructor(options: DeadLetterOptions) {
    this.#options = options
  }

  write(letters: readonly DeadLetter[]): Promise<void> {
    const bytes = Buffer.from(letters.map(letter => `${encodeDeadLetter(letter)}\n`).join(''))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, resolve, reject })
      this.#busy ??= this.#appendWaiting()
    })
  }

  async close(): Promise<void> {
    await this.#busy
    await this.#file?.handle.close()
    this.#file = undefined
  }

  async #appendWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      try {
        await this.#append(Buffer.concat(group.map(waiting => waiting.bytes)))
        for (const waiting of group) waiting.resolve()
      } catch (error) {
        for (const waiting of group) waiting.reject(error)
      }
    }
    // In the same turn as the look at the queue: a write in between would wait for an append that never comes.
    this.#busy = undefined
  }

  async #append(bytes: Buffer): Promise<void> {
    const file = await this.#today()
    try {
      let written = 0
      while (written < bytes.length) {
        const step = await file.handle.write(bytes, written, bytes.length - written, file.size + written)
        written += step.bytesWritten
      }
      await file.handle.sync()
      file.size += bytes.length
    } catch (error) {
      await file.handle.truncate(file.size).catch(() => undefined)
      throw error
    }
  }

  async #today(): Promise<{ readonly handle: FileHandle; size: number }> {
    const day = new Date(this.#options.now()).toISOString().slice(0, 10)
    if (this.#file?.day === day) return this.#file
    await this.#file?.handle.close()
    this.#file = undefined
    const folder = join(this.#options.folder, this.#options.pipeline)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const path = join(folder, `${day}.ndjson`)
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600)
    try {
      await chmod(path, 0o600)
      const size = await wholeLines(handle)
      await handle.truncate(size)
      await syncFolder(folder)
      this.#file = { day, handle, size }
    } catch (error) {
      await handle.close().catch(() => undefined)
      throw error
    }
    return this.#file
  }
}

/** Size up to and including the last line feed: what a crash left behind it was never acknowledged. */
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
