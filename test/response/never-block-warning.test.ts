import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { shippedPipelines } from '../../pipelines/files.ts'
import type { Log } from '../../platform/log.ts'
import { blocks, blocksWarning } from '../../response/blocks.ts'
import { runCommand } from '../support/command.ts'
import { testDeps } from '../support/deps.ts'
import { MemoryTopics } from '../support/memory-topics.ts'

const folder = mkdtempSync(join(tmpdir(), 'haetae-never-block-'))
const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const empty = write('empty.yaml', 'networks: [{ name: offices, cidrs: [] }]\n')
const office = write('office.yaml', 'networks: [{ name: offices, cidrs: [20.0.0.0/24] }]\n')
write('googlebot.json', JSON.stringify({ prefixes: [{ ipv4Prefix: '66.249.64.0/27' }] }))
const crawlers = write('crawlers.yaml', 'lists: [{ name: Googlebot, file: googlebot.json }]\n')
const broken = write('broken.yaml', 'colour: red\n')

const block = shippedPipelines().find(file => file.endsWith('/block.yaml'))!

beforeEach(() => {
  vi.unstubAllEnvs()
  vi.stubEnv('HAETAE_STATE', join(folder, 'state'))
  for (const name of ['OPENSEARCH_URL', 'HAETAE_FIREHOSE_KEY', 'HAETAE_BLOCKING', 'HAETAE_NEVER_BLOCK'])
    vi.stubEnv(name, '')
})

describe('whoever blocks and has named nobody who must never be blocked is warned', () => {
  test.each([
    ['the list that comes with Haetae', ''],
    ['one that was copied and not filled in', empty],
    ['one with crawlers alone', crawlers],
  ])('%s', async (_, neverBlock) => {
    expect(await blocksWarning({ blocking: 'on', neverBlock })).toMatch(
      /names no network of yours.*HAETAE_NEVER_BLOCK/s,
    )
  })

  test('not when somebody is named, and not in a dry run', async () => {
    expect(await blocksWarning({ blocking: 'on', neverBlock: office })).toBeUndefined()
    expect(await blocksWarning({ blocking: 'off', neverBlock: empty })).toBeUndefined()
  })

  test('by haetae check, which is fine with it all the same', async () => {
    vi.stubEnv('HAETAE_BLOCKING', 'on')
    const { code, out, err } = await runCommand('check')
    expect(code).toBe(0)
    expect(out).toMatch(/block\.yaml: ok/)
    expect(err).toMatch(/block\.yaml: warning: .*never-block\.yaml names no network of yours/)
    const rows = (await runCommand('check', '-o', 'json')).out
    expect((JSON.parse(rows) as { state: string }[]).filter(({ state }) => state === 'warn')).toHaveLength(1)
    vi.stubEnv('HAETAE_NEVER_BLOCK', office)
    expect((await runCommand('check')).err).toBe('')
  })

  test('by haetae check as wrong when the list cannot be read', async () => {
    vi.stubEnv('HAETAE_BLOCKING', 'on')
    vi.stubEnv('HAETAE_NEVER_BLOCK', broken)
    const { code, err } = await runCommand('check')
    expect(code).toBe(2)
    expect(err).toContain('broken.yaml')
  })

  test('by haetae doctor', async () => {
    const found = async () => {
      const { out } = await runCommand('doctor', block, '-o', 'json')
      const rows = JSON.parse(out) as { check: string; state: string; detail: string }[]
      return rows.find(({ check }) => check === block)
    }
    expect(await found()).toMatchObject({ state: 'ok' })
    vi.stubEnv('HAETAE_BLOCKING', 'on')
    expect(await found()).toMatchObject({
      state: 'warn',
      detail: expect.stringContaining('HAETAE_NEVER_BLOCK') as string,
    })
    vi.stubEnv('HAETAE_NEVER_BLOCK', broken)
    expect(await found()).toMatchObject({ state: 'fail' })
  })

  test('in the log at the start of the pipeline, before AWS is asked for anything', async () => {
    // Without a Region the start ends at the IP sets.
    for (const name of ['AWS_REGION', 'AWS_DEFAULT_REGION']) vi.stubEnv(name, '')
    for (const name of ['AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE']) vi.stubEnv(name, join(folder, 'none'))
    const warned = async (neverBlock: string): Promise<readonly string[]> => {
      const said: string[] = []
      const log: Log = { ...testDeps().log, warn: message => said.push(message) }
      const deps = testDeps({ topics: () => Promise.resolve(new MemoryTopics()), log })
      const config = blocks.config.parse({ blocking: 'on', cloudfront: false, neverBlock })
      await expect(blocks.open(config, deps)).rejects.toThrow(/Region/i)
      return said
    }
    expect(await warned(empty)).toEqual([expect.stringContaining('names no network of yours')])
    expect(await warned(office)).toEqual([])
  })
})
