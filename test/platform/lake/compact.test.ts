import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { unitsOf } from '../../../platform/lake/compact.ts'
import { type DuckDb, literal } from '../../../platform/lake/duckdb.ts'
import { type LakeReader, openLakeReader, queryLake } from '../../../platform/lake/query.ts'
import { objectsIn, rowsOf } from '../../support/lake.ts'
import { HOUR_MS, MINUTE_MS, TestLake } from '../../support/lake-compaction.ts'
import { plainDuckDb } from '../../support/lake-rows.ts'
import { DAY } from '../../support/lake-sink.ts'

const PARTITION = 'class=http_activity/region=ap-northeast-2/account=123456789012/day=2026-11-24'

let db: DuckDb
let lake: TestLake
beforeAll(async () => {
  db = await plainDuckDb()
})
afterAll(() => db.close())
beforeEach(async () => {
  lake = await TestLake.open(db)
})
afterEach(() => lake.close())

async function rows(sql: string, folder = lake.folder): Promise<unknown[]> {
  let text = ''
  for await (const piece of queryLake(folder, sql, { format: 'json' })) text += piece
  return JSON.parse(text) as unknown[]
}

describe('a compaction', () => {
  it('makes one sorted object of a closed hour, with each event once, that readers read at once', async () => {
    await lake.put('a-0', ['u1', 'u2', 'u3'])
    await lake.put('a-3', ['u4', 'u2'], { time: DAY + 10 })
    await lake.put('b-0', ['u1', 'u5'], { time: DAY + 3 })
    const before = await rows('SELECT * FROM http_activity ORDER BY metadata.uid')
    lake.nowMs += 2 * HOUR_MS
    expect(await lake.compact()).toMatchObject({
      made: 1,
      replaced: 3,
      rows: 5,
      duplicates: 2,
      deleted: 0,
      problems: [],
    })
    const live = await lake.live()
    expect(live).toEqual([
      expect.stringMatching(new RegExp(`^${PARTITION}/compacted-20261124T12-[0-9a-f]{24}\\.parquet$`)),
    ])
    const [path] = live
    const times = await lake.db.rows(`SELECT time FROM ${literal(join(lake.folder, path!))}`)
    expect(times.map(([time]) => Number(time) - DAY)).toEqual([0, 3, 7, 10, 14])
    expect(await rows('SELECT count(*) AS n FROM http_activity_raw')).toEqual([{ n: 5 }])
    expect(await rows('SELECT * FROM http_activity ORDER BY metadata.uid')).toEqual(before)
  })

  it('takes an hour only when it is closed, and each hour and partition for itself', async () => {
    await lake.put('a-0', ['u1'])
    lake.nowMs += HOUR_MS
    await lake.put('a-1', ['u2'])
    await lake.put('a-1', ['u3'], { time: DAY - 1 })
    await lake.put('a-2', ['u4'], { cloud: { provider: 'AWS', region: 'eu-west-1' } })
    lake.nowMs += HOUR_MS - 1
    expect((await lake.compact()).made).toBe(0)
    lake.nowMs += 1
    expect((await lake.compact()).made).toBe(1)
    lake.nowMs += HOUR_MS
    expect((await lake.compact()).made).toBe(3)
    expect(await lake.live()).toHaveLength(4)
    expect((await lake.liveUids()).sort()).toEqual(['u1', 'u2', 'u3', 'u4'])
  })

  it('deletes what it replaced only after the grace, and then everything it needed for it', async () => {
    await lake.put('a-0', ['u1'])
    await lake.put('a-1', ['u2'])
    lake.nowMs += 2 * HOUR_MS
    await lake.compact()
    lake.nowMs += 15 * MINUTE_MS - 1
    expect(await lake.compact()).toMatchObject({ made: 0, deleted: 0 })
    expect(objectsIn(lake.folder)).toHaveLength(3)
    lake.nowMs += 1
    expect(await lake.compact()).toMatchObject({ made: 0, deleted: 2 })
    expect(objectsIn(lake.folder)).toHaveLength(1)
    expect(await rows('SELECT metadata.uid AS uid FROM http_activity ORDER BY 1')).toEqual([
      { uid: 'u1' },
      { uid: 'u2' },
    ])
    expect(await lake.compact()).toMatchObject({ made: 0, deleted: 0 })
    for await (const { path } of lake.store.list('_compaction/')) expect(path).toBe('none is left')
  })

  it('merges what was stored late into the hour in which it was stored, and the views hide its repeats meanwhile', async () => {
    await lake.put('a-0', ['u1', 'u2'])
    lake.nowMs += 2 * HOUR_MS
    await lake.compact()
    await lake.put('late-0', ['u2', 'u3'])
    expect(await rows('SELECT count(*) AS n FROM http_activity')).toEqual([{ n: 3 }])
    expect(await rows('SELECT count(*) AS n FROM http_activity_raw')).toEqual([{ n: 4 }])
    // An upload that took long appears in an hour that was compacted before.
    lake.store.times.set(`${PARTITION}/late-0.parquet`, DAY + 12.5 * HOUR_MS)
    expect(await lake.compact()).toMatchObject({ made: 1, replaced: 2, rows: 3, duplicates: 1 })
    expect(await rows('SELECT count(*) AS n FROM http_activity_raw')).toEqual([{ n: 3 }])
  })

  it('merges the hours of a day with one another when they have settled, and takes out what was repeated over hours', async () => {
    await lake.put('a-0', ['u1', 'u2'])
    lake.nowMs += HOUR_MS
    await lake.put('a-1', ['u3', 'u1'])
    lake.nowMs += 24 * HOUR_MS
    await lake.put('b-0', ['u4', 'u2'])
    lake.nowMs += 4 * HOUR_MS
    expect(await lake.compact()).toMatchObject({ made: 3, duplicates: 0 })
    lake.nowMs += 48 * HOUR_MS - 28 * HOUR_MS
    expect(await lake.compact()).toMatchObject({ made: 0, deleted: 3 })
    lake.nowMs += HOUR_MS
    expect(await lake.compact()).toMatchObject({ made: 1, replaced: 2, rows: 3, duplicates: 1 })
    expect(await rows('SELECT count(*) AS n FROM http_activity')).toEqual([{ n: 4 }])
    lake.nowMs += 480 * HOUR_MS
    expect(await lake.compact()).toMatchObject({ made: 0, deleted: 2 })
    expect(objectsIn(lake.folder)).toHaveLength(2)
    expect(await lake.compact()).toMatchObject({ made: 0, deleted: 0 })
  })

  it('never shows again what a writer stores a second time before the grace is over', async () => {
    await lake.put('a-0', ['u1', 'u2'])
    lake.nowMs += 2 * HOUR_MS
    await lake.compact()
    await lake.store.remove(`${PARTITION}/a-0.parquet`)
    await lake.put('a-0', ['u1', 'u2'])
    expect(await lake.liveUids()).toHaveLength(2)
  })

  it('sorts more rows than it takes at once, and tries with fewer when they are too many for the memory', async () => {
    const many = Array.from({ length: 20_000 }, (_, at) => `u${at}`)
    await lake.put('a-0', many.slice(0, 12_000))
    await lake.put('a-1', many.slice(8_000))
    lake.nowMs += 2 * HOUR_MS
    const sorts: number[] = []
    const small: DuckDb = {
      ...lake.db,
      async run(sql) {
        const [, from, to] = /time >= (\d+) AND time < (\d+)/.exec(sql) ?? []
        if (from) {
          sorts.push(Number(to) - Number(from))
          if (sorts.length < 3) throw new Error('Out of Memory Error: failed to pin block')
        }
        await lake.db.run(sql)
      },
    }
    expect(await lake.compact({}, lake.store, small)).toMatchObject({ made: 1, rows: 20_000, duplicates: 4_000 })
    expect(sorts.length).toBeGreaterThan(50)
    expect(await lake.missing()).toEqual([])
    const [path] = await lake.live()
    const times = (await lake.db.rows(`SELECT time FROM ${literal(join(lake.folder, path!))}`)).map(([time]) =>
      Number(time),
    )
    expect(times).toEqual(times.toSorted((a, b) => a - b))
  })

  it('merges no more at once than its bound, and comes to an end', async () => {
    for (let at = 0; at < 10; at++) await lake.put(`a-${at}`, [`u${at}`, `v${at}`])
    lake.nowMs += 2 * HOUR_MS
    const [{ bytes }] = [await anObject()]
    const bound = { unitBytesMax: Math.floor(bytes * 3.5) }
    expect(await lake.compact(bound)).toMatchObject({ made: 4, replaced: 10 })
    for (let run = 0; run < 10; run++) {
      lake.nowMs += HOUR_MS
      await lake.compact(bound)
    }
    const objects = objectsIn(lake.folder).length
    expect(objects).toBeLessThanOrEqual(4)
    expect(await lake.compact(bound)).toMatchObject({ made: 0, deleted: 0 })
    expect(await lake.missing()).toEqual([])
    expect(await lake.liveUids()).toHaveLength(20)
  })

  async function anObject(): Promise<{ bytes: number }> {
    for await (const { bytes } of lake.store.list('class=http_activity/')) return { bytes }
    throw new Error('there is none')
  }

  it('keeps events without an id, all of them, and columns that this version does not know', async () => {
    await lake.put('a-0', ['u1'])
    const file = join(lake.store.partsFolder, 'x')
    const [path] = await lake.live()
    for (const name of ['b-0', 'b-1']) {
      await lake.db.run(
        `COPY (SELECT * REPLACE ({'version': '2', 'uid': NULL::VARCHAR} AS metadata), 7 AS of_tomorrow FROM ${literal(join(lake.folder, path!))}) TO ${literal(file)} (FORMAT parquet)`,
      )
      await lake.process().putNew(`${PARTITION}/${name}.parquet`, file)
    }
    lake.nowMs += 2 * HOUR_MS
    expect(await lake.compact()).toMatchObject({ made: 1, rows: 3, duplicates: 0, problems: [] })
    const [made] = await lake.live()
    expect(
      await lake.db.rows(`SELECT metadata.uid, of_tomorrow FROM ${literal(join(lake.folder, made!))} ORDER BY 1`),
    ).toEqual([
      ['u1', null],
      [null, 7],
      [null, 7],
    ])
  })

  it('leaves an hour that cannot be read as it is, says so, and goes on with the others', async () => {
    await lake.put('a-0', ['u1'])
    const broken = await lake.put('b-0', ['u2'], { time: DAY - 1 })
    writeFileSync(join(lake.folder, broken), 'not parquet')
    lake.nowMs += 2 * HOUR_MS
    const { made, problems } = await lake.compact()
    expect({ made, problems: problems.length }).toEqual({ made: 1, problems: 1 })
    expect(objectsIn(lake.folder)).toContain(broken)
  })

  it.each([
    ['is not JSON', '{'],
    [
      'is of another version',
      JSON.stringify({ version: 2, partition: PARTITION, hour: '20261124T12', replaces: ['a-0.parquet'] }),
    ],
    [
      'has another name than its content',
      JSON.stringify({ version: 1, partition: PARTITION, hour: '20261124T12', replaces: ['a-0.parquet'] }),
    ],
    ['has no names', JSON.stringify({ version: 1, partition: PARTITION, hour: '20261124T12', replaces: [7] })],
  ])('a manifest that %s hides nothing and deletes nothing', async (_what, text) => {
    await lake.put('a-0', ['u1'])
    const file = join(lake.store.partsFolder, 'x')
    writeFileSync(file, text)
    await lake.process().putNew('_compaction/0123456789abcdef01234567.json', file)
    expect(await lake.live()).toHaveLength(1)
    lake.nowMs += 48 * HOUR_MS
    await lake.compact()
    lake.nowMs += 48 * HOUR_MS
    await lake.compact()
    expect(await lake.missing()).toEqual([])
  })

  it('replaces nothing when DuckDB left an event out (planted)', async () => {
    await lake.put('a-0', ['u1', 'u2'])
    lake.nowMs += 2 * HOUR_MS
    const forgetful: DuckDb = {
      ...lake.db,
      run: sql => lake.db.run(sql.replace('ORDER BY time, r', "AND r.metadata.uid != 'u2' ORDER BY time, r")),
    }
    const { made, problems } = await lake.compact({}, lake.store, forgetful)
    expect(made).toBe(0)
    expect(problems).toMatchObject([
      { code: 'LAKE_COMPACTION', message: expect.stringContaining('1 rows of 2 events') },
    ])
    expect(await lake.live()).toHaveLength(1)
  })
})

