import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asError } from '../../platform/errors.ts'

export interface SmallDisk {
  readonly folder: string
  unmount(): void
}

/** A file system of its own of so many bytes, to be filled. Throws where this user may not mount one: then nothing was proved. */
export function mountSmallDisk(bytes: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-small-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', folder], { stdio: 'pipe' })
  } catch (cause) {
    rmSync(folder, { recursive: true })
    throw new Error(
      'a full disk can only be tested by a user who may mount a file system: run the fault tests as root, on Linux ' +
        `(mount said: ${asError(cause).message.trim()})`,
      { cause },
    )
  }
  return {
    folder,
    unmount() {
      execFileSync('umount', ['--lazy', folder])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
