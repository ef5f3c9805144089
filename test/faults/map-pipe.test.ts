import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { wafTraffic } from '../support/waf-records.ts'

const HAETAE = join(import.meta.dirname, '..', '..', 'pipelines', 'haetae.mjs')

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haetae-pipe-'))
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** Far more than a pipe holds, so that `map` still writes when its reader is gone. */
function inputOf(name: string, line: (n: number) => string): string {
  const path = join(folder, name)
  writeFileSync(path, `${Array.from({ length: 10_000 }, (_, n) => line(n)).join('\n')}\n`)
  return path
}

/** Runs `map` in a shell with real pipes; `pipe` is what follows the command. The exit code is that of `map`. */
function mapInto(pipe: string, input: string, more = ''): { code: number; out: string; err: string } {
  const err = join(folder, 'err')
  const code = join(folder, 'code')
  const script = `{ "$NODE" "$HAETAE" map waf "$INPUT" ${more} ${pipe.includes('2>&1') ? '' : '2>"$ERR"'}; echo $? >"$CODE"; } ${pipe}`
  writeFileSync(err, '')
  const env = { ...process.env, NODE: process.execPath, HAETAE, INPUT: input, ERR: err, CODE: code }
  const out = execFileSync('sh', ['-c', script], {
    env: { ...env, HAETAE_STATE: join(folder, 'state') },
    encoding: 'utf8',
  })
  return { code: Number(readFileSync(code, 'utf8')), out, err: readFileSync(err, 'utf8') }
}

test('`haetae map … | head -n 1` gives one event and ends quietly with exit code 0', () => {
  const [record] = wafTraffic(1)
  const { code, out, err } = mapInto(
    '| head -n 1',
    inputOf('good', () => JSON.stringify(record)),
  )
  expect([code, err]).toEqual([0, ''])
  expect(JSON.parse(out)).toMatchObject({ class_uid: 4002 })
})

test('so it does when the reader of rejected records is gone as well', () => {
  const { code, out } = mapInto(
    '2>&1 | head -n 1',
    inputOf('bad', n => `{"line":${n}`),
  )
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ line: 1, reason: expect.stringMatching(/^not_json/) })
})

test('a reader that reads to the end gets everything, and a rejected record still fails a strict run', () => {
  const [record] = wafTraffic(1)
  const input = inputOf('mixed', n => (n === 7 ? 'no json' : JSON.stringify(record)))
  const whole = mapInto('| wc -l', input)
  expect([whole.code, Number(whole.out)]).toEqual([0, 9_999])
  expect(whole.err).toMatch(/^\{"line":8,"reason":"not_json[^\n]*\n$/)
  expect(mapInto('| wc -l', input, '--strict').code).toBe(1)
})

test('where nobody reads from the start it ends in the same way', () => {
  const [record] = wafTraffic(1)
  const input = inputOf('unread', () => JSON.stringify(record))
  const { code, err } = mapInto('| true', input)
  expect([code, err]).toEqual([0, ''])
})
