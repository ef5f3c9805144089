import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest'
import { compactionDefaults, compactLake } from '../../platform/lake/compact.ts'
import { type DuckDb, openDuckDb } from '../../platform/lake/duckdb.ts'
import { openLakeStore } from '../../platform/lake/open-store.ts'
import { openLakeReader, queryLake } from '../../platform/lake/query.ts'
import type { LakeStore } from '../../platform/lake/store.ts'
import { connectS3 } from '../../platform/s3.ts'
import { lake } from '../../sinks/lake.ts'
import { testDeps } from '../support/deps.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { FirehoseClient } from '../support/firehose-client.ts'
import { objectsIn, rowsByRequestUid } from '../support/lake.ts'
import { putEvents } from '../support/lake-rows.ts'
import { DAY, FakePositions, httpActivity, records } from '../support/lake-sink.ts'
import { lakeSinkSuite } from '../support/lake-sink-suite.ts'
import { lakeStoreSuite } from '../support/lake-store-suite.ts'
import { Program, pause } from '../support/program.ts'
import { Random } from '../support/random.ts'
import { s3SinkSuite } from '../support/s3-sink-suite.ts'
import { httpfsFolder } from './servers/duckdb-extension.ts'
import { type RealS3, startS3 } from './servers/s3.ts'

const MIB = 1024 * 1024
const HOUR_MS = 3_600_000
const SEED = Number(process.env['HAETAE_SEED'] ?? 20261124)
const ROUNDS = Number(process.env['HAETAE_KILL_ROUNDS'] ?? 5)
const FAULTS = { slow_down: 0.08, reset: 0.08, lost_answer: 0.08, delay: 0.2 }
const never = new AbortController().signal

const root = mkdtempSync(join(tmpdir(), 'haetae-real-s3-'))
let s3: RealS3
let proxy: FaultProxy
let db: DuckDb
let count = 0

beforeAll(async () => {
  s3 = await startS3()
  proxy = await startFaultProxy(s3.url, SEED)
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value)
  vi.stubEnv('HAETAE_DUCKDB_EXTENSIONS', await httpfsFolder())
  const tempFolder = join(root, 'duckdb')
  db = await openDuckDb({ memoryBytesMax: 512 * MIB, threads: 1, tempFolder, tempBytesMax: 1024 * MIB })
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await db?.close()
  await proxy?.stop()
  await s3?.stop()
  rmSync(root, { recursive: true, force: true })
})

function newPlace(name: string): { readonly location: string; readonly folder: string } {
  const prefix = `${name}/${++count}`
  return { location: `s3://${s3.bucket}/${prefix}`, folder: join(s3.bucketFolder, prefix) }
}

lakeStoreSuite('versitygw', () => newPlace('store').location)
lakeSinkSuite('versitygw', () => newPlace('sink'))
s3SinkSuite('versitygw', () => s3)

async function answer(location: string, sql: string): Promise<unknown[]> {
  let text = ''
  for await (const piece of queryLake(location, sql, { format: 'json' })) text += piece
  return JSON.parse(text) as unknown[]
}

describe('large objects', () => {
  it('go up in parts, whole or not at all, and only one of two writers at once', async () => {
    const bucket = await connectS3(s3.bucket)
    const contents = [randomBytes(40 * MIB), randomBytes(41 * MIB)]
    const files = contents.map((content, at) => {
      const file = join(root, `big-${at}`)
      writeFileSync(file, content)
      return file
    })
    const results = await Promise.all(files.map(file => bucket.putNew('big/one', file)))
    expect(results.toSorted()).toEqual(['present', 'stored'])
    const winner = contents[results.indexOf('stored')]!
    expect(readFileSync(join(s3.bucketFolder, 'big/one')).equals(winner)).toBe(true)
    const copy = join(root, 'big-copy')
    expect(await bucket.get('big/one', copy)).toBe(true)
    expect(readFileSync(copy).equals(winner)).toBe(true)
    bucket.close()
  })

  it('that are given up half way leave nothing under their name', async () => {
    const bucket = await connectS3(s3.bucket)
    const file = join(root, 'big-stopped')
    writeFileSync(file, randomBytes(64 * MIB))
    const stop = new AbortController()
    setTimeout(() => stop.abort(), 50)
    await expect(bucket.putNew('big/stopped', file, stop.signal)).rejects.toThrow('big/stopped')
    expect(await bucket.sizeOf('big/stopped')).toBeUndefined()
    bucket.close()
  })
})

