import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const LAUNCHER = fileURLToPath(new URL('../../pipelines/haetae.mjs', import.meta.url))

/** What the launcher ends with when an old Node runs it, and the new one that it starts does `then`. */
async function underOldNode(then: string): Promise<{ code: number | null; signal: string | null }> {
  const preload = join(mkdtempSync(join(tmpdir(), 'haetae-launcher-')), 'preload.cjs')
  writeFileSync(
    preload,
    `if (process.env.HAETAE_TEST_STARTED) { ${then} }
process.env.HAETAE_TEST_STARTED = 'yes'
Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.0' } })
`,
  )
  const child = spawn(process.execPath, ['--require', preload, LAUNCHER, 'help'], {
    stdio: 'ignore',
    env: { ...process.env, HAETAE_TEST_STARTED: '' },
  })
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return { code, signal }
}

/** The launcher finds another Node only where npm brought one along. */
const onlyThere = test.skipIf(
  !existsSync(fileURLToPath(new URL(`../../node_modules/node-${process.platform}-${process.arch}`, import.meta.url))),
)

onlyThere.each(['SIGTERM', 'SIGINT', 'SIGKILL'])(
  'the launcher ends by %s when the program it started did',
  async signal => {
    expect(await underOldNode(`process.kill(process.pid, '${signal}')`)).toEqual({ code: null, signal })
  },
)

onlyThere('the launcher ends with the exit code of the program it started', async () => {
  expect(await underOldNode('process.exit(3)')).toEqual({ code: 3, signal: null })
})
