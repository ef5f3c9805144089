/** The lake sink over objects in memory. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect } from 'vitest'
import type { Encoded } from '../../engine/contract.ts'
import { lakeShape } from '../../sinks/lake.ts'
import { type RangeLimits, RangeSink } from '../../sinks/ranges/sink.ts'
import type { FakeClock } from './clock.ts'
import { testDeps } from './deps.ts'
import { FakePositions, MemoryObjects } from './lake-sink.ts'

export const never = new AbortController().signal
const open: { readonly sink: RangeSink; readonly folder: string }[] = []

afterEach(async () => {
  for (const { sink, folder } of open.splice(0)) {
    await sink.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

interface Given {
  readonly limits?: Partial<RangeLimits>
  readonly positions?: FakePositions
  readonly objects?: MemoryObjects
  readonly clock?: FakeClock
}

export async function start({
  limits,
  positions = new FakePositions(),
  objects = new MemoryObjects(),
  clock,
}: Given = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-lake-'))
  const deps = testDeps({ positions, ...(clock ? { clock } : {}) })
  const whole = { flushMs: 3_600_000, spoolBytesMax: 1e6, spoolTotalBytesMax: 1e8, ...limits }
  const sink = new RangeSink(lakeShape(deps), whole, join(folder, 'spool'), objects, deps)
  await sink.prepare()
  open.push({ sink, folder })
  return { sink, positions, objects, deps, spool: join(folder, 'spool') }
}

/** Whether a promise has settled by now, and how. */
export function watch(promise: Promise<void> | undefined): { state: string } {
  const watched = { state: 'pending' }
  promise!.then(
    () => {
      watched.state = 'resolved'
    },
    (error: Error) => {
      watched.state = error.message
    },
  )
  return watched
}

export async function write(sink: RangeSink, batch: readonly Encoded[]) {
  return watch((await sink.write(batch, never)).later)
}

/** The ranges of a note, whose lineage is random. */
export function rangesNoted(note: string | undefined): unknown {
  const { lineage, ranges } = JSON.parse(note!) as Record<string, unknown>
  expect(lineage).toMatch(/^[0-9a-f]{12}$/)
  return ranges
}

export const quiet = () => new Promise(resolve => setTimeout(resolve, 20))
