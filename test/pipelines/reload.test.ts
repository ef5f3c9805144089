import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { askReload } from '../../pipelines/control.ts'
import { loadPipeline, type PipelineConfig } from '../../pipelines/load.ts'
import { type Running, startProcess } from '../../pipelines/process.ts'
import { Reloading } from '../../pipelines/reloading.ts'
import { readRevision } from '../../pipelines/revision.ts'
import { readSettings, type Settings } from '../../pipelines/settings.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { freePorts } from '../support/free-ports.ts'
import { temporary } from '../support/pipelines.ts'

let folder: string
let settings: Settings
let running: Running | undefined
const files = new Map<string, string>()

beforeEach(() => {
  folder = temporary()
  settings = readSettings({
    HAETAE_STATE: join(folder, 'state'),
    HAETAE_STATUS_PORT: '0',
    HAETAE_LOG_LEVEL: 'fatal',
  })
  files.clear()
})
afterEach(async () => {
  running?.stop()
  await running?.done.catch(() => undefined)
  running = undefined
})

/** Writes a pipeline file, as an editor or a ConfigMap does while the process runs. */
function write(name: string, rest: string): void {
  files.set(name, join(folder, `${name}.yaml`))
  writeFileSync(files.get(name)!, `pipeline: ${name}\n${rest}`)
}

const load = (): PipelineConfig[] => [...files.values()].map(file => loadPipeline(file, { KEY: 'k' }))

async function start(): Promise<Running> {
  running = await startProcess(load(), settings, { load })
  await expect.poll(() => running!.health.missing()).toEqual([])
  return running
}

const topicSink = 'sinks: [{ type: topic, topic: t, kinds: [waf], partitions: 1 }]\n'
const http = (port: number): string =>
  `source: { type: http, port: ${port}, accessKey: { file: ${join(folder, 'key')} }, kinds: [waf] }\n${topicSink}`
const reading = (target: string): string =>
  `source: { type: topic, topic: t, kind: waf, commitMs: 10 }\nstages: [{ type: redact }]\nsinks: [{ type: file, path: ${join(folder, target)} }]\n`

async function readyz(): Promise<unknown> {
  return (await fetch(`${running!.status.url}/readyz`)).json()
}

async function lines(target: string): Promise<readonly string[]> {
  return readFileSync(join(folder, target), 'utf8').split('\n').filter(Boolean)
}

async function put(...bodies: readonly string[]): Promise<void> {
  const topics = await running!.runtime.topics()
  const records = bodies.map(body => ({ key: 'k', value: Buffer.from(body), timeMs: Date.now() }))
  expect((await topics.append('t', records)).retry).toEqual([])
}

async function listening(): Promise<Server> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return server
}

const portOf = (server: Server): number => (server.address() as { port: number }).port

async function two(): Promise<number> {
  const [port = 0] = await freePorts(1)
  writeFileSync(join(folder, 'key'), 'secret-key')
  write('ingest', http(port))
  write('copy', reading('a.ndjson'))
  await start()
  return port
}

