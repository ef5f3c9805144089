import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { DeadLetter } from '../../engine/contract.ts'
import { deadLetterOf, encodeDeadLetter } from '../../engine/dead-letter.ts'
import { readDeadLetters } from '../../engine/dead-letter-files.ts'
import { DeadLetterFile } from '../../engine/dead-letter-store.ts'
import { eventOf } from '../support/deps.ts'

const DAY_MS = 86_400_000
const todayMs = Date.UTC(2026, 10, 24, 12)

afterEach(() => {
  vi.restoreAllMocks()
})

function letterOf(text: string, over: Partial<DeadLetter> = {}): DeadLetter {
  const origin = { stream: 'events.waf/1', position: 5n }
  return { ...deadLetterOf(eventOf(text, 'waf', origin), 'waf', 'parse-waf', 'not_json: at 0', todayMs), ...over }
}

interface Given {
  readonly folder?: string
  readonly nowMs?: () => number
  readonly bytesMax?: number
}

function openStore(given: Given = {}) {
  const { folder = mkdtempSync(join(tmpdir(), 'haetae-dead-')), nowMs = () => todayMs, bytesMax = 1024 ** 3 } = given
  const told: unknown[] = []
  const store = new DeadLetterFile({
    folder: join(folder, 'waf'),
    bytesMax,
    now: nowMs,
    used: bytes => told.push(bytes),
    paused: reason => told.push(reason),
  })
  return { folder, store, told, path: join(folder, 'waf', '2026-11-24.ndjson') }
}

async function readAll(folder: string): Promise<string[]> {
  const texts: string[] = []
  for await (const { letter } of readDeadLetters(folder)) texts.push(letter.raw.toString())
  return texts
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return '' // Closed since it was listed.
  }
}

/** The prototype that all file handles share, to make the disk fail. */
async function handles(): Promise<FileHandle> {
  const handle = await open(tmpdir(), 'r')
  await handle.close()
  return Object.getPrototypeOf(handle) as FileHandle
}

