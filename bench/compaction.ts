/**
 * What merging an hour of the lake costs: node bench/compaction.ts [thousands of events, default 600] [MiB for DuckDB, default 128]. Objects as a
 * sink writes them, one of them twice; prints one line of JSON.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RecordEvent } from '../engine/event.ts'
import { stages } from '../enrichers/index.ts'
import { openByType } from '../pipelines/compose.ts'
import { offlineDeps } from '../pipelines/offline.ts'
import { readSettings } from '../pipelines/settings.ts'
import { readJson } from '../platform/lake/columns.ts'
import { compactionDefaults, compactLake } from '../platform/lake/compact.ts'
import { type DuckDb, literal, openDuckDb } from '../platform/lake/duckdb.ts'
import { FolderStore } from '../platform/lake/folder-store.ts'
import { lakeTables } from '../platform/lake/tables.ts'
import { generateWaf } from './generate/waf.ts'

const MIB = 1024 * 1024
const OBJECT_EVENTS = 20_000
const startMs = Date.UTC(2026, 10, 24, 12)
const [thousands = 600, memoryMib = 128] = process.argv.slice(2).map(Number)

const root = mkdtempSync(join(tmpdir(), 'haetae-bench-compact-'))
try {
  await measure()
} finally {
  rmSync(root, { recursive: true, force: true })
}

async function measure(): Promise<void> {
  const store = new FolderStore(join(root, 'lake'))
  await store.prepare(Date.now())
  const limits = { threads: 1, tempFolder: join(root, 'temp'), tempBytesMax: 8 * 1024 * MIB }
  const filling = await openDuckDb({ ...limits, memoryBytesMax: 2048 * MIB })
  const mib = await fill(store, filling)
  await filling.close()
  const db = await openDuckDb({ ...limits, memoryBytesMax: memoryMib * MIB })
  const rssBefore = process.memoryUsage.rss()
  let rssMax = rssBefore
  const watch = setInterval(() => {
    rssMax = Math.max(rssMax, process.memoryUsage.rss())
  }, 50)
  const cpu = process.cpuUsage()
  const started = performance.now()
  const tools = { store, db, workFolder: join(root, 'work') }
  const report = await compactLake(tools, compactionDefaults, Date.now() + 7_200_000)
  const { user, system } = process.cpuUsage(cpu)
  clearInterval(watch)
  await db.close()
  const read = report.rows + report.duplicates
  console.log(
    JSON.stringify({
      mib,
      ...report,
      problems: report.problems.map(({ message }) => message),
      seconds: round((performance.now() - started) / 1000),
      cpuSecondsAMillionRows: round((user + system) / read),
      rssMib: [rssBefore, rssMax].map(bytes => Math.round(bytes / MIB)),
    }),
  )
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

/** Objects of one partition; each event a different one, but for the last object, which is the first again. Gives their MiB. */
async function fill(store: FolderStore, db: DuckDb): Promise<number> {
  const seed = join(root, 'seed.ndjson')
  await writeSeed(seed)
  const folder = join(store.location, 'class=http_activity/region=ap-northeast-2/account=123456789012/day=2026-11-24')
  mkdirSync(folder, { recursive: true })
  const rows = readJson(lakeTables[0]!.fields, [seed])
  const objects = Math.ceil((thousands * 1000) / OBJECT_EVENTS)
  for (let at = 0; at < objects; at++) {
    const salt = at === objects - 1 ? 0 : at
    const file = join(folder, `events.waf-0-${String(at).padStart(20, '0')}.parquet`)
    await db.run(
      `COPY (SELECT * REPLACE (struct_update(metadata, uid := md5(metadata.uid || '${salt}')) AS metadata,
         ${startMs} + ((time - ${startMs}) + ${salt} * 3600000) // ${objects} AS time) FROM ${rows} ORDER BY time)
       TO ${literal(file)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE_BYTES ${16 * MIB})`,
    )
  }
  return Math.round(readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0) / MIB)
}

async function writeSeed(path: string): Promise<void> {
  const deps = offlineDeps('bench', readSettings())
  const parse = await openByType(stages, 'parse-waf', {}, deps)
  const geoip = await openByType(stages, 'geoip', {}, deps)
  const lines: string[] = []
  for (const record of generateWaf({ seed: 1, count: OBJECT_EVENTS, startMs, durationMs: 3_600_000 })) {
    const batch = await parse.apply([new RecordEvent('waf', Buffer.from(record), startMs, undefined)], () => undefined)
    const [event] = await geoip.apply(batch, () => undefined)
    if (event) lines.push((event.encode?.() ?? Buffer.from(JSON.stringify(event.body))).toString())
  }
  await parse.close?.()
  await geoip.close?.()
  writeFileSync(path, `${lines.join('\n')}\n`)
}
