import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { FirehoseClient, post } from '../support/firehose-client.ts'
import { rowsByRequestUid } from '../support/lake.ts'
import { Program, type ProgramOptions } from '../support/program.ts'
import { type RealKafka, startKafka } from './servers/kafka.ts'
import { openTopicsOn } from './servers/kafka-topics.ts'

const TOPIC = 'events.waf'
const root = fileURLToPath(new URL('../../', import.meta.url))

let kafka: RealKafka
beforeAll(async () => {
  kafka = await startKafka()
  const topics = openTopicsOn(kafka.brokers, 'kafkajs')
  const retention = { ageMsMax: 7 * 86_400_000, bytesMax: 1024 ** 3 }
  // Ingest waits for the topics of all that it takes.
  for (const name of [TOPIC, 'events.guardduty', 'events.falco']) {
    await topics.apply({ name, partitions: 4, compacted: false, retention })
  }
  await topics.close()
})
afterAll(() => kafka?.stop())

let folder = ''
const programs: Program[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'haetae-workers-'))
})
afterEach(async () => {
  for (const program of programs.splice(0)) await program.kill()
  rmSync(folder, { recursive: true, force: true })
})

function options(name: string, ...command: readonly string[]): ProgramOptions {
  return {
    stateFolder: join(folder, name),
    lakeFolder: join(folder, 'lake'),
    command: ['run', ...command],
    env: { HAETAE_KAFKA_BROKERS: kafka.brokers, HAETAE_LAKE_FLUSH_MS: '300' },
  }
}

async function start(given: ProgramOptions): Promise<Program> {
  const program = await Program.start(given)
  programs.push(program)
  return program
}

/** The lake pipeline in a file of this test, so that it can be changed while it runs. */
function lakePipeline(deliveriesMax: number): string {
  const file = join(folder, 'waf-lake.yaml')
  const text = readFileSync(join(root, 'pipelines', 'waf-lake.yaml'), 'utf8')
  writeFileSync(file, text.replace('deliveriesMax: 3', `deliveriesMax: ${deliveriesMax}`))
  return file
}

async function send(client: FirehoseClient, ingest: Program, requests: number): Promise<void> {
  for (let sent = 0; sent < requests; sent++) {
    const request = client.next()
    expect(await post(ingest, request), ingest.output).toBe(200)
    for (const id of request.recordIds) client.acknowledged.add(id)
  }
}

async function caughtUp(program: Program): Promise<void> {
  const topics = openTopicsOn(kafka.brokers, 'kafkajs')
  const waiting = async (): Promise<number> =>
    (await topics.lagOf([TOPIC]))
      .filter(({ group }) => group === 'waf-lake')
      .reduce((sum, { committed, end }) => sum + Number(end - committed), 0)
  await expect.poll(waiting, { timeout: 120_000, message: program.output }).toBe(0)
  await topics.close()
}

/** Values of a metric by worker. */
async function byWorker(program: Program, name: string): Promise<Record<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${program.statusPort}/metrics`)).text()
  const samples = [...text.matchAll(new RegExp(`^${name}\\{worker="(\\d+)".*\\} (\\S+)$`, 'gm'))]
  return Object.fromEntries(samples.map(([, worker, value]) => [worker!, Number(value)]))
}

async function pidsOf(program: Program): Promise<readonly number[]> {
  const page = await (await fetch(`http://127.0.0.1:${program.statusPort}/`)).text()
  return [...page.matchAll(/<tr><td>\d+<\/td><td>(\d+)<\/td>/g)].map(([, pid]) => Number(pid))
}

const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function exactlyOnce(client: FirehoseClient): Promise<void> {
  const rows = await rowsByRequestUid(join(folder, 'lake'))
  expect([...client.acknowledged].filter(id => rows.get(id) !== 1)).toEqual([])
}