describe('the dead letter file', () => {
  test('is durable, private and readable when write resolves', async () => {
    const { store, folder, path } = openStore()
    const proto = await handles()
    const ofFile = vi.spyOn(proto, 'datasync')
    const ofFolder = vi.spyOn(proto, 'sync')
    await store.write([letterOf('a'), letterOf('b')])
    expect([ofFile.mock.calls.length, ofFolder.mock.calls.length]).toEqual([1, 1]) // The folder names the file.
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'waf')).mode & 0o777).toBe(0o700)
    expect(await readAll(folder)).toEqual(['a', 'b'])
    await store.close()
  })

  test('whose mode somebody opened up is closed again', async () => {
    const { folder, path } = openStore()
    mkdirSync(join(folder, 'waf'))
    writeFileSync(path, '', { mode: 0o644 })
    const { store } = openStore({ folder })
    await store.write([letterOf('a')])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    await store.close()
  })

  test('shares one sync between writes that arrive while another is under way, in their order', async () => {
    const { store, folder } = openStore()
    await store.write([letterOf('first')])
    const sync = vi.spyOn(await handles(), 'datasync')
    const names = Array.from({ length: 100 }, (_, n) => `w${n}`)
    await Promise.all(names.map(name => store.write([letterOf(name)])))
    expect(sync).toHaveBeenCalledTimes(2)
    expect(await readAll(folder)).toEqual(['first', ...names])
    await store.close()
  })

  test('never forgets a write, however writes follow one another', async () => {
    const { store, folder } = openStore()
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let n = 0; n < 25; n++) {
        const written = store.write([letterOf(`${writer}.${n}`)])
        // The next write of another flow may come at any of the microtasks around the end of this one.
        const again = written.then(() => store.write([letterOf(`${writer}.${n}+`)]))
        await written
        for (let turn = 0; turn < n % 5; turn++) await Promise.resolve()
        await again
      }
    })
    await Promise.all(writers)
    expect(new Set(await readAll(folder)).size).toBe(200)
    await store.close()
  })

  test('cuts off the torn tail a crash left behind, and appends after the last whole line', async () => {
    const { store, folder, path } = openStore()
    await store.write([letterOf('a')])
    await store.close()
    appendFileSync(path, `${encodeDeadLetter(letterOf('torn'))}`.slice(0, 40))
    const again = openStore({ folder })
    await again.store.write([letterOf('b')])
    await again.store.close()
    expect(await readAll(folder)).toEqual(['a', 'b'])
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(3)
  })

  test.each([1, 65_535, 65_536, 200_000])('finds the last whole line before a torn tail of %d bytes', async length => {
    const { store, folder, path } = openStore()
    await store.write([letterOf('a')])
    await store.close()
    const { size } = statSync(path)
    appendFileSync(path, 'x'.repeat(length))
    const again = openStore({ folder })
    await again.store.write([letterOf('b')])
    await again.store.close()
    expect(statSync(path).size).toBe(size * 2)
  })

  test('that is nothing but a torn line is emptied', async () => {
    const { folder, path } = openStore()
    mkdirSync(join(folder, 'waf'))
    writeFileSync(path, 'x'.repeat(100_000))
    const { store } = openStore({ folder })
    await store.write([letterOf('a')])
    await store.close()
    expect(await readAll(folder)).toEqual(['a'])
    expect(readFileSync(path, 'utf8')).not.toContain('xxx')
  })

  test('on a full disk rejects the write, leaves no torn line, and takes it when there is space again', async () => {
    const { store, folder, path } = openStore()
    await store.write([letterOf('a')])
    const { size } = statSync(path)
    const proto = await handles()
    const write = proto.write as (buffer: Buffer, offset: number, length: number, at: number) => Promise<unknown>
    let space = 100
    const full = vi.spyOn(proto, 'write').mockImplementation(async function (this: FileHandle, ...given: unknown[]) {
      const [buffer, offset, length, at] = given as [Buffer, number, number, number]
      if (space === 0) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
      const taken = Math.min(space, length)
      space -= taken
      return (await write.call(this, buffer, offset, taken, at)) as never
    })
    const failing = [store.write([letterOf('b')]), store.write([letterOf('c')])]
    for (const each of failing) await expect(each).rejects.toThrow('ENOSPC')
    expect(statSync(path).size).toBe(size)
    full.mockRestore()
    await store.write([letterOf('b')])
    expect(await readAll(folder)).toEqual(['a', 'b'])
    await store.close()
  })

  test('whose sync fails does not count as written, and its bytes are taken back', async () => {
    const { store, folder } = openStore()
    await store.write([letterOf('a')])
    const sync = vi.spyOn(await handles(), 'datasync').mockRejectedValueOnce(new Error('EIO'))
    await expect(store.write([letterOf('b')])).rejects.toThrow('EIO')
    sync.mockRestore()
    expect(await readAll(folder)).toEqual(['a'])
    await store.write([letterOf('b')])
    expect(await readAll(folder)).toEqual(['a', 'b'])
    await store.close()
  })

  test('whose torn line the disk would not cut off takes nothing until it is cut off: no line grows out of two', async () => {
    const { store, folder, path } = openStore()
    await store.write([letterOf('a')])
    const { size } = statSync(path)
    const proto = await handles()
    const write = proto.write as (buffer: Buffer, offset: number, length: number) => Promise<unknown>
    let written = false
    vi.spyOn(proto, 'write').mockImplementation(async function (this: FileHandle, ...given: unknown[]) {
      if (written) throw new Error('ENOSPC')
      written = true
      return (await write.call(this, given[0] as Buffer, given[1] as number, 40)) as never
    })
    const truncate = vi.spyOn(proto, 'truncate').mockRejectedValue(new Error('EIO'))
    await expect(store.write([letterOf('b')])).rejects.toThrow('ENOSPC')
    vi.mocked(proto.write).mockRestore()
    await expect(store.write([letterOf('b')])).rejects.toThrow('EIO')
    expect(statSync(path).size).toBe(size + 40)
    truncate.mockRestore()
    await store.write([letterOf('b')])
    expect(await readAll(folder)).toEqual(['a', 'b'])
    expect(statSync(path).size).toBe(2 * size)
    await store.close()
  })

  test('of a day that is over does not keep a torn line: the next day begins once it is cut off', async () => {
    let nowMs = todayMs
    const { store, folder, path } = openStore({ nowMs: () => nowMs })
    await store.write([letterOf('a')])
    const { size } = statSync(path)
    const proto = await handles()
    const truncate = vi.spyOn(proto, 'truncate').mockRejectedValue(new Error('EIO'))
    const sync = vi.spyOn(proto, 'datasync').mockRejectedValueOnce(new Error('ENOSPC'))
    await expect(store.write([letterOf('b')])).rejects.toThrow('ENOSPC')
    sync.mockRestore()
    nowMs += DAY_MS
    await expect(store.write([letterOf('b')])).rejects.toThrow('EIO')
    truncate.mockRestore()
    await store.write([letterOf('b')])
    expect(statSync(path).size).toBe(size)
    expect(await readAll(folder)).toEqual(['a', 'b'])
    await store.close()
  })

  test.each([
    ['deleted', (path: string) => rmSync(path), ['b']],
    ['moved away', (path: string) => renameSync(path, `${path}.old`), ['b']],
    ['emptied', (path: string) => truncateSync(path), ['b']],
    ['added to, torn line and all', (path: string) => appendFileSync(path, 'x\n'), ['a', 'b']],
  ])('that a person has %s meanwhile is followed: no letter goes where nobody looks', async (_, change, left) => {
    const { store, folder, path } = openStore()
    await store.write([letterOf('a')])
    change(path)
    await store.write([letterOf('b')])
    expect(await readAll(folder)).toEqual(left)
    await store.close()
  })

  test('that cannot be opened wholly leaves no handle open, however often it is tried', async () => {
    const { store, path } = openStore()
    const sync = vi.spyOn(await handles(), 'sync').mockRejectedValue(new Error('EIO'))
    for (let n = 0; n < 20; n++) await expect(store.write([letterOf('a')])).rejects.toThrow('EIO')
    sync.mockRestore()
    const openOnes = readdirSync('/proc/self/fd').filter(fd => linkOf(fd) === path)
    expect(openOnes.length).toBeLessThanOrEqual(1)
    await store.write([letterOf('a')])
    await store.close()
  })

  test('is one a day', async () => {
    let nowMs = todayMs
    const { store, folder } = openStore({ nowMs: () => nowMs })
    for (let day = 0; day < 3; day++) {
      await store.write([letterOf(`day ${day}`)])
      nowMs += DAY_MS
    }
    await store.close()
    const names = readdirSync(join(folder, 'waf')).toSorted()
    expect(names).toEqual(['2026-11-24.ndjson', '2026-11-25.ndjson', '2026-11-26.ndjson'])
    expect(await readAll(folder)).toEqual(['day 0', 'day 1', 'day 2'])
  })

  test('closes only after the write under way, and a close without a write is fine', async () => {
    const { store, folder } = openStore()
    const writing = store.write([letterOf('a')])
    await store.close()
    await writing
    expect(await readAll(folder)).toEqual(['a'])
    await openStore().store.close()
  })
})

