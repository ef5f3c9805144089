import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import type * as promises from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import type { Encoded, Sink } from '../../engine/contract.ts'
import { file } from '../../sinks/file.ts'
import { testDeps } from '../support/deps.ts'
import { never, recordingLog, records } from '../support/opensearch-sink.ts'

/** What the disk under the files of this test does. */
const disk = vi.hoisted(() => ({
  room: Number.POSITIVE_INFINITY,
  syncFails: false,
  truncateFails: false,
  syncs: 0,
  onSync: undefined as Promise<void> | undefined,
}))

vi.mock(import('node:fs/promises'), async original => {
  const real = await original()
  const failure = (code: string): Error => Object.assign(new Error(`${code}: as the test says`), { code })
  async function open(...given: Parameters<typeof promises.open>): Promise<promises.FileHandle> {
    const handle = await real.open(...given)
    const write = handle.write.bind(handle) as (
      data: Buffer | string,
      offset?: number,
      length?: number,
    ) => Promise<unknown>
    const datasync = handle.datasync.bind(handle)
    const truncate = handle.truncate.bind(handle)
    const limited = async (data: Buffer | string, offset?: number, length?: number): Promise<unknown> => {
      if (typeof data === 'string') return write(data)
      const wanted = length ?? data.length
      // As on a nearly full disk: first what still fits, then ENOSPC.
      const now = Math.min(wanted, Math.max(1, Math.ceil(wanted / 2)), disk.room)
      if (now === 0) throw failure('ENOSPC')
      disk.room -= now
      return write(data, offset, now)
    }
    return Object.assign(handle, {
      write: limited,
      async datasync() {
        await disk.onSync
        disk.syncs++
        if (disk.syncFails) throw failure('EIO')
        await datasync()
      },
      async truncate(length: number) {
        if (disk.truncateFails) throw failure('EIO')
        await truncate(length)
      },
    })
  }
  return { ...real, open: open as typeof real.open }
})

let folder: string
let path: string
beforeEach(() => {
  Object.assign(disk, {
    room: Number.POSITIVE_INFINITY,
    syncFails: false,
    truncateFails: false,
    syncs: 0,
    onSync: undefined,
  })
  folder = mkdtempSync(join(tmpdir(), 'haetae-test-'))
  path = join(folder, 'events.ndjson')
})

const done = { retry: [], reject: [] }
const open = (config: object = {}, overrides = {}): Promise<Sink> =>
  file.open(file.config.parse({ path, ...config }), testDeps(overrides))
const linesOf = (batch: readonly Encoded[]): string => batch.map(({ json }) => `${json.toString()}\n`).join('')
const content = (of = path): string => readFileSync(of, 'utf8')

test('the example uses each key', () => {
  const given = parse(file.example) as object
  expect(file.config.parse(given)).toEqual(given)
  expect(Object.keys(given)).toEqual(Object.keys(file.config.shape))
})

