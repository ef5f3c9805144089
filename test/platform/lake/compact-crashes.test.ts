import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { DuckDb } from '../../../platform/lake/duckdb.ts'
import { readManifests, replacementName } from '../../../platform/lake/manifest.ts'
import { listObjects } from '../../../platform/lake/objects.ts'
import type { LakeStore } from '../../../platform/lake/store.ts'
import { lakeTables } from '../../../platform/lake/tables.ts'
import { objectsIn, rowsOf } from '../../support/lake.ts'
import { Compactor, HOUR_MS, killAt, MINUTE_MS, TestLake } from '../../support/lake-compaction.ts'
import { plainDuckDb } from '../../support/lake-rows.ts'

const open: TestLake[] = []
let db: DuckDb
beforeAll(async () => {
  db = await plainDuckDb()
})
afterAll(() => db.close())
afterEach(() => {
  for (const lake of open.splice(0)) lake.close()
})

/** Objects of two closed hours, with repeats within an hour and across hours. */
async function filled(): Promise<TestLake> {
  const lake = await TestLake.open(db)
  open.push(lake)
  await lake.put('a-0', ['u1', 'u2'])
  await lake.put('a-2', ['u3', 'u1'])
  lake.nowMs += HOUR_MS
  await lake.put('a-4', ['u5', 'u2'])
  lake.nowMs += 2 * HOUR_MS
  return lake
}

/** Two runs of one process, so that the second deletes what the first replaced. */
async function life(lake: TestLake, store: LakeStore): Promise<void> {
  const limits = { latenessMs: 0, graceMs: 0 }
  await lake.compact(limits, store).catch(() => undefined)
  await lake.compact(limits, store).catch(() => undefined)
}

async function expectEachOnce(lake: TestLake): Promise<void> {
  const events = BigInt(lake.uids.size)
  const sql = 'SELECT count(*), count(DISTINCT metadata.uid) FROM http_activity'
  expect(await rowsOf(lake.folder, sql)).toEqual([[events, events]])
}

/** What every reader finds now, and when compactions have run undisturbed until there is nothing left to do. */
async function expectWhole(lake: TestLake): Promise<void> {
  expect(await lake.missing()).toEqual([])
  await expectEachOnce(lake)
  lake.nowMs += 48 * HOUR_MS
  for (let run = 0; run < 3; run++) {
    expect((await lake.compact()).problems).toEqual([])
    lake.nowMs += 48 * HOUR_MS
  }
  expect(await lake.missing()).toEqual([])
  expect(objectsIn(lake.folder).every(path => path.includes('/compacted-'))).toBe(true)
}

describe('a compaction that is killed', () => {
  it.each(['before', 'after'] as const)(
    '%s any step leaves every event for readers, once, and the next one goes on',
    async when => {
      let step = 0
      for (let more = true; more; ) {
        step++
        const lake = await filled()
        const store = lake.process()
        const seen = killAt(store, step, when)
        await life(lake, store)
        more = seen.steps >= step
        await expectWhole(lake)
        open.pop()!.close()
      }
      expect(step).toBeGreaterThan(20)
    },
    300_000,
  )

  it('after it said that an object is stored which is lost with it: these tests see it (planted)', async () => {
    const lake = await filled()
    await life(lake, new Forgetful(lake.process()))
    expect(await lake.missing()).not.toEqual([])
  })

  it('before its object is there: a reader that believed its manifest would miss events (planted)', async () => {
    let missed = 0
    for (let step = 1; missed === 0; step++) {
      const lake = await filled()
      const store = lake.process()
      killAt(store, step, 'before')
      await life(lake, store)
      expect(await lake.missing()).toEqual([])
      if ((await believing(lake)) < lake.uids.size) missed++
    }
  })
})

/** How many objects' events a reader would find that leaves out what any manifest replaces. */
async function believing(lake: TestLake): Promise<number> {
  const store = lake.process()
  const manifests = await readManifests(store, lake.store.partsFolder)
  const replaced = new Set(manifests.flatMap(({ partition, replaces }) => replaces.map(name => `${partition}/${name}`)))
  const objects = await listObjects(store, lakeTables[0]!)
  const read = objects.filter(({ path }) => !replaced.has(path))
  return new Set((await Promise.all(read.map(({ path }) => lake.contentOf(path)))).flat()).size
}

