import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Encoded } from '../../../engine/contract.ts'
import { HaetaeError } from '../../../platform/errors.ts'
import { RANGES_NOTED_MAX } from '../../../sinks/lake/plan.ts'
import { type LakeLimits, LakeSink, SPLITS_MAX } from '../../../sinks/lake/sink.ts'
import { FakeClock } from '../../support/clock.ts'
import { eventOf, testDeps } from '../../support/deps.ts'
import { DAY, FakePositions, httpActivity, MemoryObjects, recordOf, records, STREAM } from '../../support/lake-sink.ts'

const never = new AbortController().signal
const open: { readonly sink: LakeSink; readonly folder: string }[] = []

afterEach(async () => {
  for (const { sink, folder } of open.splice(0)) {
    await sink.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

interface Given {
  readonly limits?: Partial<LakeLimits>
  readonly positions?: FakePositions
  readonly objects?: MemoryObjects
  readonly clock?: FakeClock
}

async function start({ limits, positions = new FakePositions(), objects = new MemoryObjects(), clock }: Given = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-lake-'))
  const deps = testDeps({ positions, ...(clock ? { clock } : {}) })
  const whole = { flushMs: 3_600_000, spoolBytesMax: 1e6, spoolTotalBytesMax: 1e8, ...limits }
  const sink = new LakeSink(whole, join(folder, 'spool'), objects, deps)
  await sink.prepare()
  open.push({ sink, folder })
  return { sink, positions, objects, deps, spool: join(folder, 'spool') }
}

/** Whether a promise has settled by now, and how. */
function watch(promise: Promise<void> | undefined): { state: string } {
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

async function write(sink: LakeSink, batch: readonly Encoded[]) {
  return watch((await sink.write(batch, never)).later)
}

/** What `node --expose-gc` gives, without the flag. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
}

/** The ranges of a note, whose lineage is random. */
function rangesNoted(note: string | undefined): unknown {
  const { lineage, ranges } = JSON.parse(note!) as Record<string, unknown>
  expect(lineage).toMatch(/^[0-9a-f]{12}$/)
  return ranges
}

const quiet = () => new Promise(resolve => setTimeout(resolve, 20))

describe('a range', () => {
  it('is noted before its first object is written', async () => {
    const { sink, positions, objects } = await start()
    const put = vi.spyOn(objects, 'put')
    put.mockImplementation(() => {
      expect(rangesNoted(positions.notes.get(STREAM))).toEqual([['3', '13']])
      return Promise.resolve({ rows: 10, bytes: 1 })
    })
    const later = await write(sink, records(3, 13))
    expect(positions.noted).toEqual([])
    sink.drain()
    await vi.waitFor(() => expect(later.state).toBe('resolved'))
    expect(put).toHaveBeenCalledOnce()
  })

  it('is not written while its note cannot be stored, and is when it can', async () => {
    const { sink, positions, objects } = await start()
    positions.failures.push(new HaetaeError('TOPIC_FULL', 'no room'), new HaetaeError('TOPIC_FULL', 'no room'))
    const later = await write(sink, records(0, 5))
    sink.drain()
    await vi.waitFor(() => expect(later.state).toBe('resolved'))
    expect(positions.failures).toEqual([])
    expect(objects.uids).toHaveLength(5)
  })

  it('stops the pipeline when its source keeps no notes', async () => {
    const { sink, positions } = await start()
    positions.failures.push(new HaetaeError('CONFIG_INVALID', 'needs a topic source'))
    const later = await write(sink, records(0, 5))
    sink.drain()
    await vi.waitFor(() => expect(later.state).toBe('needs a topic source'))
  })

  it('lets its records go from memory as soon as they are spooled', async () => {
    const { sink } = await start()
    const batch = records(0, 3)
    const held = batch.map(({ event }) => new WeakRef(event))
    const { later } = await sink.write(batch.splice(0), never)
    await quiet()
    collectGarbage()
    expect(held.map(each => each.deref())).toEqual([undefined, undefined, undefined])
    expect(watch(later).state).toBe('pending')
  })

  it('ends when its time has passed', async () => {
    const clock = new FakeClock()
    const { sink, objects } = await start({ clock, limits: { flushMs: 60_000 } })
    const first = await write(sink, records(0, 5))
    await clock.advance(59_999)
    await quiet()
    expect(objects.puts).toBe(0)
    await write(sink, records(5, 8))
    await clock.advance(1)
    await vi.waitFor(() => expect(first.state).toBe('resolved'))
    expect([...objects.objects.values()][0]).toHaveLength(8)
  })

  it('ends when its spool is full', async () => {
    const { sink, objects } = await start({ limits: { spoolBytesMax: 2_000 } })
    const first = await write(sink, records(0, 20))
    await vi.waitFor(() => expect(first.state).toBe('resolved'))
    const second = await write(sink, records(20, 22))
    await quiet()
    expect(second.state).toBe('pending')
    expect(objects.objects.size).toBe(1)
  })

  it('never has more objects than its bound, however many days come', async () => {
    const { sink, objects } = await start()
    const days = Array.from({ length: 3 * SPLITS_MAX + 5 }, (_, at) =>
      recordOf(at, httpActivity(`u${at}`, { time: DAY - at * 86_400_000 })),
    )
    const later = await write(sink, days)
    sink.drain()
    await vi.waitFor(() => expect(later.state).toBe('resolved'))
    const byRange = Map.groupBy(objects.objects.keys(), path => path.split('/').at(-1))
    expect([...byRange.values()].map(paths => paths.length)).toEqual([SPLITS_MAX, SPLITS_MAX, SPLITS_MAX, 5])
    expect(objects.uids).toHaveLength(days.length)
  })

  it('of one stream has nothing to do with those of another', async () => {
    const { sink, objects, positions } = await start()
    const other = 'events.waf/1'
    const later = await write(sink, [...records(0, 5), ...records(100, 103, {}, other), ...records(5, 7)])
    sink.drain()
    await vi.waitFor(() => expect(later.state).toBe('resolved'))
    expect(rangesNoted(positions.notes.get(STREAM))).toEqual([['0', '7']])
    expect(rangesNoted(positions.notes.get(other))).toEqual([['100', '103']])
    expect(objects.objects.size).toBe(2)
  })

  it('waits, and with it the reading, while too many are not committed', async () => {
    const { sink, positions } = await start({ limits: { spoolBytesMax: 10 } })
    positions.commits.set(STREAM, 0n)
    for (let at = 0; at < RANGES_NOTED_MAX; at++) await sink.write(records(at, at + 1), never)
    const next = sink.write(records(RANGES_NOTED_MAX, RANGES_NOTED_MAX + 1), never)
    expect(await Promise.race([next, quiet().then(() => 'waiting')])).toBe('waiting')
    positions.commits.set(STREAM, 20n)
    const later = watch((await next).later)
    await vi.waitFor(() => expect(later.state).toBe('resolved'))
  })
})

describe('after a restart', () => {
  it('a noted range gets the same content, however the records are batched', async () => {
    const { sink, objects, positions } = await start()
    await sink.write(records(0, 10), never)
    sink.drain()
    await vi.waitFor(() => expect(objects.objects.size).toBe(1))
    const first = new Map(objects.objects)
    objects.objects.clear()
    const next = await start({ positions, objects })
    const straddling = await write(next.sink, records(0, 4))
    const rest = await write(next.sink, records(4, 15))
    await vi.waitFor(() => expect(straddling.state).toBe('resolved'))
    expect(objects.objects).toEqual(first)
    expect(rest.state).toBe('pending')
    next.sink.drain()
    await vi.waitFor(() => expect(rest.state).toBe('resolved'))
    expect(objects.uids).toHaveLength(15)
  })

  it('a stream that begins again with other records loses none to the objects of the one before', async () => {
    const { sink, objects } = await start()
    await sink.write(records(0, 10), never)
    sink.drain()
    await vi.waitFor(() => expect(objects.objects.size).toBe(1))
    // Nothing is known of the stream any more, the lake is still there.
    const next = await start({ objects })
    const later = await write(next.sink, records(0, 10))
    next.sink.drain()
    await vi.waitFor(() => expect(later.state).toBe('resolved'))
    expect([objects.puts, objects.objects.size]).toEqual([2, 2])
  })

  it('an object that is there is left alone', async () => {
    const { sink, objects, positions } = await start()
    await sink.write(records(0, 10), never)
    sink.drain()
    await vi.waitFor(() => expect(objects.objects.size).toBe(1))
    const next = await start({ positions, objects })
    const later = await write(next.sink, records(0, 10))
    await vi.waitFor(() => expect(later.state).toBe('resolved'))
    expect(objects.puts).toBe(1)
    expect(await next.deps.metrics.expose()).toContain('haetae_lake_objects_total{pipeline="test",how="found"} 1')
  })

  it('a range that is not complete is neither cut short nor acknowledged by a drain', async () => {
    const positions = new FakePositions()
    positions.notes.set(STREAM, '{"ranges":[["0","10"]]}')
    const { sink, objects } = await start({ positions })
    const later = await write(sink, records(0, 9))
    sink.drain()
    await quiet()
    expect({ state: later.state, puts: objects.puts }).toEqual({ state: 'pending', puts: 0 })
    await sink.write(records(9, 10), never)
    await vi.waitFor(() => expect(later.state).toBe('resolved'))
  })

  it('what is filled again never waits for room in the spool', async () => {
    const positions = new FakePositions()
    positions.notes.set(STREAM, '{"ranges":[["0","400"]]}')
    const { sink, objects } = await start({ positions, limits: { spoolTotalBytesMax: 1_000 } })
    for (let at = 0; at < 400; at += 50) await sink.write(records(at, at + 50), never)
    await vi.waitFor(() => expect(objects.uids).toHaveLength(400))
  })

  it('a note that is not ours stops the pipeline', async () => {
    const positions = new FakePositions()
    positions.notes.set(STREAM, 'something else')
    const { sink } = await start({ positions })
    const later = await write(sink, records(0, 1))
    await vi.waitFor(() => expect(later.state).toContain('not a note of the lake: something else'))
  })
})

describe('trouble', () => {
  it('an object that cannot be written is tried again until it can, and said once', async () => {
    const { sink, objects, deps } = await start()
    const error = vi.spyOn(deps.log, 'error')
    for (let at = 0; at < 3; at++) objects.failures.push(new Error('IO Error: No space left on device'))
    const later = await write(sink, records(0, 5))
    sink.drain()
    await vi.waitFor(() => expect(later.state).toBe('resolved'), 10_000)
    expect(objects.uids).toHaveLength(5)
    expect(error).toHaveBeenCalledOnce()
    const metrics = await deps.metrics.expose()
    expect(metrics).toContain('haetae_lake_failures_total{pipeline="test",cause="no_space"} 3')
  })

  it('a spool that cannot be written holds the batch until it can', async () => {
    const { sink, objects, spool, deps } = await start()
    rmSync(spool, { recursive: true })
    // Not a folder any more: what root may do does not matter here.
    writeFileSync(spool, '')
    const writing = sink.write(records(0, 5), never)
    await vi.waitFor(async () =>
      expect(await deps.metrics.expose()).toContain('haetae_lake_failures_total{pipeline="test",cause="other"}'),
    )
    rmSync(spool)
    const { retry, reject, later } = await writing
    expect({ retry, reject }).toEqual({ retry: [], reject: [] })
    sink.drain()
    await later
    expect(objects.uids).toHaveLength(5)
  })

  it('a full spool holds back reading until a range has been written', async () => {
    const { sink, objects } = await start({ limits: { spoolTotalBytesMax: 4_000 } })
    objects.failures.push(new Error('busy'))
    for (let at = 0; at < 10; at++) await sink.write(records(at * 10, at * 10 + 10), never)
    sink.drain()
    await vi.waitFor(() => expect(objects.uids).toHaveLength(100), 10_000)
    expect(objects.objects.size).toBeGreaterThan(5)
  })

  it('rows that cannot be stored go to the dead letter before the object appears', async () => {
    const { sink, objects, deps } = await start()
    objects.refused.add('u3')
    const later = await write(sink, records(0, 5))
    sink.drain()
    await vi.waitFor(() => expect(later.state).toBe('resolved'))
    expect(objects.uids.sort()).toEqual(['u0', 'u1', 'u2', 'u4'])
    expect(deps.dead).toMatchObject([{ reason: 'lake_row: refused by the test', origin: { position: 3n } }])
  })

  it('a record without a position stops the pipeline: after a crash it would be doubled', async () => {
    const { sink } = await start()
    const event = eventOf('{}')
    const later = await write(sink, [{ event, json: Buffer.from('{}') }])
    await vi.waitFor(() => expect(later.state).toContain('needs a source with positions'))
  })

  it('a stream that goes back stops the pipeline, and nothing after it is acknowledged', async () => {
    const { sink, objects } = await start()
    const before = await write(sink, records(10, 20))
    const back = await write(sink, records(5, 6))
    const after = await write(sink, records(20, 30))
    sink.drain()
    await vi.waitFor(() => expect(back.state).toContain('position 5 came after 19'))
    await quiet()
    expect([before.state, objects.puts]).toEqual(['pending', 0])
    expect(after.state).toContain('a batch before this one was not spooled')
  })

  it('closing leaves what is not durable unsettled, and removes the spool', async () => {
    const { sink, objects, spool } = await start()
    for (let at = 0; at < 50; at++) objects.failures.push(new Error('away'))
    const later = await write(sink, records(0, 5))
    sink.drain()
    await vi.waitFor(() => expect(objects.puts).toBeGreaterThan(0))
    await sink.close()
    expect({ state: later.state, spool: existsSync(spool) }).toEqual({ state: 'pending', spool: false })
  })
})

describe('a revoked stream', () => {
  it('is let go, and read from its note when it comes back', async () => {
    const { sink, objects, positions, spool } = await start()
    const held = await write(sink, records(0, 10))
    positions.revoke(STREAM)
    await vi.waitFor(() => expect(held.state).toBe('resolved'))
    await vi.waitFor(() => expect(readdirSync(spool)).toEqual([]))
    positions.notes.set(STREAM, '{"ranges":[["0","4"]]}')
    positions.assign(STREAM)
    const again = await write(sink, records(0, 10))
    sink.drain()
    await vi.waitFor(() => expect(again.state).toBe('resolved'))
    expect([...objects.objects.values()].map(uids => uids.length)).toEqual([4, 6])
  })

  it('is not written when it was revoked before its note', async () => {
    const { sink, objects, positions } = await start()
    const setNote = vi.spyOn(positions, 'setNote').mockImplementation(() => {
      positions.revoke(STREAM)
      return Promise.reject(new HaetaeError('STREAM_REVOKED', STREAM))
    })
    const later = await write(sink, records(0, 10))
    sink.drain()
    await vi.waitFor(() => expect(later.state).toBe('resolved'))
    expect({ puts: objects.puts, notes: setNote.mock.calls.length }).toEqual({ puts: 0, notes: 1 })
  })

  it('gives back its room in the spool to a batch that waits for it', async () => {
    const { sink, positions, objects } = await start({ limits: { spoolTotalBytesMax: 2_000 } })
    objects.failures.push(...Array.from({ length: 1000 }, () => new Error('away')))
    await sink.write(records(0, 20), never)
    const waiting = sink.write(records(0, 1, {}, 'events.waf/1'), never)
    expect(await Promise.race([waiting, quiet().then(() => 'waiting')])).toBe('waiting')
    positions.revoke(STREAM)
    await waiting
  })
})
