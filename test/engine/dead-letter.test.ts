import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { DeadLetter } from '../../engine/contract.ts'
import {
  DeadLetterFile,
  deadLetterOf,
  decodeDeadLetter,
  encodeDeadLetter,
  OVERSIZE_KEPT_BYTES,
} from '../../engine/dead-letter.ts'
import { readDeadLetters } from '../../engine/dead-letter-files.ts'
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

function openStore(over: { folder?: string; nowMs?: () => number } = {}) {
  const folder = over.folder ?? mkdtempSync(join(tmpdir(), 'haetae-dead-'))
  const { nowMs = () => todayMs } = over
  const store = new DeadLetterFile({ folder, pipeline: 'waf', now: nowMs })
  return { folder, store, path: join(folder, 'waf', '2026-11-24.ndjson') }
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

describe('a dead letter', () => {
  test('keeps the original bytes of any record through its line, and everything else about it', () => {
    const origin = fc.option(fc.record({ stream: fc.string(), position: fc.bigInt({ min: 0n, max: 2n ** 63n }) }), {
      nil: undefined,
    })
    const text = fc.string({ unit: 'binary' })
    fc.assert(
      fc.property(fc.uint8Array(), origin, text, text, (bytes, from, stage, reason) => {
        const letter = letterOf('x', { raw: Buffer.from(bytes), origin: from, stage, reason })
        const line = encodeDeadLetter(letter)
        expect(decodeDeadLetter(line)).toEqual(letter)
        // Every character that one reader or another takes for the end of a line.
        expect(line).not.toMatch(/[\n\r\u2028\u2029\u0085]/)
      }),
    )
  })

  test('of an oversize record keeps the first 64 KiB; of any other all of it', () => {
    const event = eventOf(Buffer.alloc(300_000, 'x'))
    expect(deadLetterOf(event, 'p', 's', 'oversize: 300000 bytes', 0).raw).toHaveLength(OVERSIZE_KEPT_BYTES)
    expect(deadLetterOf(event, 'p', 's', 'not_json', 0).raw).toHaveLength(300_000)
  })

  test('has a reason of bounded length', () => {
    expect(deadLetterOf(eventOf('x'), 'p', 's', 'y'.repeat(100_000), 0).reason).toHaveLength(2000)
  })

  const whole = encodeDeadLetter(letterOf('x'))
  test.each([
    '',
    'not json',
    '{}',
    '[]',
    'null',
    whole.slice(0, -1),
    whole.replace('"waf"', '"other"'),
    whole.replace('"id"', '"__proto__"'),
    whole.replace('"position":"5"', '"position":"five"'),
    whole.replace('"position":"5"', '"position":5'),
    whole.replace(/"time":"[^"]*"/, '"time":"yesterday"'),
    whole.replace('{', '{"more":1,'),
  ])('is not made of the foreign line %j', text => {
    expect(decodeDeadLetter(text)).toBeUndefined()
  })
})

describe('the dead letter file', () => {
  test('is durable, private and readable when write resolves', async () => {
    const { store, folder, path } = openStore()
    const proto = await handles()
    const sync = vi.spyOn(proto, 'sync')
    await store.write([letterOf('a'), letterOf('b')])
    expect(sync.mock.contexts.length).toBeGreaterThanOrEqual(2) // The file and the folder that names it.
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
    const sync = vi.spyOn(await handles(), 'sync')
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
    const sync = vi.spyOn(await handles(), 'sync').mockRejectedValueOnce(new Error('EIO'))
    await expect(store.write([letterOf('b')])).rejects.toThrow('EIO')
    sync.mockRestore()
    expect(await readAll(folder)).toEqual(['a'])
    await store.write([letterOf('b')])
    expect(await readAll(folder)).toEqual(['a', 'b'])
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
