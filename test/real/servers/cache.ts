import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Where downloads stay between runs. */
function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'haetae-test')
}

/**
 * The folder `name` in the cache, filled by `make` when it is not there. It appears whole or not at all, also when two runs
 * fill it at once or one is stopped half way.
 */
export async function cached(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), name)
  if (existsSync(folder)) return folder
  mkdirSync(cacheFolder(), { recursive: true })
  const making = mkdtempSync(join(cacheFolder(), `.${name}-`))
  try {
    await make(making)
    renameSync(making, folder)
  } catch (error) {
    rmSync(making, { recursive: true, force: true })
    if (!existsSync(folder)) throw error // Else another run was first.
  }
  return folder
}

/** Runs a program to its end. Throws with the end of what it printed. */
export async function runProgram(program: string, ...given: readonly string[]): Promise<string> {
  try {
    const { stdout } = await execute(program, given, { maxBuffer: 64 * 1024 * 1024 })
    return stdout
  } catch (thrown) {
    const { message, stdout = '', stderr = '' } = thrown as Error & { stdout?: string; stderr?: string }
    throw new Error(`${program} failed: ${message.slice(0, 500)}\n${`${stdout}\n${stderr}`.slice(-2_000)}`)
  }
}
