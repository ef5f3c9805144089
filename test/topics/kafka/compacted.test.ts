import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FetchedRecord } from '../../../platform/topics/contract.ts'
import { type CompactedLog, newestOf } from '../../../platform/topics/kafka/compacted.ts'

/** A partition whose cleaner and writers do something before each scan. */
class Log implements CompactedLog {
  readonly place = 't/0'
  #records: FetchedRecord[] = []
  #end = 0n
  readonly #before: (() => void)[]

  constructor(before: (() => void)[] = []) {
    this.#before = before
  }

  append(key: string | undefined, value: string | null, refused?: string): void {
    const bytes = value === null ? null : Buffer.from(value)
    const said = refused === undefined ? {} : { refused }
    this.#records.push({ key, value: bytes, timeMs: 0, offset: this.#end++, ...said })
  }

  /** Keeps the newest of each key, as Kafka does; `all`: deletions go, too. */
  clean(all = false): void {
    const newest = new Map(this.#records.map(({ key, offset }) => [key, offset]))
    this.#records = this.#records.filter(({ key, offset, value }) => {
      return newest.get(key) === offset && !(all && value === null)
    })
  }

  end(): Promise<bigint> {
    return Promise.resolve(this.#end)
  }

  async *scan(from: bigint, end: bigint): AsyncGenerator<FetchedRecord> {
    this.#before.shift()?.()
    for (const record of [...this.#records]) {
      await Promise.resolve()
      if (record.offset >= from && record.offset < end) yield record
    }
  }
}

async function read(log: CompactedLog, wants = (_key: string): boolean => true): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for await (const { key = '', value } of newestOf(log, 0n, wants)) {
    expect(Object.hasOwn(found, key), `${key} comes once`).toBe(false)
    found[key] = String(value)
  }
  return found
}

describe('the newest record of each key', () => {
  test('is found when compaction takes it away between the passes, as a newer one was written', async () => {
    const later = (): void => {
      log.append('a', '2')
      log.clean()
    }
    const log: Log = new Log([() => undefined, later])
    log.append('a', '1')
    log.append('b', '1')
    expect(await read(log)).toEqual({ a: '2', b: '1' })
  })

  test('is none when the key was deleted meanwhile, and even its deletion is gone', async () => {
    for (const all of [false, true]) {
      const later = (): void => {
        log.append('a', null)
        log.clean(all)
      }
      const log: Log = new Log([() => undefined, later])
      log.append('a', '1')
      log.append('b', '1')
      expect(await read(log)).toEqual({ b: '1' })
    }
  })

  test('is none when the partition ends where it ended and the record is not there: the reading ends', async () => {
    const log: Log = new Log([() => undefined, () => log.clean(true)])
    log.append('a', '1')
    log.append('b', null)
    const gone = log.scan.bind(log)
    let passes = 0
    const losing: CompactedLog = {
      place: log.place,
      end: () => log.end(),
      async *scan(from, end) {
        passes += 1
        if (passes === 1) yield* gone(from, end)
      },
    }
    expect(await read(losing)).toEqual({})
  })

  test('is that of the wanted keys alone', async () => {
    const log = new Log()
    for (const key of ['a/1', 'b/1', 'a/1']) log.append(key, key)
    expect(await read(log, key => key.startsWith('a/'))).toEqual({ 'a/1': 'a/1' })
  })

  test('is none that an unreadable batch may have replaced, whichever pass meets it: the reading fails and says where', async () => {
    const bad = (log: Log): void => log.append(undefined, 'bytes', 'unreadable_batch: offsets 1 to 1: wrong CRC')
    const wrong = { code: 'TOPIC_CORRUPT', message: expect.stringMatching(/t\/0, offset 1 .*wrong CRC/) }
    const first = new Log()
    first.append('a', '1')
    bad(first)
    await expect(read(first)).rejects.toMatchObject(wrong)
    const later: Log = new Log([
      () => undefined,
      () => {
        bad(later)
        later.append('a', '2')
        later.clean()
      },
    ])
    later.append('a', '1')
    await expect(read(later)).rejects.toMatchObject(wrong)
  })

  test('is not taken from a record of a later version, but one that nobody wants is in nobody’s way', async () => {
    const log = new Log()
    log.append('a', '1')
    log.append('b', '2', 'newer_version: the record has format 2')
    await expect(read(log)).rejects.toMatchObject({ code: 'TOPIC_CORRUPT', message: expect.stringMatching(/offset 1/) })
    expect(await read(log, key => key === 'a')).toEqual({ a: '1' })
  })

  test('is given up for now when it is rewritten in each pass: the reading ends', async () => {
    const rewritten = (): void => {
      log.append('a', 'x')
      log.append('b', 'x')
      log.clean()
      // Its last record is gone before it is read, and nobody can say that there is none.
      hidden = true
    }
    let hidden = false
    const log: Log = new Log([() => undefined, ...Array.from({ length: 50 }, () => rewritten)])
    const hiding: CompactedLog = {
      place: log.place,
      end: () => log.end(),
      async *scan(from, end) {
        for await (const record of log.scan(from, end)) if (!hidden || record.key !== 'a') yield record
      },
    }
    log.append('a', '1')
    const all = (async () => {
      for await (const each of newestOf(hiding, 0n, () => true)) expect(each.key).toBe('b')
    })()
    await expect(all).rejects.toMatchObject({ reason: 'COMPACTED_MEANWHILE', cure: 'again' })
  })

  test('is never older than at the begin, whatever is written and compacted between the passes', async () => {
    const write = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      value: fc.option(fc.constantFrom('x', 'y'), { nil: null }),
    })
    const step = fc.record({ writes: fc.array(write, { maxLength: 5 }), clean: fc.constantFrom('no', 'yes', 'all') })
    await fc.assert(
      fc.asyncProperty(fc.array(write, { maxLength: 20 }), fc.array(step, { maxLength: 6 }), async (first, steps) => {
        /** Each value that the key has had since the reading began; null: none. */
        const had = new Map<string, Set<string | null>>(['a', 'b', 'c'].map(key => [key, new Set([null])]))
        let number = 0
        const apply = ({ key, value }: { key: string; value: string | null }): void => {
          const said = value === null ? null : `${value}${number++}`
          log.append(key, said)
          had.get(key)!.add(said)
        }
        const log: Log = new Log(
          steps.map(({ writes, clean }) => () => {
            writes.forEach(apply)
            if (clean !== 'no') log.clean(clean === 'all')
          }),
        )
        for (const each of first) {
          had.get(each.key)!.clear()
          apply(each)
        }
        const found = await read(log)
        for (const [key, values] of had) expect([...values]).toContain(found[key] ?? null)
      }),
    )
  })
})
