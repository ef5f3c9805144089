import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** A part is as old as this only when its process is gone. */
const ABANDONED_MS = 3_600_000

/** Makes a folder for what is on its way into the lake; removes what crashed processes left in it. */
export async function prepareParts(folder: string, nowMs: number): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: nowMs }))
    if (mtimeMs < nowMs - ABANDONED_MS) await rm(path, { force: true, recursive: true })
  }
}