describe('reload', () => {
  test('applies what changed: events that were read go to the old sink, those that follow to the new one, none twice', async () => {
    await two()
    await put('{"n":1}', '{"n":2}')
    await expect.poll(() => lines('a.ndjson')).toHaveLength(2)
    const before = (await readRevision(load())).name
    write('copy', reading('b.ndjson'))
    const [answer] = await running!.reload()
    expect(answer).toMatchObject({ valid: true, applied: true, message: `${before} was replaced` })
    expect(answer!.revision).toBe((await readRevision(load())).name)
    expect(answer!.revision).not.toBe(before)
    expect(await readyz()).toEqual({ ready: true, revision: answer!.revision })
    await put('{"n":3}')
    await expect.poll(() => lines('b.ndjson')).toHaveLength(1)
    expect(await lines('a.ndjson')).toHaveLength(2)
  })

  test('with a sink in place of one that was paused, it is ready: what the old one waited for is of no interest', async () => {
    await two()
    running!.runtime.paused!('copy', 'opensearch', 'SINK_UNAUTHORISED: no right to write')
    expect(running!.health.missing()).toEqual([expect.stringContaining('SINK_UNAUTHORISED')])
    write('copy', reading('b.ndjson'))
    const [{ revision } = { revision: '' }] = await running!.reload()
    expect(await readyz()).toEqual({ ready: true, revision })
  })

  test('leaves the pipelines alone whose configuration is the same', async () => {
    const port = await two()
    const socket = await fetch(`http://127.0.0.1:${port}/ingest/waf`, { method: 'POST', body: '' })
    expect(socket.status).toBe(401)
    write('copy', reading('b.ndjson'))
    const listener = running!.health.pipelines.find(({ name }) => name === 'ingest')
    await running!.reload()
    // The very same object: it was not registered anew.
    expect(running!.health.pipelines.find(({ name }) => name === 'ingest')).toBe(listener)
  })

  test('with files that are invalid the old configuration goes on, and the answer names file, line and key', async () => {
    await two()
    const before = (await readRevision(load())).name
    write('copy', `${reading('b.ndjson')}colour: red\n`)
    const [answer] = await running!.reload()
    expect(answer).toMatchObject({ valid: false, applied: false, revision: before })
    expect(answer!.message).toMatch(/copy\.yaml:5:1: .*colour/)
    await put('{"n":1}')
    await expect.poll(() => lines('a.ndjson')).toHaveLength(1)
    expect(await running!.runtime.metrics.expose()).toMatch(/^haetae_config_reloads_total\{outcome="invalid"\} 1$/m)
  })

  test('with a port that somebody else has the old configuration is started again, and the answer says why', async () => {
    const port = await two()
    const before = (await readRevision(load())).name
    const other = await listening()
    const taken = portOf(other)
    write('ingest', http(taken))
    const [answer] = await running!.reload()
    expect(answer).toMatchObject({ valid: true, applied: false, revision: before })
    expect(answer!.message).not.toMatch(/rules/)
    expect(answer!.message).toMatch(new RegExp(`${taken}`))
    await expect.poll(() => running!.health.missing()).toEqual([])
    const again = await fetch(`http://127.0.0.1:${port}/ingest/waf`, { method: 'POST', body: '' })
    expect(again.status).toBe(401)
    other.close()
  })

  test('starts pipelines that are new and ends those that are gone', async () => {
    await two()
    write('other', reading('other.ndjson'))
    files.delete('copy')
    const [answer] = await running!.reload()
    expect(answer).toMatchObject({ applied: true, pipelines: ['ingest', 'other'] })
    await expect.poll(() => running!.health.missing()).toEqual([])
    expect(running!.health.pipelines.map(({ name, state }) => [name, state])).toEqual([
      ['ingest', 'running'],
      ['other', 'running'],
    ])
  })

  test('of what did not change does nothing and says so; comments and order are no change', async () => {
    await two()
    write('copy', `# a comment\n${reading('a.ndjson')}`)
    expect(await running!.reload()).toMatchObject([{ valid: true, applied: true, message: 'nothing has changed' }])
  })

  test('asked for over the control socket, twice at once, is done one after the other', async () => {
    await two()
    write('copy', reading('b.ndjson'))
    const answers = (await Promise.all([askReload(settings.stateFolder), askReload(settings.stateFolder)])).flat()
    expect(answers.map(({ message }) => message).sort()).toEqual([
      expect.stringMatching(/was replaced$/),
      'nothing has changed',
    ])
  })

  test('while the process stops is not applied, and the process ends', async () => {
    await two()
    write('copy', reading('b.ndjson'))
    const reloading = running!.reload()
    running!.stop()
    await running!.done
    expect((await reloading)[0]!.applied).toBe(false)
  })
})

test('the revision is that of the content: equal for equal configuration, another for any change', async () => {
  write('copy', reading('a.ndjson'))
  const first = (await readRevision(load())).name
  expect(first).toMatch(/^[0-9a-f]{12}$/)
  write('copy', `${reading('a.ndjson')}deliveriesMax: 32\n`)
  expect((await readRevision(load())).name).toBe(first)
  write('copy', `${reading('a.ndjson')}deliveriesMax: 31\n`)
  expect((await readRevision(load())).name).not.toBe(first)
})

