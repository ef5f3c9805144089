import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { HaetaeError } from '../../platform/errors.ts'
import { lockFolder } from '../../platform/folder-lock.ts'

const errors = {
  taken: (owner: string, options: ErrorOptions) => new HaetaeError('STATE_OWNED', `taken by ${owner}`, options),
  unusable: (why: string, options: ErrorOptions) => new HaetaeError('STATE_UNWRITABLE', `unusable: ${why}`, options),
}

function temporary(): string {
  return mkdtempSync(join(tmpdir(), 'haetae-lock-'))
}

/** Another process that takes the lock, says so, and holds it until it is ended. */
async function holder(folder: string) {
  const module = new URL('../../platform/folder-lock.ts', import.meta.url).href
  const script = `
    import { lockFolder } from ${JSON.stringify(module)}
    const error = why => new Error(why)
    lockFolder(${JSON.stringify(folder)}, { taken: error, unusable: error })
    // Whoever forgets what he was given has the lock still.
    globalThis.gc()
    console.log('held')
    setInterval(() => undefined, 1000)`
  const child = spawn('node', ['--expose-gc', '--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return {
    pid: child.pid,
    async kill() {
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

test('of two processes one has the folder, the other is told its pid; a kill frees it at once', async () => {
  const folder = temporary()
  const other = await holder(folder)
  try {
    expect(() => lockFolder(folder, errors)).toThrow(`taken by pid ${other.pid}`)
  } finally {
    await other.kill()
  }
  const lock = lockFolder(folder, errors)
  expect(readFileSync(join(folder, 'owner.pid'), 'utf8')).toBe(`${process.pid}\n`)
  lock.release()
})

test('one process has it once, until it is released', () => {
  const folder = temporary()
  const lock = lockFolder(folder, errors)
  expect(() => lockFolder(folder, errors)).toThrow(`taken by pid ${process.pid}`)
  expect(() => lockFolder(folder, errors)).toThrow('taken by')
  lock.release()
  lockFolder(folder, errors).release()
  expect(statSync(join(folder, 'owner.lock')).mode & 0o777).toBe(0o600)
})

test('what cannot be locked is said with its reason', () => {
  const file = join(temporary(), 'file')
  writeFileSync(file, '')
  expect(() => lockFolder(file, errors)).toThrow(/unusable: .*ENOTDIR/)
})
