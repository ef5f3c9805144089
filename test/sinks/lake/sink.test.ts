import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it, vi } from 'vitest'
import { HaetaeError } from '../../../platform/errors.ts'
import { RANGES_NOTED_MAX } from '../../../sinks/ranges/plan.ts'
import { SPLITS_MAX } from '../../../sinks/ranges/sink.ts'
import { FakeClock } from '../../support/clock.ts'
import { DAY, FakePositions, httpActivity, recordOf, records, STREAM } from '../../support/lake-sink.ts'
import { never, quiet, rangesNoted, start, watch, write } from '../../support/lake-sink-start.ts'

/** What `node --expose-gc` gives, without the flag. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
}

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