describe('appending', () => {
  test('documents stand one a line, in order, behind what was there, readable by the owner only', async () => {
    const first = await open()
    expect(await first.write(records(2), never)).toEqual(done)
    await first.close()
    const second = await open()
    expect(await second.write(records(2, 2), never)).toEqual(done)
    await second.close()
    expect(content()).toBe(linesOf(records(4)))
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  test('folders that are missing are made for the owner only', async () => {
    const deep = join(folder, 'a', 'b', 'events.ndjson')
    await (await open({ path: deep })).close()
    expect(statSync(join(folder, 'a')).mode & 0o777).toBe(0o700)
  })

  test('nothing is answered before it is on the disk, and what waits meanwhile shares one flush', async () => {
    const sink = await open()
    let flush = (): void => undefined
    disk.syncs = 0
    disk.onSync = new Promise(resolve => {
      flush = resolve
    })
    let answered = 0
    const writes = [0, 1, 2, 3].map(at => sink.write(records(1, at), never).then(() => answered++))
    await vi.waitUntil(() => content().length > 0)
    expect(answered).toBe(0)
    flush()
    await Promise.all(writes)
    expect(disk.syncs).toBe(2)
    expect(content()).toBe(linesOf(records(4)))
    await sink.close()
  })
})

describe('failing disks', () => {
  test('a full disk leaves no torn line, and the batch fits once there is room', async () => {
    const sink = await open()
    await sink.write(records(2), never)
    disk.room = 30
    await expect(sink.write(records(2, 2), never)).rejects.toThrow('ENOSPC')
    expect(content()).toBe(linesOf(records(2)))
    disk.room = Number.POSITIVE_INFINITY
    expect(await sink.write(records(2, 2), never)).toEqual(done)
    expect(content()).toBe(linesOf(records(4)))
  })

  test('a torn line that could not be cut off at once is cut off before anything follows it', async () => {
    const sink = await open()
    disk.room = 30
    disk.truncateFails = true
    await expect(sink.write(records(1), never)).rejects.toThrow('ENOSPC')
    disk.room = Number.POSITIVE_INFINITY
    await expect(sink.write(records(1), never)).rejects.toThrow('EIO')
    expect(content()).toHaveLength(30)
    disk.truncateFails = false
    expect(await sink.write(records(1), never)).toEqual(done)
    expect(content()).toBe(linesOf(records(1)))
  })

  test('what the disk did not confirm is written again', async () => {
    const sink = await open()
    disk.syncFails = true
    await expect(sink.write(records(1), never)).rejects.toThrow('EIO')
    expect(content()).toBe('')
    disk.syncFails = false
    expect(await sink.write(records(1), never)).toEqual(done)
    expect(content()).toBe(linesOf(records(1)))
  })

  test('however the disk fills and empties, the file holds exactly what was answered for', async () => {
    const step = fc.record({
      count: fc.integer({ min: 1, max: 5 }),
      room: fc.option(fc.nat(400)),
      syncFails: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async steps => {
        rmSync(path, { force: true })
        const sink = await open()
        let expected = ''
        for (const [at, { count, room, syncFails }] of steps.entries()) {
          Object.assign(disk, { room: room ?? Number.POSITIVE_INFINITY, syncFails })
          const batch = records(count, at * 10)
          const written = await sink.write(batch, never).then(
            () => true,
            () => false,
          )
          if (written) expected += linesOf(batch)
          expect(content()).toBe(expected)
        }
        Object.assign(disk, { room: Number.POSITIVE_INFINITY, syncFails: false })
        await sink.close()
      }),
      { numRuns: 30 },
    )
  })
})

describe('what an earlier process left', () => {
  test.each([1, 20, 200_000])('a record torn after %d bytes is cut off, and that is said', async bytes => {
    const log = recordingLog()
    writeFileSync(
      path,
      `${linesOf(records(1))}{"a":"${'x'.repeat(300_000)}`.slice(0, linesOf(records(1)).length + bytes),
    )
    const sink = await open({}, { log })
    await sink.write(records(1, 1), never)
    expect(content()).toBe(linesOf(records(2)))
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { bytes } }])
  })

  test('a whole record that only lacks its line end keeps', async () => {
    writeFileSync(path, linesOf(records(2)).trimEnd())
    const sink = await open()
    await sink.write(records(1, 2), never)
    expect(content()).toBe(linesOf(records(3)))
  })

  test('a file of something else is not touched', async () => {
    writeFileSync(path, 'notes of mine')
    await expect(open()).rejects.toMatchObject({ code: 'SINK_MISCONFIGURED' })
    expect(content()).toBe('notes of mine')
  })

  test.each<[string, () => string]>([
    ['a folder', () => folder],
    [
      'a path below a file',
      () => {
        writeFileSync(path, '')
        return join(path, 'x')
      },
    ],
    ['a device', () => '/dev/null'],
  ])('%s is refused as a matter of configuration', async (_, make) => {
    await expect(open({ path: make() })).rejects.toMatchObject({ code: 'SINK_MISCONFIGURED' })
  })
})

describe('files that move', () => {
  test('past bytesMax the file is put aside under the next number, whole lines in each, none lost', async () => {
    const size = linesOf(records(1)).length
    writeFileSync(join(folder, 'events.ndjson.7'), 'older\n')
    writeFileSync(join(folder, 'events.ndjson.x'), 'not ours\n')
    const sink = await open({ bytesMax: size * 2 })
    for (let at = 0; at < 5; at++) await sink.write(records(1, at), never)
    await sink.close()
    expect(readdirSync(folder).sort()).toEqual([
      'events.ndjson',
      'events.ndjson.7',
      'events.ndjson.8',
      'events.ndjson.9',
      'events.ndjson.x',
    ])
    expect(content(`${path}.8`) + content(`${path}.9`) + content()).toBe(linesOf(records(5)))
    expect(content(`${path}.7`)).toBe('older\n')
  })

  test('a batch larger than bytesMax gets a file of its own', async () => {
    const sink = await open({ bytesMax: 10 })
    await sink.write(records(3), never)
    await sink.write(records(3, 3), never)
    expect(content(`${path}.1`)).toBe(linesOf(records(3)))
    expect(content()).toBe(linesOf(records(3, 3)))
  })

  test.each([
    ['renamed', (from: string) => renameSync(from, `${from}.old`)],
    ['deleted', (from: string) => rmSync(from)],
  ])('a file that was %s is begun anew, so no event goes where nobody looks', async (_, move) => {
    const sink = await open()
    await sink.write(records(1), never)
    move(path)
    expect(await sink.write(records(1, 1), never)).toEqual(done)
    expect(content()).toBe(linesOf(records(1, 1)))
    if (existsSync(`${path}.old`)) expect(content(`${path}.old`)).toBe(linesOf(records(1)))
  })

  test('a folder that went away is tried again until it can be written', async () => {
    const sink = await open({ path: join(folder, 'sub', 'events.ndjson') })
    rmSync(join(folder, 'sub'), { recursive: true })
    writeFileSync(join(folder, 'sub'), '')
    await expect(sink.write(records(1), never)).rejects.toThrow()
    rmSync(join(folder, 'sub'))
    mkdirSync(join(folder, 'sub'))
    expect(await sink.write(records(1), never)).toEqual(done)
    expect(content(join(folder, 'sub', 'events.ndjson'))).toBe(linesOf(records(1)))
  })
})

test('rights that an operator gave to a file stay', async () => {
  appendFileSync(path, '')
  chmodSync(path, 0o640)
  const sink = await open()
  await sink.write(records(1), never)
  expect(statSync(path).mode & 0o777).toBe(0o640)
})
