import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { askReload, type Control, type Reloaded, serveControl } from '../../pipelines/control.ts'
import { silentLog } from '../../platform/log.ts'
import { type Ran, runCommand } from '../support/command.ts'
import { temporary } from '../support/pipelines.ts'

const open: Control[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const control of open.splice(0)) await control.close()
})

const answer = (overrides: Partial<Reloaded> = {}): Reloaded => {
  return {
    pid: 7,
    pipelines: ['waf'],
    valid: true,
    applied: true,
    revision: 'aaaaaaaaaaaa',
    message: 'x was replaced',
    ...overrides,
  }
}

async function serve(stateFolder: string, reload: () => Promise<readonly Reloaded[]>): Promise<void> {
  open.push(await serveControl(stateFolder, reload, silentLog))
}

function command(stateFolder: string): Promise<Ran> {
  vi.stubEnv('HAETAE_STATE', stateFolder)
  return runCommand('reload')
}

test('every process of a state folder is asked and answers for itself, over a socket that only its user may open', async () => {
  const folder = temporary()
  await serve(folder, () => Promise.resolve([answer()]))
  await serve(folder, () => Promise.resolve([answer({ pid: 8, pipelines: ['waf-lake'] })]))
  const names = readdirSync(join(folder, 'control'))
  expect(names.map(name => statSync(join(folder, 'control', name)).mode & 0o777)).toEqual([0o600, 0o600])
  expect((await askReload(folder)).map(({ pid }) => pid).sort()).toEqual([7, 8])
  for (const control of open.splice(0)) await control.close()
  expect(readdirSync(join(folder, 'control'))).toEqual([])
})

test('a socket that a killed process left is removed and asks nobody', async () => {
  const folder = temporary()
  mkdirSync(join(folder, 'control'))
  const path = join(folder, 'control', '1-dead.sock')
  // Node removes the path of a server that it closes: a killed process does not.
  const server = createServer()
  await new Promise<void>(resolve => server.listen(`${path}.living`, resolve))
  const { renameSync } = await import('node:fs')
  renameSync(`${path}.living`, path)
  await new Promise(resolve => server.close(resolve))
  expect(existsSync(path)).toBe(true)
  expect(await askReload(folder)).toEqual([])
  expect(existsSync(path)).toBe(false)
})

test('what is not a request is refused, and the process goes on', async () => {
  const folder = temporary()
  let asked = 0
  await serve(folder, () => {
    asked++
    return Promise.resolve([answer()])
  })
  const [name] = readdirSync(join(folder, 'control'))
  for (const text of ['stop\n', 'x'.repeat(5_000)]) {
    const socket = createConnection(join(folder, 'control', name!))
    socket.write(text)
    const chunks: string[] = []
    for await (const chunk of socket.setEncoding('utf8')) chunks.push(String(chunk))
    expect(JSON.parse(chunks.join(''))).toEqual({ error: expect.any(String) })
  }
  expect(asked).toBe(0)
  expect(await askReload(folder)).toHaveLength(1)
})

test.each([
  [0, answer(), /true +true +aaaaaaaaaaaa +x was replaced/],
  [
    2,
    answer({ valid: false, applied: false, message: 'waf.yaml:3:1: unknown key\nwaf.yaml:9:1: another' }),
    /waf.yaml:3:1: unknown key; waf.yaml:9:1/,
  ],
  [1, answer({ applied: false, message: 'port in use' }), /true +false +aaaaaaaaaaaa +port in use/],
])('haetae reload ends with %d as the answer is, and shows it', async (code, given, shown) => {
  const folder = temporary()
  await serve(folder, () => Promise.resolve([given]))
  const result = await command(folder)
  expect(result.code).toBe(code)
  expect(result.out).toMatch(shown)
})

test('haetae reload says so when nothing runs with this state folder', async () => {
  const { code, err } = await command(temporary())
  expect(code).toBe(2)
  expect(err).toContain('no process runs with the state folder')
})
