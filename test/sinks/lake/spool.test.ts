import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { partitionOf } from '../../../platform/lake/tables.ts'
import { rowOf, wellFormed } from '../../../sinks/lake/rows.ts'
import { SEGMENT_BYTES_MAX, writeSegments } from '../../../sinks/lake/segments.ts'
import { EvidenceKey } from '../../../sinks/ranges/evidence.ts'
import { AppendFiles } from '../../../sinks/ranges/files.ts'
import { Scratch } from '../../../sinks/ranges/scratch.ts'
import { RangeSpool, type Row, type Split } from '../../../sinks/ranges/spool.ts'
import { DAY, httpActivity, recordOf } from '../../support/lake-sink.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'haetae-spool-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function tools() {
  return { files: new AppendFiles(), key: new EvidenceKey(), lines: new Scratch() }
}

function row(position: number, timeMs = DAY + position, padding = ''): Row {
  const record = recordOf(position, httpActivity(`u${position}`, { time: timeMs, message: padding }))
  const made = rowOf(record, record.event.origin!)
  if (typeof made === 'string') throw new Error(made)
  return made
}

async function only(spool: RangeSpool): Promise<Split> {
  const [split, ...more] = await spool.finish()
  expect(more).toEqual([])
  return split!
}

function uids(text: string): string[] {
  return [...text.matchAll(/"uid":"(u\d+)"/g)].map(([, uid]) => uid!)
}

describe('the spool of a range', () => {
  it('gives back for any rows the records they came from', async () => {
    const own = tools()
    const spool = new RangeSpool(join(folder, 'a'), own)
    await spool.append([row(3), row(1), row(2)])
    await spool.append([row(4)])
    await spool.append([row(6), row(5)])
    const split = await only(spool)
    const lines = readFileSync(split.jsonPath, 'utf8').trimEnd().split('\n')
    const found: string[] = []
    for await (const { raw, origin } of own.key.find(split.evidencePath, [0, 2, 3, 5])) {
      expect(raw.toString()).toBe(`{"raw":"events.waf/0 ${origin.position}"}`)
      found.push(`u${origin.position}`)
    }
    expect(found).toEqual([0, 2, 3, 5].flatMap(at => uids(lines[at]!)))
    await own.files.closeAll()
  })

  it('is of no use to a process with another key', async () => {
    const own = tools()
    const spool = new RangeSpool(join(folder, 'a'), own)
    await spool.append([row(1)])
    const split = await only(spool)
    expect(readFileSync(split.evidencePath, 'latin1')).not.toContain('events.waf')
    const other = new EvidenceKey().find(split.evidencePath, [0])
    await expect(other.next()).rejects.toThrow()
    await own.files.closeAll()
  })

  it('takes the same rows again after a failed append, and keeps them once', async () => {
    const own = tools()
    const spool = new RangeSpool(join(folder, 'a'), own)
    await spool.append([row(1)])
    const bytes = spool.bytes
    // The lines get onto the disk, their evidence does not.
    const files = vi.spyOn(own.files, 'write')
    const others = new AppendFiles()
    files.mockImplementationOnce((path, parts, offset) => others.write(path, parts, offset))
    files.mockRejectedValueOnce(new Error('ENOSPC: no space left on device'))
    await expect(spool.append([row(2), row(3)])).rejects.toThrow('ENOSPC')
    expect(spool.bytes).toBe(bytes)
    expect(files).toHaveBeenCalledTimes(2)
    await spool.append([row(2)])
    const split = await only(spool)
    expect(uids(readFileSync(split.jsonPath, 'utf8'))).toEqual(['u1', 'u2'])
    expect([split.count, statSync(split.jsonPath).size]).toEqual([2, split.lengths[0]! + split.lengths[1]!])
    await others.closeAll()
    await own.files.closeAll()
  })

  it('is gone when it is removed', async () => {
    const own = tools()
    const spool = new RangeSpool(join(folder, 'a'), own)
    await spool.append([row(1)])
    await spool.remove()
    expect(readdirSync(folder)).toEqual([])
  })
})

describe('append-only files', () => {
  it('are open only so many at a time, and all written', async () => {
    const files = new AppendFiles()
    const paths = Array.from({ length: 200 }, (_, at) => join(folder, String(at)))
    for (const half of [0, 1]) for (const path of paths) await files.write(path, [Buffer.from(`${half}`)], half)
    const descriptors = readdirSync('/proc/self/fd').length
    await files.closeAll()
    expect(descriptors - readdirSync('/proc/self/fd').length).toBe(64)
    expect(paths.every(path => readFileSync(path, 'utf8') === '01')).toBe(true)
  })
})

