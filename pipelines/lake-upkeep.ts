import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { asError } from '../platform/errors.ts'
import {
  type CompactionLimits,
  type CompactionReport,
  compactionDefaults,
  compactLake,
} from '../platform/lake/compact.ts'
import { openDuckDb } from '../platform/lake/duckdb.ts'
import { openLakeStore } from '../platform/lake/open-store.ts'
import { prepareParts } from '../platform/lake/parts.ts'
import type { Running } from './process.ts'
import type { Settings } from './settings.ts'

const MIB = 1024 * 1024
/** As the lake sink has by default: in one process with it, both share one DuckDB, and its memory counts once. */
const MEMORY_BYTES_MAX = 128 * MIB
const EVERY_MS = 30 * 60_000

/** One compaction of the configured lake, in a folder of its own so that it may run beside everything else. */
export async function compactOnce(
  { lake, stateFolder }: Pick<Settings, 'lake' | 'stateFolder'>,
  limits: CompactionLimits,
  nowMs: number,
  signal?: AbortSignal,
): Promise<CompactionReport> {
  const all = join(stateFolder, 'compaction')
  await prepareParts(all, nowMs)
  const own = join(all, String(process.pid))
  const store = await openLakeStore(lake, own)
  try {
    await store.prepare(nowMs)
    const tempFolder = join(own, 'duckdb')
    const tempBytesMax = 8 * limits.unitBytesMax
    const db = await openDuckDb({ memoryBytesMax: MEMORY_BYTES_MAX, threads: 1, tempFolder, tempBytesMax })
    try {
      const workFolder = join(own, 'work')
      return await compactLake({ store, db, workFolder, ...(signal ? { signal } : {}) }, limits, nowMs)
    } finally {
      await db.close()
    }
  } finally {
    await store.close()
    await rm(own, { recursive: true, force: true })
  }
}

/** Compacts the lake now and again while the process runs; a failure is said, and the next run tries again. */
export function keepCompact({ runtime, done }: Running): void {
  const { clock, log, metrics, settings } = runtime
  const stop = new AbortController()
  void done.catch(() => undefined).finally(() => stop.abort())
  const replaced = metrics.counter('haetae_lake_objects_replaced_total', 'Lake objects merged into one of their hour')
  const repeats = metrics.counter(
    'haetae_lake_duplicates_total',
    'Rows left out by compactions: their event was there already',
  )
  const failures = metrics.counter('haetae_lake_compaction_failures_total', 'Compactions and hours that failed')
  const run = async (): Promise<void> => {
    for (;;) {
      await clock.wait(EVERY_MS, stop.signal)
      if (stop.signal.aborted) return
      try {
        const report = await compactOnce(settings, compactionDefaults, clock.now(), stop.signal)
        replaced.add({}, report.replaced)
        repeats.add({}, report.duplicates)
        failures.add({}, report.problems.length)
        for (const { message } of report.problems) log.warn('an hour of the lake was not compacted', { error: message })
      } catch (thrown) {
        if (stop.signal.aborted) return
        failures.add()
        log.warn('the lake was not compacted', { error: asError(thrown).message })
      }
    }
  }
  void run()
}
