import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { readSettings } from '../../pipelines/settings.ts'
import { openTopics } from '../../pipelines/topics/open.ts'
import { GeoIp } from '../../platform/geoip/geoip.ts'
import { geoIpStatus } from '../../platform/geoip/shared.ts'
import { FolderStore } from '../../platform/lake/folder-store.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { runCommand as run } from '../support/command.ts'
import { plainDuckDb, putEvents } from '../support/lake-rows.ts'
import { httpActivity } from '../support/lake-sink.ts'
import { temporary } from '../support/pipelines.ts'

const COMMANDS = 'up run check test map explain deadletter lake topics opensearch rules reload doctor'.split(' ')

const retention = { ageMsMax: 86_400_000, bytesMax: 1024 ** 3 }

let folder: string
beforeEach(() => {
  vi.unstubAllEnvs()
  folder = temporary()
  vi.stubEnv('HAETAE_STATE', join(folder, 'state'))
  for (const name of ['HAETAE_LAKE', 'OPENSEARCH_URL', 'HAETAE_FIREHOSE_KEY']) vi.stubEnv(name, '')
})

function write(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const GOOD = 'source: { type: topic, topic: t, kind: falco }\nsinks: [{ type: drop }]\n'

describe('help and wrong usage', () => {
  test.each([['--help'], ['-h'], ['help']])('%s lists every command and is fine', async asked => {
    const { code, out, err } = await run(asked)
    expect(code).toBe(0)
    expect(out).toBe('')
    for (const name of COMMANDS) expect(err).toMatch(new RegExp(`^  ${name} `, 'm'))
  })

  test('no command at all: the list, and exit code 2', async () => {
    const { code, err } = await run()
    expect(code).toBe(2)
    expect(err).toMatch(/^usage: haetae <command>/)
  })

  test('an unknown command: its name, the list, and exit code 2', async () => {
    const { code, err } = await run('explode')
    expect(code).toBe(2)
    expect(err).toMatch(/there is no command "explode"\nusage: haetae <command>/)
  })

  test.each(COMMANDS)('%s --help says how it is used and does nothing', async name => {
    const { code, err } = await run(name, '--help')
    expect(code).toBe(0)
    expect(err).toMatch(new RegExp(`^usage: haetae ${name} `))
  })

  test.each(COMMANDS)('%s with an option that does not exist: exit code 2 and its usage', async name => {
    const { code, err } = await run(name, '--colour')
    expect(code).toBe(2)
    expect(err).toContain('--colour')
    expect(err).toContain(`usage: haetae ${name} `)
  })

  test.each([
    [['run'], 'name one pipeline file'],
    [['run', 'a.yaml', 'b.yaml'], 'name one pipeline file'],
    [['map', 'cloudtrail', 'x'], 'one of waf, guardduty, falco'],
    [['map', 'waf'], 'name a file'],
    [['map', 'waf', 'a', 'b'], 'one too many'],
    [['deadletter'], 'list, show or replay'],
    [['deadletter', 'show'], 'name the id'],
    [['deadletter', 'replay'], 'or --all'],
    [['deadletter', 'replay', ''], 'hex digits'],
    [['deadletter', 'list', '-o', 'xml'], 'table, json, ndjson'],
    [['doctor', '-o', 'xml'], 'table, json, ndjson'],
    [['check', '-o', 'xml'], 'table, json, ndjson'],
    [['test', '-o', 'xml'], 'table, json, ndjson'],
    [['rules', 'test', '-o', 'xml'], 'table, json, ndjson'],
    [['lake', 'compact', '-o', 'csv'], 'table, json, ndjson'],
    [['topics'], 'topics list, lag, plan, apply, forget GROUP, or move'],
    [['topics', 'list', 'waf'], 'topics list, lag, plan, apply, forget GROUP, or move'],
    [['topics', 'forget', 'waf', '--to', 'latest'], 'topics list, lag, plan, apply, forget GROUP, or move'],
    [['topics', 'move', 'waf', 'events.waf'], '--to is earliest, latest or an offset'],
    [['topics', 'move', 'waf', 'events.waf', '--to', '-1'], '--to'],
    [['topics', 'move', 'waf', 'events.waf', '--to', '3', '--partition', 'x'], '--partition is a number'],
    [['topics', 'move', 'waf', 'events.waf', '--to', '3'], 'there is no group "waf"'],
  ])('%j is wrong usage', async (args, message) => {
    const { code, err } = await run(...args)
    expect(code).toBe(2)
    expect(err).toContain(message)
    expect(err).toContain(`usage: haetae ${args[0]} `)
  })
})

describe('check', () => {
  test('every pipeline that comes with Haetae is fine, also where nothing is set', async () => {
    const { code, out } = await run('check')
    expect(code).toBe(0)
    for (const name of ['ingest', 'waf', 'waf-lake']) expect(out).toMatch(new RegExp(`${name}\\.yaml: ok`))
    expect(out).toMatch(/waf\.yaml: ok \(checked with a stand-in for OPENSEARCH_URL/)
  })

  test('a broken file: every place, and exit code 2; the others are checked all the same', async () => {
    const broken = write('broken.yaml', `pipeline: broken\n${GOOD}stages: [{ type: nothing }, { type: key, x: 1 }]\n`)
    const fine = write('fine.yaml', `pipeline: fine\n${GOOD}`)
    const { code, out, err } = await run('check', broken, fine)
    expect(code).toBe(2)
    expect(err).toMatch(/broken\.yaml:4:18: no stage is called "nothing"/)
    expect(err).toMatch(/broken\.yaml:4:42: unknown key "x"/)
    expect(out).toMatch(/fine\.yaml: ok/)
  })

  test('-o gives programs a row for each file that is fine and each thing that is wrong, and the same exit code', async () => {
    const broken = write('broken.yaml', `pipeline: broken\n${GOOD}stages: [{ type: nothing }, { type: key, x: 1 }]\n`)
    const fine = write('fine.yaml', `pipeline: fine\n${GOOD}`)
    const { code, out, err } = await run('check', broken, fine, join(folder, 'none.yaml'), '-o', 'ndjson')
    expect([code, err]).toEqual([2, ''])
    expect(out.split('\n').map(line => JSON.parse(line) as unknown)).toEqual([
      { state: 'wrong', file: broken, where: `${broken}:4:18`, message: expect.stringContaining('"nothing"') },
      { state: 'wrong', file: broken, where: `${broken}:4:42`, message: expect.stringContaining('"x"') },
      { state: 'ok', file: fine, where: '', message: '' },
      { state: 'wrong', file: join(folder, 'none.yaml'), where: '', message: expect.stringContaining('ENOENT') },
    ])
    expect((await run('check', fine, '-o', 'table')).out).toMatch(/^state +file +where +message\nok +\S+fine\.yaml$/)
  })

  test('what is not YAML, and what is not there', async () => {
    const { code, err } = await run('check', write('torn.yaml', 'pipeline: [\n'), join(folder, 'none.yaml'))
    expect(code).toBe(2)
    expect(err).toMatch(/torn\.yaml:\d+:\d+: not YAML/)
    expect(err).toMatch(/none\.yaml: .*ENOENT/)
  })

  test('writes nothing', async () => {
    await run('check')
    expect(() => readFileSync(join(folder, 'state'))).toThrow(/ENOENT/)
  })
})

describe('test', () => {
  const file = (reason: string): string =>
    write(
      'mine.yaml',
      `pipeline: mine\n${GOOD}stages: [{ type: parse-falco }]\ntests:\n  - { name: torn, given: ['{'], expect: { rejected: [${reason}] } }\n`,
    )

  test('passes with exit code 0', async () => {
    const { code, out } = await run('test', file('not_json'))
    expect(out).toMatch(/^ok .*mine\.yaml: torn\n1 passed, 0 failed$/)
    expect(code).toBe(0)
  })

  test('fails with exit code 1 and the difference', async () => {
    const { code, out } = await run('test', file('not_falco'))
    expect(out).toMatch(
      /^FAIL .*mine\.yaml: torn\n\s+expected rejected \[not_falco\], got \[not_json\]\n0 passed, 1 failed$/,
    )
    expect(code).toBe(1)
  })

  test('-o gives programs a row for each test, and nothing else on stdout', async () => {
    const passed = await run('test', file('not_json'), '-o', 'json')
    expect(passed).toMatchObject({ code: 0, err: '1 passed, 0 failed' })
    expect(JSON.parse(passed.out)).toEqual([{ state: 'ok', file: join(folder, 'mine.yaml'), name: 'torn', detail: '' }])
    const failed = await run('test', file('not_falco'), '-o', 'ndjson')
    expect(failed).toMatchObject({ code: 1, err: '0 passed, 1 failed' })
    expect(JSON.parse(failed.out)).toMatchObject({ state: 'fail', detail: expect.stringContaining('[not_json]') })
  })

  test('the tests of every pipeline that comes with Haetae pass, and the GeoIP databases are opened once for all of them', async () => {
    const opened = vi.spyOn(GeoIp, 'open')
    const { code, out } = await run('test')
    expect(opened).toHaveBeenCalledTimes(1)
    opened.mockRestore()
    expect(await geoIpStatus()).toEqual([])
    expect(out).not.toContain('FAIL')
    expect(out).toMatch(/\n[1-9]\d* passed, 0 failed$/)
    expect(code).toBe(0)
  })
})

test.each([['check'], ['test'], ['doctor'], ['topics', 'list'], ['deadletter', 'list'], ['lake', 'compact']])(
  '%s %s with a state folder that cannot be one: a line without a stack, and exit code 2',
  async (...args) => {
    vi.stubEnv('HAETAE_STATE', join(write('file', ''), 'state'))
    const { code, out, err } = await run(...args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/^haetae \w+: CONFIG_INVALID: the state folder \S+ cannot be used: [^\n]*$/)
  },
)

test('a pipeline that requires what is not set is refused by its name', async () => {
  const file = write('mine.yaml', `pipeline: mine\nrequires: [HAETAE_TEST_NOWHERE]\n${GOOD}`)
  const { code, err } = await run('run', file)
  expect(code).toBe(2)
  expect(err).toMatch(/CONFIG_INVALID: .*mine\.yaml: needs HAETAE_TEST_NOWHERE/)
})

describe('topics', () => {
  beforeEach(async () => {
    const topics = await openTopics(readSettings(), silentLog, createMetrics())
    await topics.ensure({ name: 'events.waf', partitions: 2, compacted: false, retention })
    const listener = { assigned: () => undefined, revoked: () => undefined }
    const bounds = { recordsMax: 10, bytesMax: 1000, from: 'earliest' as const }
    await topics.subscribe({ group: 'waf', topics: ['events.waf'], listener, ...bounds })
    await topics.append('events.waf', [{ key: 'a', value: Buffer.from('{}'), timeMs: 0 }])
    await topics.close()
  })
  const waiting = async (): Promise<unknown[]> => {
    const { out } = await run('topics', 'list', '-o', 'ndjson')
    return out.split('\n').map(line => (JSON.parse(line) as { waiting: unknown }).waiting)
  }

  test('list says what waits, and move makes a stopped group go on elsewhere', async () => {
    expect(new Set(await waiting())).toEqual(new Set(['0', '1']))
    const { code, out } = await run('topics', 'move', 'waf', 'events.waf', '--to', 'latest')
    expect(code).toBe(0)
    expect(out).toMatch(/partition +from +to\n0 +0 +[01]\n1 +0 +[01]/)
    expect(await waiting()).toEqual(['0', '0'])
    const back = await run('topics', 'move', 'waf', 'events.waf', '--to', '0', '--partition', '1', '-o', 'json')
    expect(back.code).toBe(0)
    expect(JSON.parse(back.out)).toMatchObject([{ partition: 1, to: '0' }])
  })

  test('forget lets go of a group', async () => {
    expect(await run('topics', 'forget', 'waf')).toMatchObject({ code: 0 })
    expect((await run('topics', 'list', '-o', 'ndjson')).out).toBe('')
  })
})

describe('haetae lake', () => {
  test.each([
    [['lake']],
    [['lake', 'query']],
    [['lake', 'query', 'SELECT 1', 'more']],
    [['lake', 'compact', 'x']],
    [['lake', 'compact', '--grace-minutes', 'soon']],
    [['lake', 'duplicates', '-o', 'xml']],
    [['lake', 'dry']],
  ])('%j is wrong usage', async args => {
    expect((await run(...args)).code).toBe(2)
  })

  test('compact says what it did', async () => {
    const { code, out } = await run('lake', 'compact')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ made: 0, replaced: 0, deleted: 0 })
    expect((await run('lake', 'compact', '-o', 'table')).out).toMatch(/^made +replaced .*\n0 +0 /)
    expect(JSON.parse((await run('lake', 'compact', '-o', 'json')).out)).toMatchObject([{ made: 0, replaced: 0 }])
  })

  test('duplicates counts the rows of each day that repeat an event', async () => {
    const lake = join(folder, 'state', 'lake')
    const store = new FolderStore(lake)
    await store.prepare(Date.now())
    const db = await plainDuckDb()
    await putEvents(store, db, 'a-0', [httpActivity('u1'), httpActivity('u2')])
    await putEvents(store, db, 'a-1', [httpActivity('u2')])
    await db.close()
    const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
    const { code } = await run('lake', 'duplicates', '-o', 'json')
    const said = write.mock.calls.map(([piece]) => String(piece)).join('')
    write.mockRestore()
    expect(code).toBe(0)
    expect(JSON.parse(said)).toEqual([
      {
        class: 'http_activity',
        region: 'ap-northeast-2',
        account: '123456789012',
        day: '2026-11-24',
        rows: 3,
        duplicates: 1,
      },
    ])
  })
})