it('a compaction is seen by a reader at each of its steps as if nothing was going on', async () => {
  const lake = await filled()
  const store = lake.process()
  let looks = 0
  store.onStep = async when => {
    if (when === 'before') return
    looks++
    expect(await lake.missing()).toEqual([])
    await expectEachOnce(lake)
  }
  for (let run = 0; run < 2; run++) {
    expect((await lake.compact({ latenessMs: 0, graceMs: 0 }, store)).problems).toEqual([])
    lake.nowMs += HOUR_MS
  }
  expect(looks).toBeGreaterThan(15)
})

const act = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      uids: fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('again' as const), at: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('start' as const) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('step' as const),
      who: fc.nat(1),
      steps: fc.integer({ min: 1, max: 12 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('kill' as const), who: fc.nat(1) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), minutes: fc.integer({ min: 1, max: 90 }) }) },
)

it('however two compactions, writers that repeat themselves, kills and time meet, no event is ever missing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 20, maxLength: 60 }), async acts => {
      const lake = await TestLake.open(db)
      const compactors: Compactor[] = []
      const put: string[][] = []
      try {
        for (const each of acts) {
          if (each.kind === 'wait') lake.nowMs += each.minutes * MINUTE_MS
          else if (each.kind === 'put') {
            put.push(each.uids.map(uid => `u${uid}`))
            await lake.put(`a-${put.length - 1}`, put.at(-1)!)
          } else if (each.kind === 'again') {
            const at = each.at % Math.max(1, put.length)
            if (put[at]) await lake.put(`a-${at}`, put[at])
          } else if (each.kind === 'start') {
            if (compactors.length < 2) compactors.push(new Compactor(lake, { latenessMs: 0, graceMs: 10 * MINUTE_MS }))
          } else {
            const who = compactors[each.who % Math.max(1, compactors.length)]
            if (each.kind === 'kill') await who?.kill()
            else for (let step = 0; step < each.steps; step++) await who?.step()
            if (who?.ended) compactors.splice(compactors.indexOf(who), 1)
          }
          expect(await lake.missing()).toEqual([])
        }
        for (const compactor of compactors) await compactor.kill()
        await expectWhole(lake)
      } finally {
        for (const compactor of compactors) await compactor.kill()
        lake.close()
      }
    }),
    { numRuns: 12 },
  )
}, 300_000)

/** Says that the objects of a compaction are stored, shows them to its own process, and never stores them. */
class Forgetful implements LakeStore {
  readonly #store: LakeStore
  readonly #lost = new Set<string>()
  readonly location: string
  readonly partsFolder: string

  constructor(store: LakeStore) {
    this.#store = store
    this.location = store.location
    this.partsFolder = store.partsFolder
  }
  prepare = (nowMs: number) => this.#store.prepare(nowMs)
  sizeOf = (path: string) => (this.#lost.has(path) ? Promise.resolve(1) : this.#store.sizeOf(path))
  get = (path: string, file: string) => this.#store.get(path, file)
  remove = (path: string) => this.#store.remove(path)
  source = (path: string) => this.#store.source(path)
  close = () => this.#store.close()
  putNew(path: string, file: string): Promise<'stored' | 'present'> {
    if (!path.includes('/compacted-')) return this.#store.putNew(path, file)
    this.#lost.add(path)
    return Promise.resolve('stored')
  }
  async *list(prefix: string) {
    yield* this.#store.list(prefix)
    for (const path of this.#lost) if (path.startsWith(prefix)) yield { path, bytes: 1, modifiedMs: 0 }
  }
}

it('the name of a replacement follows from what it replaces, and from nothing else', () => {
  const given = { partition: 'p', hour: '20261124T12', replaces: ['a', 'b'] }
  expect(replacementName({ ...given })).toBe(replacementName(given))
  const others = [
    { ...given, partition: 'q' },
    { ...given, hour: '20261124T13' },
    { ...given, replaces: ['a'] },
    { ...given, replaces: ['a', 'bc'] },
    { ...given, replaces: ['ab'] },
  ]
  expect(new Set(others.map(replacementName)).size).toBe(others.length)
})