describe('the bound of a dead letter', () => {
  const size = encodeDeadLetter(letterOf('a')).length + 1

  test('counts every file of the pipeline, also those of earlier days and processes', async () => {
    const { folder, store, told } = openStore({ bytesMax: 2 * size })
    mkdirSync(join(folder, 'waf'))
    writeFileSync(join(folder, 'waf', '2026-11-20.ndjson'), Buffer.alloc(size))
    writeFileSync(join(folder, 'waf', '2026-11-20.replayed'), 'x')
    await expect(store.write([letterOf('a')])).rejects.toMatchObject({ code: 'DEADLETTER_FULL' })
    expect(told[0]).toBe(size + 1)
    rmSync(join(folder, 'waf', '2026-11-20.replayed'))
    await store.write([letterOf('a')])
    expect(told.at(-2)).toBe(2 * size)
    await store.close()
  })

  test('stops every write and says why, and goes on by itself when somebody made room', async () => {
    const { folder, store, told, path } = openStore({ bytesMax: 2 * size })
    await store.write([letterOf('a'), letterOf('b')])
    told.length = 0
    for (let attempt = 0; attempt < 3; attempt++) {
      await expect(store.write([letterOf('c')])).rejects.toThrow('deadLetterBytesMax')
    }
    expect(told.filter(each => typeof each === 'string')).toHaveLength(3)
    expect(await readAll(folder)).toEqual(['a', 'b'])
    renameSync(path, join(folder, 'put-aside'))
    await store.write([letterOf('c')])
    expect(told.slice(-2)).toEqual([size, undefined])
    expect(await readAll(folder)).toEqual(['c'])
    await store.close()
  })

  test('holds for writes that come at once: those that fit are taken, the rest is refused', async () => {
    const { folder, store } = openStore({ bytesMax: 5 * size })
    const texts = Array.from({ length: 10 }, (_, n) => String(n))
    const written = await Promise.allSettled(texts.map(text => store.write([letterOf(text)])))
    const taken = texts.filter((_, at) => written[at]!.status === 'fulfilled')
    expect(taken).toHaveLength(5)
    expect(await readAll(folder)).toEqual(taken)
    await store.close()
  })

  test('gives back what a failed write had taken', async () => {
    const { store } = openStore({ bytesMax: 2 * size })
    await store.write([letterOf('a')])
    const sync = vi.spyOn(await handles(), 'datasync').mockRejectedValueOnce(new Error('EIO'))
    await expect(store.write([letterOf('b')])).rejects.toThrow('EIO')
    sync.mockRestore()
    await store.write([letterOf('b')])
    await expect(store.write([letterOf('c')])).rejects.toMatchObject({ code: 'DEADLETTER_FULL' })
    await store.close()
  })
})
