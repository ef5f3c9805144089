import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { atExit } from './at-exit.ts'

const CHUNK = Buffer.alloc(64 * 1024)

/** A folder that is a small disk of its own, so that it can be full. */
export class SmallDisk {
  readonly #folder: string

  readonly #forget = atExit(() => this.unmount())

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** undefined where the system lets only others mount: not run as root. */
  static mount(folder: string, mebibytes: number): SmallDisk | undefined {
    if (process.getuid?.() !== 0) return undefined
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0700`, 'tmpfs', folder])
    return new SmallDisk(folder)
  }

  /** Not a byte is left. */
  fill(): void {
    const file = openSync(this.#ballast, 'a')
    try {
      for (;;) writeSync(file, CHUNK)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    } finally {
      closeSync(file)
    }
  }

  free(): void {
    rmSync(this.#ballast, { force: true })
  }

  unmount(): void {
    this.#forget()
    execFileSync('umount', ['--lazy', this.#folder])
  }

  get #ballast(): string {
    return join(this.#folder, 'ballast')
  }
}
