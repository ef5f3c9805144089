import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import { HaetaeError } from '../../../platform/errors.ts'
import { eventOf } from '../../support/deps.ts'
import { records, STREAM } from '../../support/lake-sink.ts'
import { never, quiet, start, write } from '../../support/lake-sink-start.ts'

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