test('two workers share the partitions and one status port; one that is killed ends the container, and the next one goes on', async () => {
  const ingest = await start(options('ingest', 'pipelines/ingest.yaml'))
  const client = new FirehoseClient({ name: 'workers', recordsPerRequest: 100, repeats: false })
  const given = options('lake', lakePipeline(3), '--workers', '2')
  const lake = await start(given)
  await expect.poll(() => byWorker(lake, 'haetae_kafka_partitions_count'), { timeout: 30_000 }).toEqual({ 1: 2, 2: 2 })
  await send(client, ingest, 10)
  await caughtUp(lake)
  const acked = await byWorker(lake, 'haetae_events_acked_total')
  expect(Object.values(acked).reduce((a, b) => a + b, 0)).toBe(1_000)
  expect(Math.min(...Object.values(acked))).toBeGreaterThan(0)

  const [first = 0, second = 0] = await pidsOf(lake)
  process.kill(first, 'SIGKILL')
  expect(await lake.ended).toBe(1)
  expect(lake.output).toMatch(/"signal":"SIGKILL".*a worker ended by itself/)
  expect(alive(second)).toBe(false)

  await send(client, ingest, 10)
  const next = await start(given)
  await caughtUp(next)
  expect(await next.stop(), next.output).toBe(0)
  await exactlyOnce(client)
})

test('a reload reaches every worker, is answered by each, and loses nothing; a file that is wrong changes nothing', async () => {
  const ingest = await start(options('ingest', 'pipelines/ingest.yaml'))
  const client = new FirehoseClient({ name: 'reload', recordsPerRequest: 100, repeats: false })
  const given = options('lake', lakePipeline(3), '--workers', '2')
  const lake = await start(given)
  const reload = async (): Promise<{ code: number; rows: readonly Record<string, unknown>[] }> => {
    const env = { ...process.env, HAETAE_STATE: given.stateFolder }
    const args = [join(root, 'pipelines', 'haetae.mjs'), 'reload', '-o', 'json']
    const ran = await promisify(execFile)(process.execPath, args, { env }).catch(
      (failed: { readonly code: number; readonly stdout: string }) => failed,
    )
    return { code: 'code' in ran ? ran.code : 0, rows: JSON.parse(ran.stdout) as Record<string, unknown>[] }
  }
  const before = await revisionOf(lake)
  const sending = send(client, ingest, 40)
  lakePipeline(4)
  const { code, rows } = await reload()
  expect([code, rows.map(({ valid, applied }) => [valid, applied])]).toEqual([
    0,
    [
      [true, true],
      [true, true],
    ],
  ])
  expect(new Set(rows.map(({ revision }) => revision)).size).toBe(1)
  await sending
  await expect.poll(() => revisionOf(lake), { timeout: 60_000 }).toBe(rows[0]!['revision'])
  expect(rows[0]!['revision']).not.toBe(before)

  writeFileSync(join(folder, 'waf-lake.yaml'), 'pipeline: waf-lake\nsource: { type: topic }\n')
  const wrong = await reload()
  expect(wrong.code).toBe(2)
  expect(wrong.rows).toMatchObject(Array(2).fill({ valid: false, applied: false, revision: rows[0]!['revision'] }))
  expect(String(wrong.rows[0]!['message'])).toMatch(/waf-lake\.yaml:\d+:\d+/)
  await caughtUp(lake)
  expect(await lake.stop(), lake.output).toBe(0)
  await exactlyOnce(client)
})

async function revisionOf(program: Program): Promise<unknown> {
  const answer = await fetch(`http://127.0.0.1:${program.statusPort}/readyz`)
  return ((await answer.json()) as { readonly revision?: string }).revision
}

test('two workers of ingest take requests on one port', async () => {
  const ingest = await start(options('ingest', 'pipelines/ingest.yaml', '--workers', '2'))
  const client = new FirehoseClient({ name: 'shared-port', recordsPerRequest: 10, repeats: false })
  await Promise.all(Array.from({ length: 8 }, () => send(client, ingest, 5)))
  const taken = await byWorker(ingest, 'haetae_events_acked_total')
  expect(Object.values(taken).reduce((a, b) => a + b, 0)).toBe(400)
  expect(await ingest.stop(), ingest.output).toBe(0)
})