describe('a query over a lake that is being compacted', () => {
  it('that listed objects which are gone fails, and never answers with fewer', async () => {
    await lake.put('a-0', ['u1'])
    await lake.put('a-1', ['u2'])
    lake.nowMs += 2 * HOUR_MS
    const reader = await openLakeReader(lake.folder, { threads: 1 })
    expect(await reader.isStale()).toBe(false)
    await lake.compact()
    expect(await reader.isStale()).toBe(false)
    expect(await count(reader)).toEqual([[2n]])
    lake.nowMs += HOUR_MS
    await lake.compact()
    expect(await reader.isStale()).toBe(true)
    await expect(count(reader)).rejects.toMatchObject({ code: 'LAKE_QUERY' })
    await reader.close()
    expect(await rowsOf(lake.folder, 'SELECT count(*) FROM http_activity')).toEqual([[2n]])
  })

  it('gives the same answer at every moment, although nothing that was replaced is kept for it', async () => {
    for (let at = 0; at < 12; at++) await lake.put(`a-${at}`, [`u${at}`, `u${at + 1}`])
    const expected = '{"n":13,"events":13}\n'
    let done = false
    const compacting = (async () => {
      for (let hour = 0; hour < 6; hour++) {
        lake.nowMs += 2 * HOUR_MS
        await lake.put(`b-${hour}`, ['u3', 'u9'])
        await lake.compact({ graceMs: 0, latenessMs: 0 })
      }
      done = true
    })()
    let answers = 0
    while (!done) {
      let text = ''
      const sql = 'SELECT count(*) AS n, count(DISTINCT metadata.uid) AS events FROM http_activity'
      for await (const piece of queryLake(lake.folder, sql, { format: 'ndjson' })) text += piece
      expect(text).toBe(expected)
      answers++
    }
    await compacting
    expect(answers).toBeGreaterThan(3)
  })
})