describe('refusals of the real server', () => {
  it('a wrong secret and a missing bucket are for a person', async () => {
    const file = join(root, 'small')
    writeFileSync(file, 'x')
    const missing = await connectS3('no-such-bucket')
    await expect(missing.putNew('a', file)).rejects.toMatchObject({ code: 'SINK_MISCONFIGURED' })
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wrong')
    const wrong = await connectS3(s3.bucket)
    await expect(wrong.putNew('a', file)).rejects.toMatchObject({ code: 'SINK_UNAUTHORISED' })
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', s3.env['AWS_SECRET_ACCESS_KEY']!)
    for (const each of [missing, wrong]) each.close()
  })
})

test(`every acknowledged record is in the lake once, through faults of every sort and kill -9 of the server (seed ${SEED})`, async () => {
  const { location, folder } = newPlace('faults')
  vi.stubEnv('AWS_ENDPOINT_URL_S3', proxy.url)
  const deps = testDeps({ positions: new FakePositions() })
  const sink = await lake.open(lake.config.parse({ folder: location, flushMs: 100 }), deps)
  vi.stubEnv('AWS_ENDPOINT_URL_S3', s3.url)
  proxy.chances = FAULTS
  const acks: Promise<void>[] = []
  for (let batch = 0; batch < 40; batch++) {
    const { later } = await sink.write(records(batch * 50, batch * 50 + 50), never)
    acks.push(later!)
    await pause(60)
    if (batch % 10 === 5) {
      await s3.kill()
      await pause(300)
      await s3.restart()
    }
  }
  sink.drain!()
  await Promise.all(acks)
  proxy.chances = {}
  await sink.close()
  expect(objectsIn(folder).length).toBeGreaterThan(5)
  const sql = 'SELECT count(*) AS n, count(DISTINCT metadata.uid) AS events FROM http_activity_raw'
  expect(await answer(location, sql)).toEqual([{ n: 2_000, events: 2_000 }])
  const { slow_down, reset, lost_answer } = proxy.counts
  expect(Math.min(slow_down, reset, lost_answer)).toBeGreaterThan(0)
})

test(`every record that got a 200 is in the bucket exactly once, through ${ROUNDS} rounds of kill -9 of the writer amid faults`, async () => {
  const { location, folder } = newPlace('kill')
  const env = { ...s3.env, AWS_ENDPOINT_URL_S3: proxy.url, HAETAE_LAKE_FLUSH_MS: '200' }
  const options = { stateFolder: join(root, 'state'), lakeFolder: location, env }
  const random = new Random(SEED)
  const clients = [
    new FirehoseClient({ name: 'once', recordsPerRequest: 20, repeats: false }),
    new FirehoseClient({ name: 'again', recordsPerRequest: 200, repeats: true }),
  ]
  let running: Program | undefined
  try {
    for (let round = 0; round < ROUNDS; round++) {
      running = await Program.start(options)
      proxy.chances = FAULTS
      const stop = new AbortController()
      const sending = Promise.all(clients.map(client => client.send(running!, stop.signal)))
      await pause(random.int(500, 2_500))
      if (round % 2 === 1) {
        await s3.kill()
        await pause(random.int(50, 500))
        await s3.restart()
      }
      await running.kill()
      stop.abort()
      await sending
      proxy.chances = {}
    }
    running = await Program.start(options)
    for (const client of clients) await client.finish(running)
    await running.caughtUp()
    expect(await running.stop(), running.output).toBe(0)
  } finally {
    await running?.kill()
    proxy.chances = {}
  }
  const rows = await rowsByRequestUid(folder)
  const acknowledged = clients.flatMap(client => [...client.acknowledged])
  expect(acknowledged.filter(id => rows.get(id) !== 1).slice(0, 20), `seed ${SEED}`).toEqual([])
  expect([...rows].filter(([, times]) => times !== 1).slice(0, 20), `seed ${SEED}`).toEqual([])
  expect(acknowledged.length).toBeGreaterThan(ROUNDS * 50)
})