describe('segments', () => {
  it('hold every row once, in time order, in small files, whatever the order of arrival', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 20 }), {
          minLength: 1,
          maxLength: 8,
        }),
        fc.integer({ min: 0, max: 5 }),
        async (batches, leftOut) => {
          const own = tools()
          const at = mkdtempSync(join(folder, 'run-'))
          const spool = new RangeSpool(join(at, 'spool'), own)
          let position = 0
          const times = new Map<string, number>()
          for (const batch of batches) {
            const rows = batch.map(time => row(position++, DAY + time))
            for (const each of rows) times.set(uids(each.json.toString())[0]!, each.timeMs)
            await spool.append(rows)
          }
          const split = await only(spool)
          const without = new Set(leftOut < split.count ? [leftOut] : [])
          const segments = await writeSegments(split, at, without)
          const stored = segments.flatMap(({ path }) => uids(readFileSync(path, 'utf8')))
          expect(stored.length).toBe(position - without.size)
          expect(new Set(stored).size).toBe(stored.length)
          const order = stored.map(uid => times.get(uid)!)
          expect(order).toEqual(order.toSorted((a, b) => a - b))
          await own.files.closeAll()
        },
      ),
      { numRuns: 40 },
    )
  })

  it('stay below their size, and say which rows they hold', async () => {
    const own = tools()
    const spool = new RangeSpool(join(folder, 'spool'), own)
    const big = 'x'.repeat(200_000)
    await spool.append(Array.from({ length: 20 }, (_, at) => row(at, DAY + 100 - at, big)))
    await spool.append([row(20, DAY, 'y'.repeat(3_000_000))])
    const split = await only(spool)
    const lines = readFileSync(split.jsonPath, 'utf8').trimEnd().split('\n')
    const segments = await writeSegments(split, folder, new Set())
    expect(segments.map(({ rows }) => rows.length)).toEqual([1, 5, 5, 5, 5])
    for (const { path, rows } of segments) {
      if (rows.length > 1) expect(statSync(path).size).toBeLessThanOrEqual(SEGMENT_BYTES_MAX)
      expect(uids(readFileSync(path, 'utf8'))).toEqual([...rows].flatMap(at => uids(lines[at]!)))
    }
    await own.files.closeAll()
  })
})

describe('a row', () => {
  it('is well-formed whatever its strings hold', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.oneof(fc.constantFrom('\ud83e', '\udd81', '\\', '\\u', 'd800', '"'), fc.string()) }),
        text => {
          const json = Buffer.from(JSON.stringify({ text }))
          expect((JSON.parse(wellFormed(json).toString()) as { text: string }).text).toBe(text.toWellFormed())
        },
      ),
    )
  })

  it('is the same bytes when there is nothing to mend', () => {
    const json = Buffer.from('{"text":"\\\\ud83 해태"}')
    expect(wellFormed(json).equals(json)).toBe(true)
  })

  it.each([
    [{ region: 'ap-northeast-2', account: { uid: '123456789012' } }, 'region=ap-northeast-2/account=123456789012'],
    [{ region: 'x'.repeat(33), account: { uid: '' } }, 'region=unknown/account=unknown'],
    [{ region: '..', account: { uid: 'a=b' } }, 'region=unknown/account=unknown'],
    [undefined, 'region=unknown/account=unknown'],
  ])('belongs where its Region and account say, if they can be part of a path: %j', (cloud, path) => {
    const partition = partitionOf(
      httpActivity('u', { cloud: cloud ? { provider: 'AWS', ...cloud } : (undefined as never) }),
    )
    expect(partition).toMatchObject({ path: `class=http_activity/${path}/day=2026-11-24` })
  })

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, Date.UTC(10_000, 0, 1), '2026' as never])(
    'with the time %s belongs nowhere',
    time => {
      expect(partitionOf(httpActivity('u', { time }))).toBe('time_out_of_range')
    },
  )

  it('belongs to the UTC day of its own time', () => {
    const day = (time: number) => partitionOf(httpActivity('u', { time }))
    expect(day(DAY - 1)).toMatchObject({ day: '2026-11-23' })
    expect(day(DAY)).toMatchObject({ day: '2026-11-24' })
    expect(day(DAY + 86_399_999)).toMatchObject({ day: '2026-11-24' })
    expect(day(DAY + 86_400_000)).toMatchObject({ day: '2026-11-25' })
  })
})