async function count(reader: LakeReader): Promise<unknown[]> {
  const rows: unknown[] = []
  const { rows: chunks } = await reader.query('SELECT count(*) FROM http_activity')
  for await (const chunk of chunks) rows.push(...chunk.map(row => [...row]))
  return rows
}

describe('what is merged', () => {
  const object = (name: string, hour: string, bytes: number, compacted = false) => ({
    path: `p/${name}`,
    name,
    partition: 'p',
    hour,
    bytes,
    compacted,
    modifiedMs: 0,
  })
  const closed = { latenessMs: 0, settledMs: 48 * HOUR_MS, unitBytesMax: 100 }
  const names = (objects: ReturnType<typeof object>[]) =>
    unitsOf(objects, closed, DAY).map(unit => unit.map(({ name }) => name))

  it.each([
    ['nothing of nothing', [], []],
    ['one that a sink wrote, as it may hold repeats', [object('a', '20261101T00', 1)], [['a']]],
    ['not one that is a result already', [object('c', '20261101T00', 1, true)], []],
    ['results with late objects', [object('a', '20261101T00', 1), object('c', '20261101T00', 1, true)], [['a', 'c']]],
    [
      'as many as fit',
      [object('a', '20261101T00', 60), object('b', '20261101T00', 41), object('c', '20261101T00', 59)],
      [['a'], ['b', 'c']],
    ],
    [
      'one that is too large for its neighbours',
      [object('a', '20261101T00', 1000), object('b', '20261101T00', 1)],
      [['a'], ['b']],
    ],
    ['not results of two hours', [object('c', '20261123T00', 1, true), object('d', '20261123T01', 1, true)], []],
    [
      'results of one settled day, not of two',
      [object('c', '20261101T00', 1, true), object('d', '20261101T23', 1, true), object('e', '20261102T00', 1, true)],
      [['c', 'd']],
    ],
    ['not what is being written', [object('a', '20261124T00', 1)], []],
  ])('%s', (_what, objects, expected) => expect(names(objects)).toEqual(expected))
})
