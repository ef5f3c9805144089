import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { indexTemplate } from '../../platform/ocsf/index-template.ts'
import { httpActivity } from '../../platform/ocsf/schema.ts'
import { FirehoseClient, post } from '../support/firehose-client.ts'
import { Program, type ProgramOptions } from '../support/program.ts'

const DRAIN_MS = 1_000

let folder = ''
let running: Program | undefined
const servers: Server[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'haetae-drain-'))
})
afterEach(async () => {
  await running?.kill()
  for (const server of servers.splice(0)) server.close()
  rmSync(folder, { recursive: true, force: true })
})

async function listening(server: Server): Promise<number> {
  servers.push(server.unref())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

function options(given: Partial<ProgramOptions>): ProgramOptions {
  const env = { HAETAE_DRAIN_MS: String(DRAIN_MS), HAETAE_LAKE_FLUSH_MS: '600000', ...given.env }
  return { stateFolder: join(folder, 'state'), lakeFolder: join(folder, 'lake'), ...given, env }
}

/** Ends by itself, in good order: the last resort, which ends a process that hangs, was not needed. */
async function stops(program: Program): Promise<void> {
  expect(await program.stop(), program.output).toBe(0)
  expect(program.output).toContain('stopping: what was read is being settled')
  expect(program.output).not.toContain('stopping took too long')
}

async function feed(program: Program): Promise<void> {
  const client = new FirehoseClient({ name: 'drain', recordsPerRequest: 200, repeats: false })
  for (let sent = 0; sent < 5; sent++) expect(await post(program, client.next()), program.output).toBe(200)
}

/** Has a template for any index, takes what else is put, and never answers a bulk request. */
function hangingOpenSearch(): Server {
  const template = indexTemplate(httpActivity, { index: 'haetae-waf', shards: 1, replicasMax: 1 })
  return createHttp((request, response) => {
    if (request.url?.startsWith('/_bulk')) return
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ index_templates: [{ name: 'haetae-waf', index_template: template }] }))
  })
}

test('all pipelines in one process, records waiting for a lake object that is far from full', async () => {
  running = await Program.start(options({}))
  await feed(running)
  await stops(running)
})

test('all pipelines in one process, OpenSearch hanging with requests under way', async () => {
  const port = await listening(hangingOpenSearch())
  running = await Program.start(options({ env: { OPENSEARCH_URL: `http://127.0.0.1:${port}` } }))
  await feed(running)
  await expect.poll(() => running!.metric('haetae_events_read_total'), { timeout: 30_000 }).toBeGreaterThan(1_000)
  await stops(running)
})

test.each(['run', 'up'])('%s with a Kafka that takes connections and never answers', async name => {
  const port = await listening(createServer(socket => socket.on('error', () => undefined)))
  const command = name === 'run' ? ['run', 'pipelines/waf-lake.yaml'] : ['up', '--no-sample']
  const env = { HAETAE_KAFKA_BROKERS: `127.0.0.1:${port}` }
  running = await Program.start(options({ command, ready: false, env }))
  await stops(running)
})

test('workers of a Kafka that never answers: all of them end, and then the container', async () => {
  const port = await listening(createServer(socket => socket.on('error', () => undefined)))
  const command = ['run', 'pipelines/waf-lake.yaml', '--workers', '2']
  const env = { HAETAE_KAFKA_BROKERS: `127.0.0.1:${port}` }
  running = await Program.start(options({ command, ready: false, env }))
  await expect
    .poll(async () => (await fetch(`http://127.0.0.1:${running!.statusPort}/readyz`)).text(), { timeout: 60_000 })
    .toMatch(/worker 1: pipeline waf-lake is .*worker 2: pipeline waf-lake is/)
  await stops(running)
})