describe('rules', () => {
  const rule = (title: string, path: string): string => `title: ${title}
id: 953b895e-5cc9-454b-b183-7f3db55545aa
status: test
level: high
logsource: { category: webserver }
detection:
  selection: { cs-uri-stem: ${path} }
  condition: selection
`
  const writeRule = (text: string, name = 'own.yml'): void => writeFileSync(join(folder, 'rules', name), text)
  const detecting = (): string => `source: { type: topic, topic: t, kind: waf, commitMs: 10 }
stages: [{ type: parse-waf }]
detectors: [{ type: sigma, shipped: false, rules: [${join(folder, 'rules')}] }]
sinks: [{ type: drop }]
alertSinks: [{ type: file, path: ${join(folder, 'alerts.ndjson')} }]
`
  const asking = (uri: string): string =>
    readFileSync(new URL('../../docs/examples/waf-record.json', import.meta.url), 'utf8').replace(
      /"uri": ?"[^"]*"/,
      `"uri":"${uri}"`,
    )
  const titles = (): readonly string[] =>
    readFileSync(join(folder, 'alerts.ndjson'), 'utf8').match(/own rule \d/g) ?? []

  async function detects(): Promise<void> {
    mkdirSync(join(folder, 'rules'))
    writeRule(rule('own rule 1', '/one'))
    writeFileSync(join(folder, 'key'), 'secret-key')
    write('ingest', http((await freePorts(1))[0]!))
    write('detect', detecting())
    await start()
  }

  test('that changed are read anew: the revision is another, /readyz says it, and they run', async () => {
    await detects()
    const before = (await readRevision(load())).name
    expect(await readyz()).toEqual({ ready: true, revision: before })
    await put(asking('/one'), asking('/two'))
    await expect.poll(titles).toContain('own rule 1')
    writeRule(rule('own rule 2', '/two'))
    const listener = running!.health.pipelines.find(({ name }) => name === 'ingest')
    const [answer] = await running!.reload()
    expect(answer).toMatchObject({ valid: true, applied: true, message: `${before} was replaced` })
    expect(answer!.revision).not.toBe(before)
    await expect.poll(readyz).toEqual({ ready: true, revision: answer!.revision })
    // Who has no rules never noticed.
    expect(running!.health.pipelines.find(({ name }) => name === 'ingest')).toBe(listener)
    await put(asking('/one'), asking('/two'))
    await expect.poll(titles).toContain('own rule 2')
  })

  test('that are broken are not taken over: the answer names file and line, and those that ran go on', async () => {
    await detects()
    const before = (await readRevision(load())).name
    writeRule(rule('own rule 2', '/one').replace('level: high', 'level: [high'))
    writeRule(rule('own rule 3', '/three'), 'more.yml')
    writeRule(rule('own rule 4', '/four'), 'same-id.yml')
    const [answer] = await running!.reload()
    expect(answer).toMatchObject({ valid: false, applied: false, revision: before })
    expect(answer!.message).toMatch(/own\.yml:\d+:\d+: unreadable: /)
    expect(answer!.message).toMatch(/same-id\.yml:\d+:\d+: duplicate: /)
    await put(asking('/one'))
    await expect.poll(titles).toContain('own rule 1')
  })

  test('of which none is left are not taken over either', async () => {
    await detects()
    rmSync(join(folder, 'rules', 'own.yml'))
    expect(await running!.reload()).toMatchObject([{ valid: false, applied: false }])
    rmSync(join(folder, 'rules'), { recursive: true })
    expect(await running!.reload()).toMatchObject([{ valid: false, applied: false }])
    expect(running!.health.missing()).toEqual([])
  })

  test('that changed run also when the rest is refused, and then revision, gauge and answer say so', async () => {
    await detects()
    const ingest = files.get('ingest')!
    const [was, before] = [readFileSync(ingest, 'utf8'), (await readRevision(load())).name]
    writeRule(rule('own rule 2', '/two'))
    const now = (await readRevision(load())).name
    const other = await listening()
    write('ingest', http(portOf(other)))
    const [answer] = await running!.reload()
    other.close()
    expect(answer).toMatchObject({ valid: true, applied: false, revision: now })
    expect(answer!.message).toMatch(/files of rules changed meanwhile, and detect may run with the new ones/)
    expect(now).not.toBe(before)
    await expect.poll(readyz).toEqual({ ready: true, revision: now })
    expect(await running!.runtime.metrics.expose()).toContain(`haetae_config_hash ${Number.parseInt(now, 16)}\n`)
    await put(asking('/two'))
    await expect.poll(titles).toContain('own rule 2')
    writeFileSync(ingest, was)
    expect(await running!.reload()).toMatchObject([{ applied: true, revision: now }])
  })

  test('that cannot be read any more after a refusal leave a revision that is a number; untouched pipelines keep theirs', async () => {
    await detects()
    const configs = load()
    const metrics = createMetrics()
    const replaces = [
      () => Promise.reject(new Error('not prepared')),
      () => {
        rmSync(join(folder, 'rules'), { recursive: true })
        return Promise.resolve('the port is taken')
      },
    ]
    const first = await readRevision(configs)
    const reloading = new Reloading(configs, first, {
      load: () => Promise.resolve(configs),
      replace: () => replaces.shift()!(),
      log: silentLog,
      metrics,
    })
    writeRule(rule('own rule 2', '/two'))
    expect(await reloading.reload()).toMatchObject({ applied: false, message: 'not prepared', revision: first.name })
    expect(await reloading.reload()).toMatchObject({ applied: false, message: expect.stringMatching(/reload again$/) })
    expect(await metrics.expose()).toMatch(/^haetae_config_hash 0$/m)
  })

  test('that are written while they are opened are opened again by the next reload, even when they are as before', async () => {
    await detects()
    const [first, second] = [rule('own rule 1', '/one'), rule('own rule 2', '/two')]
    const configs = load()
    let revised = (): void => writeRule(first)
    const changes: string[][] = []
    const reloading = new Reloading(configs, await readRevision(configs), {
      load: () => Promise.resolve(configs),
      replace: (given, changed) => {
        changes.push(given.map(({ name }) => name).filter(changed))
        revised()
        return Promise.resolve(undefined)
      },
      log: silentLog,
      metrics: createMetrics(),
    })
    writeRule(second)
    expect((await reloading.reload()).message).toMatch(/changed meanwhile: reload again$/)
    writeRule(second)
    revised = () => undefined
    expect(await reloading.reload()).toMatchObject({ applied: true, message: expect.not.stringMatching(/again/) })
    expect(await reloading.reload()).toMatchObject({ applied: true, message: 'nothing has changed' })
    expect(changes).toEqual([['detect'], ['detect']])
  })
})
