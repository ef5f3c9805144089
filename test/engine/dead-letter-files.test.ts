import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import type { DeadLetter } from '../../engine/contract.ts'
import { deadLetterOf, encodeDeadLetter } from '../../engine/dead-letter.ts'
import { keepRetention, readDeadLetters } from '../../engine/dead-letter-files.ts'
import { DeadLetterFile } from '../../engine/dead-letter-store.ts'
import { silentLog } from '../../platform/log.ts'
import { FakeClock } from '../support/clock.ts'
import { eventOf } from '../support/deps.ts'

const DAY_MS = 86_400_000
const todayMs = Date.UTC(2026, 10, 24, 12)

function letterOf(text: string, over: Partial<DeadLetter> = {}): DeadLetter {
  return { ...deadLetterOf(eventOf(text), 'waf', 'parse-waf', 'not_json: at 0', todayMs), ...over }
}

function openStore() {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-dead-'))
  const store = new DeadLetterFile({ folder: join(folder, 'waf'), bytesMax: 1024 ** 3, now: () => todayMs })
  return { folder, store, path: join(folder, 'waf', '2026-11-24.ndjson') }
}

async function readAll(folder: string): Promise<string[]> {
  const texts: string[] = []
  for await (const { letter } of readDeadLetters(folder)) texts.push(letter.raw.toString())
  return texts
}

describe('reading', () => {
  test('skips lines that are no dead letters and goes on behind them', async () => {
    const { store, folder, path } = openStore()
    await store.write([letterOf('a')])
    await store.close()
    appendFileSync(path, `garbage\n\n{"id":1}\n${encodeDeadLetter(letterOf('b'))}\n`)
    expect(await readAll(folder)).toEqual(['a', 'b'])
  })

  test('goes by pipeline and then by day, and ignores what is not a dead letter file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'haetae-dead-'))
    for (const [pipeline, day] of [
      ['b', '2026-11-02'],
      ['a', '2026-11-03'],
      ['a', '2026-11-01'],
    ] as const) {
      // biome-ignore format: one row
      mkdirSync(join(folder, pipeline), { recursive: true })
      writeFileSync(join(folder, pipeline, `${day}.ndjson`), `${encodeDeadLetter(letterOf(`${pipeline} ${day}`))}\n`)
    }
    writeFileSync(join(folder, 'README'), 'x')
    writeFileSync(join(folder, 'a', 'notes.txt'), encodeDeadLetter(letterOf('no')))
    expect(await readAll(folder)).toEqual(['a 2026-11-01', 'a 2026-11-03', 'b 2026-11-02'])
  })

  test('finds a letter whose reason quotes what some readers take for the end of a line', async () => {
    const { store, folder } = openStore()
    await store.write([letterOf('a', { reason: 'not_json: unexpected "\u2028\u2029\u0085\r\n"' })])
    await store.close()
    expect(await readAll(folder)).toEqual(['a'])
  })

  test('finds nothing where no dead letter was ever written', async () => {
    expect(await readAll(join(tmpdir(), 'haetae-never-there'))).toEqual([])
  })

  test('says in which line of which file a letter is, whatever the lines before it are', async () => {
    const { store, folder, path } = openStore()
    await store.write([letterOf('a')])
    appendFileSync(path, `garbage\n\n${encodeDeadLetter(letterOf('b'))}\n`)
    await store.close()
    const places: unknown[] = []
    for await (const { path: file, line } of readDeadLetters(folder)) places.push([file, line])
    expect(places).toEqual([
      [path, 0],
      [path, 3],
    ])
  })

  test('goes on when a file goes past its retention meanwhile', async () => {
    const { store, folder, path } = openStore()
    await store.write([letterOf('a')])
    await store.close()
    for (const day of ['2026-11-22', '2026-11-23']) {
      writeFileSync(path.replace('2026-11-24', day), `${encodeDeadLetter(letterOf(day))}\n`)
    }
    const texts: string[] = []
    for await (const { letter } of readDeadLetters(folder)) {
      texts.push(letter.raw.toString())
      rmSync(path.replace('2026-11-24', '2026-11-23'), { force: true })
    }
    expect(texts).toEqual(['2026-11-22', 'a'])
  })
})

describe('retention', () => {
  function keeping(names: readonly string[], retentionDays = 2) {
    const folder = join(mkdtempSync(join(tmpdir(), 'haetae-dead-')), 'waf')
    mkdirSync(folder)
    for (const name of names) writeFileSync(join(folder, name), 'x\n')
    const clock = new FakeClock(todayMs)
    const warn = vi.fn()
    const stop = new AbortController()
    const log = { ...silentLog, warn }
    const ended = keepRetention({ folder, retentionDays, clock, log, signal: stop.signal })
    const left = (): string[] => readdirSync(folder).toSorted()
    const end = (): Promise<void> => {
      stop.abort()
      return ended
    }
    return { folder, clock, warn, left, end }
  }

  test('removes what is past it at once, and then day by day although nothing is written', async () => {
    const days = ['2026-11-20', '2026-11-21', '2026-11-22', '2026-11-23', '2026-11-24'].map(day => `${day}.ndjson`)
    const { clock, left, end } = keeping(days)
    await expect.poll(left).toEqual(days.slice(2))
    for (const gone of [3, 4, 5]) {
      await expect.poll(() => clock.sleeping).toBe(1)
      await clock.advance(DAY_MS)
      await expect.poll(left).toEqual(days.slice(gone))
    }
    await end()
  })

  test('removes nothing that is not of its own making', async () => {
    const others = ['2020-01-01.ndjson.bak', 'notes.txt', 'replayed', '2020-01-01x.ndjson']
    const { left, end, clock } = keeping([...others, '2020-01-01.ndjson', '2020-01-01.replayed'])
    await expect.poll(() => clock.sleeping).toBe(1)
    await end()
    expect(left()).toEqual(others.toSorted())
  })

  test('says what cannot be removed and tries again a day later', async () => {
    const { folder, clock, warn, end } = keeping([])
    await expect.poll(() => clock.sleeping).toBe(1)
    mkdirSync(join(folder, '2020-01-01.ndjson')) // A folder cannot be unlinked.
    await clock.advance(DAY_MS)
    await expect.poll(() => warn.mock.calls.length).toBe(1)
    await clock.advance(DAY_MS)
    await expect.poll(() => warn.mock.calls.length).toBe(2)
    await end()
  })

  test('of a pipeline that never rejected anything is nothing to do', async () => {
    const { clock, folder, warn, end } = keeping([])
    rmSync(folder, { recursive: true })
    await expect.poll(() => clock.sleeping).toBe(1)
    await clock.advance(DAY_MS)
    await end()
    expect(warn).not.toHaveBeenCalled()
  })
})
