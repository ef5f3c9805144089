import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test, vi } from 'vitest'
import { runCommand } from '../support/command.ts'
import { asnFile, cityFile, file } from '../support/geoip.ts'
import { temporary } from '../support/pipelines.ts'

let folder: string
beforeEach(() => {
  folder = temporary()
  vi.stubEnv('HAETAE_STATE', join(folder, 'state'))
  for (const name of ['HAETAE_LAKE', 'OPENSEARCH_URL']) vi.stubEnv(name, '')
})

function pipeline(name: string, geoip: string): string {
  const path = join(folder, `${name}.yaml`)
  const source = 'source: { type: topic, topic: t, kind: waf }'
  writeFileSync(path, `pipeline: ${name}\n${source}\nstages: [{ type: geoip, ${geoip} }]\nsinks: [{ type: drop }]\n`)
  return path
}

async function geoip(...files: readonly string[]): Promise<{ code: number; findings: readonly unknown[] }> {
  const { code, out } = await runCommand('doctor', ...files, '-o', 'json')
  const all = JSON.parse(out) as { check: string; state: string; detail: string }[]
  return { code, findings: all.filter(({ check }) => check.startsWith('geoip')) }
}

test('doctor looks at the databases that the pipeline files name, at each once', async () => {
  const [old, asn] = [await file(cityFile('Seoul', { builtMs: Date.UTC(2020, 0, 1) })), await file(asnFile)]
  const named = `city: ['${old}'], asn: ['${asn}'], ageDaysMax: 365`
  const { code, findings } = await geoip(pipeline('one', named), pipeline('two', named))
  expect(code).toBe(0)
  expect(findings).toEqual([
    { check: 'geoip city', state: 'warn', detail: expect.stringMatching(`${old} is \\d+ days old`) },
    { check: 'geoip asn', state: expect.stringMatching(/^(ok|warn)$/), detail: expect.any(String) },
  ])
})

test('doctor fails for a database that a pipeline file names and that is not there', async () => {
  const path = join(folder, 'nowhere.mmdb')
  const { code, findings } = await geoip(pipeline('gone', `city: ['${path}'], asn: ['${await file(asnFile)}']`))
  expect(code).toBe(1)
  expect(findings).toEqual([{ check: 'geoip', state: 'fail', detail: expect.stringContaining(path) }])
})

test('doctor says of a pipeline file that cannot be read what is wrong with it, and goes on', async () => {
  const path = join(folder, 'nowhere.yaml')
  expect(await geoip(path)).toEqual({ code: 1, findings: [] })
})
