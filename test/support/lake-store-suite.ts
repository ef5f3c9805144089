import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openLakeStore } from '../../platform/lake/open-store.ts'
import type { LakeStore, StoredObject } from '../../platform/lake/store.ts'

const PATH = 'class=http_activity/region=r/account=a/day=2026-11-24/events.waf-0-00000000000000000001.parquet'

/** What a store of a lake promises, wherever it is. Each location is used once and holds nothing yet. */
export function lakeStoreSuite(where: string, newLocation: () => string): void {
  const work = mkdtempSync(join(tmpdir(), 'haetae-store-'))
  afterAll(() => rmSync(work, { recursive: true, force: true }))
  const open = async (location = newLocation()): Promise<LakeStore> => {
    const store = await openLakeStore(location, join(work, randomBytes(6).toString('hex')))
    await store.prepare(Date.now())
    return store
  }
  const fileOf = (store: LakeStore, content: string | Buffer): string => {
    const file = join(store.partsFolder, `${randomBytes(6).toString('hex')}.part`)
    writeFileSync(file, content)
    return file
  }
  const contentOf = async (store: LakeStore, path: string): Promise<string | undefined> => {
    const copy = join(work, randomBytes(6).toString('hex'))
    return (await store.get(path, copy)) ? readFileSync(copy, 'utf8') : undefined
  }
  describe(`a lake store over ${where}`, () => {
    objects(open, fileOf, contentOf)
    lists(open, fileOf)
  })
}

type Open = (location?: string) => Promise<LakeStore>
type FileOf = (store: LakeStore, content: string | Buffer) => string

function objects(
  open: Open,
  fileOf: FileOf,
  contentOf: (store: LakeStore, path: string) => Promise<string | undefined>,
) {
  it('stores a file as an object, which another process finds', async () => {
    const store = await open()
    const file = fileOf(store, 'content')
    expect(await store.sizeOf(PATH)).toBeUndefined()
    expect(await store.putNew(PATH, file)).toBe('stored')
    expect(existsSync(file)).toBe(true)
    rmSync(file)
    const other = await open(store.location)
    expect([await other.sizeOf(PATH), await contentOf(other, PATH)]).toEqual([7, 'content'])
    await Promise.all([store.close(), other.close()])
  })

  it('never replaces an object, also of two writers at once', async () => {
    const a = await open()
    const other = await open(a.location)
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, at) => (at % 2 ? a : other)).map((store, at) =>
        store.putNew(PATH, fileOf(store, `content ${at}`)).then(result => ({ result, at })),
      ),
    )
    const winners = results.filter(({ result }) => result === 'stored')
    expect(winners).toHaveLength(1)
    expect(await contentOf(a, PATH)).toBe(`content ${winners[0]!.at}`)
    expect(await a.putNew(PATH, fileOf(a, 'later'))).toBe('present')
    expect(await contentOf(other, PATH)).toBe(`content ${winners[0]!.at}`)
  })

  it('gives what is not there as not there, and removes it without a word', async () => {
    const store = await open()
    expect([await store.sizeOf(PATH), await contentOf(store, PATH)]).toEqual([undefined, undefined])
    await store.remove(PATH)
    await store.putNew(PATH, fileOf(store, 'x'))
    await store.remove(PATH)
    await store.remove(PATH)
    expect([await store.sizeOf(PATH), await contentOf(store, PATH)]).toEqual([undefined, undefined])
    expect(await store.putNew(PATH, fileOf(store, 'again'))).toBe('stored')
  })

  it('a file that was got stays when its object is removed', async () => {
    const store = await open()
    await store.putNew(PATH, fileOf(store, 'content'))
    const copy = join(store.partsFolder, 'copy')
    await store.get(PATH, copy)
    await store.remove(PATH)
    expect(readFileSync(copy, 'utf8')).toBe('content')
  })

  it('forgets the parts that a crashed process left an hour ago, and no others', async () => {
    const store = await open()
    const [old, young] = [fileOf(store, 'old'), fileOf(store, 'young')]
    const longAgo = new Date(Date.now() - 3_700_000)
    utimesSync(old, longAgo, longAgo)
    await (await open(store.location)).close()
    await store.prepare(Date.now())
    expect([existsSync(old), existsSync(young)]).toEqual([false, true])
  })
}

function lists(open: Open, fileOf: FileOf) {
  it('lists what is below a prefix in the order of paths, with sizes and times', async () => {
    const store = await open()
    const paths = [
      'class=b/day=1/2',
      'class=a/day=2/x',
      'class=a/day=1/y',
      'class=a/day=1/x',
      'class=a/day=10/x',
      '_m/1.json',
    ]
    for (const [at, path] of paths.entries()) await store.putNew(path, fileOf(store, 'x'.repeat(at + 1)))
    const all = async (prefix: string): Promise<StoredObject[]> => listed(store, prefix)
    expect((await all('class=a/')).map(({ path, bytes }) => [path, bytes])).toEqual([
      ['class=a/day=1/x', 4],
      ['class=a/day=1/y', 3],
      ['class=a/day=10/x', 5],
      ['class=a/day=2/x', 2],
    ])
    expect((await all('_m/')).map(({ path }) => path)).toEqual(['_m/1.json'])
    expect(await all('class=none/')).toEqual([])
    for (const { modifiedMs } of await all('class=a/'))
      expect(Math.abs(modifiedMs - Date.now())).toBeLessThan(3_600_000)
  })

  it('lists nothing of a lake beside it whose name begins alike', async () => {
    const store = await open()
    const beside = await open(`${store.location}2`)
    await beside.putNew('class=a/x', fileOf(beside, 'x'))
    expect(await listed(store, 'class=a/')).toEqual([])
  })
}

async function listed(store: LakeStore, prefix: string): Promise<StoredObject[]> {
  const found: StoredObject[] = []
  for await (const object of store.list(prefix)) found.push(object)
  return found
}