describe('haetae lake query over S3', () => {
  let location: string
  let store: LakeStore
  beforeAll(async () => {
    location = newPlace('query').location
    store = await openLakeStore(location, join(root, 'query'))
    await store.prepare(Date.now())
    await putEvents(store, db, 'a-0', [httpActivity('u1'), httpActivity('u2')])
    await putEvents(store, db, 'a-1', [httpActivity('u2'), httpActivity('u3', { time: DAY + 9 })])
    await putEvents(store, db, 'a-2', [httpActivity('u4', { time: DAY - 9 })])
  })
  afterAll(() => store.close())

  it('shows each event once, with the partition columns', async () => {
    expect(await answer(location, 'SELECT uid, day, region FROM waf ORDER BY uid')).toEqual([
      { uid: 'u1', day: '2026-11-24', region: 'ap-northeast-2' },
      { uid: 'u2', day: '2026-11-24', region: 'ap-northeast-2' },
      { uid: 'u3', day: '2026-11-24', region: 'ap-northeast-2' },
      { uid: 'u4', day: '2026-11-23', region: 'ap-northeast-2' },
    ])
    expect(await answer(location, 'SELECT count(*) AS n FROM http_activity_raw')).toEqual([{ n: 5 }])
  })

  it('reads nothing outside the lake, and shows no secret', async () => {
    const beside = await openLakeStore(`${location}x`, join(root, 'beside'))
    await beside.prepare(Date.now())
    const path = await putEvents(beside, db, 'a-0', [httpActivity('u9')])
    for (const source of [beside.source(path), '/etc/hostname', 'http://127.0.0.1:1/x']) {
      await expect(answer(location, `SELECT * FROM read_text('${source}')`)).rejects.toMatchObject({
        code: 'LAKE_QUERY',
      })
    }
    expect(JSON.stringify(await answer(location, 'FROM duckdb_secrets()'))).not.toContain('testsecret')
    await beside.close()
  })

  it('says what to do when httpfs cannot be had', async () => {
    vi.stubEnv('HAETAE_DUCKDB_EXTENSIONS', root)
    await expect(openLakeReader(location)).rejects.toMatchObject({
      code: 'LAKE_QUERY',
      message: expect.stringContaining('httpfs.duckdb_extension'),
    })
    vi.stubEnv('HAETAE_DUCKDB_EXTENSIONS', await httpfsFolder())
  })

  it('answers over an empty lake without httpfs', async () => {
    vi.stubEnv('HAETAE_DUCKDB_EXTENSIONS', root)
    expect(await answer(newPlace('empty').location, 'SELECT count(*) AS n FROM waf')).toEqual([{ n: 0 }])
    vi.stubEnv('HAETAE_DUCKDB_EXTENSIONS', await httpfsFolder())
  })
})

test('a lake on S3 that is compacted amid faults shows every event once to readers all the while', async () => {
  const { location, folder } = newPlace('compact')
  const store = await openLakeStore(location, join(root, 'fill'))
  await store.prepare(Date.now())
  for (let at = 0; at < 20; at++) {
    await putEvents(store, db, `a-${at}`, [httpActivity(`u${at}`), httpActivity(`u${at + 1}`), httpActivity(`v${at}`)])
  }
  vi.stubEnv('AWS_ENDPOINT_URL_S3', proxy.url)
  const faulty = await openLakeStore(location, join(root, 'compact'))
  await faulty.prepare(Date.now())
  vi.stubEnv('AWS_ENDPOINT_URL_S3', s3.url)
  proxy.chances = FAULTS
  let done = false
  const compacting = (async () => {
    const tools = { store: faulty, db, workFolder: join(root, 'work') }
    let problems = 0
    for (let run = 0; run < 6; run++) {
      const nowMs = Date.now() + (2 + run) * HOUR_MS
      // A bound that takes several rounds of merging what was merged before.
      const limits = { ...compactionDefaults, unitBytesMax: 60_000 * (run + 1) }
      problems += await compactLake(tools, limits, nowMs).then(
        report => report.problems.length,
        () => 1,
      )
    }
    done = true
    return problems
  })()
  const sql = 'SELECT count(*) AS n, count(DISTINCT metadata.uid) AS events FROM http_activity'
  while (!done) expect(await answer(location, sql)).toEqual([{ n: 41, events: 41 }])
  await compacting
  proxy.chances = {}
  const tools = { store: faulty, db, workFolder: join(root, 'work') }
  for (let run = 0; run < 3; run++) {
    const { problems } = await compactLake(tools, compactionDefaults, Date.now() + (48 + 48 * run) * HOUR_MS)
    expect(problems).toEqual([])
  }
  expect(objectsIn(folder)).toEqual([expect.stringContaining('/compacted-')])
  expect(await answer(location, sql.replace('http_activity', 'http_activity_raw'))).toEqual([{ n: 41, events: 41 }])
  await Promise.all([store.close(), faulty.close()])
})
