import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { Health } from '../../pipelines/health.ts'
import { compactOnce, keepCompact } from '../../pipelines/lake-upkeep.ts'
import type { Running } from '../../pipelines/process.ts'
import { readSettings, type Settings } from '../../pipelines/settings.ts'
import { compactionDefaults } from '../../platform/lake/compact.ts'
import type { DuckDb } from '../../platform/lake/duckdb.ts'
import { FolderStore } from '../../platform/lake/folder-store.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { objectsIn, rowsOf } from '../support/lake.ts'
import { plainDuckDb, putEvents } from '../support/lake-rows.ts'
import { httpActivity } from '../support/lake-sink.ts'
import { temporary } from '../support/pipelines.ts'

const HOUR_MS = 3_600_000
let db: DuckDb
let settings: Settings
beforeAll(async () => {
  db = await plainDuckDb()
})
afterAll(() => db.close())
beforeEach(async () => {
  const folder = temporary()
  settings = readSettings({ HAETAE_STATE: join(folder, 'state'), HAETAE_LAKE: join(folder, 'lake') })
  const store = new FolderStore(settings.lake)
  await store.prepare(Date.now())
  await putEvents(store, db, 'a-0', [httpActivity('u1'), httpActivity('u2')])
  await putEvents(store, db, 'a-1', [httpActivity('u2')])
})

test('one compaction of the configured lake reports what it did and leaves nothing in the state folder', async () => {
  const report = await compactOnce(settings, compactionDefaults, Date.now() + 3 * HOUR_MS)
  expect(report).toMatchObject({ made: 1, replaced: 2, rows: 2, duplicates: 1, deleted: 0, problems: [] })
  expect(await rowsOf(settings.lake, 'SELECT count(*) FROM http_activity_raw')).toEqual([[2n]])
  expect(readdirSync(join(settings.stateFolder, 'compaction'))).toEqual([])
})

function runningProcess() {
  const clock = new FakeClock(Date.now() + 3 * HOUR_MS)
  const { log } = testDeps()
  const metrics = createMetrics()
  const done = Promise.withResolvers<void>()
  const runtime = { settings, log, metrics, clock, topics: () => Promise.reject(new Error('none')) }
  const health = new Health(clock.now(), log)
  const running = { runtime, health, done: done.promise, stop: () => done.resolve() } as unknown as Running
  return { running, clock, log, metrics, end: () => done.resolve() }
}

test('a process keeps its lake compact, counts what it did, and stops with its pipelines', async () => {
  const { running, clock, metrics, end } = runningProcess()
  keepCompact(running)
  await clock.advance(30 * 60_000)
  await vi.waitFor(async () => expect(await metrics.expose()).toContain('haetae_lake_objects_replaced_total 2'), 20_000)
  expect(await metrics.expose()).toContain('haetae_lake_duplicates_total 1')
  await vi.waitFor(() => expect(clock.sleeping).toBe(1))
  await clock.advance(30 * 60_000)
  await vi.waitFor(() => expect(objectsIn(settings.lake)).toHaveLength(1), 20_000)
  await vi.waitFor(() => expect(clock.sleeping).toBe(1))
  end()
  await vi.waitFor(() => expect(clock.sleeping).toBe(0))
})

test('a lake that cannot be compacted is said and counted, and tried again', async () => {
  const { running, clock, log, metrics, end } = runningProcess()
  const warn = vi.spyOn(log, 'warn')
  rmSync(settings.lake, { recursive: true })
  writeFileSync(settings.lake, 'not a folder')
  keepCompact(running)
  for (let run = 1; run <= 2; run++) {
    await clock.advance(30 * 60_000)
    await vi.waitFor(() => expect(warn).toHaveBeenCalledTimes(run), 20_000)
    await vi.waitFor(() => expect(clock.sleeping).toBe(1))
  }
  expect(await metrics.expose()).toContain('haetae_lake_compaction_failures_total 2')
  end()
})
