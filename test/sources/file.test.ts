import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { BATCH_BYTES_MAX, BATCH_EVENTS_MAX, type Event } from '../../engine/contract.ts'
import { hasCode } from '../../platform/errors.ts'
import { file } from '../../sources/file.ts'
import { RecordCutter } from '../../sources/records/cutter.ts'
import { testDeps } from '../support/deps.ts'

const folder = mkdtempSync(join(tmpdir(), 'haetae-file-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let files = 0

async function readAll(content: string | Buffer) {
  const path = join(folder, `input-${files++}`)
  writeFileSync(path, content)
  const deps = testDeps()
  const source = await file.open({ path, kind: 'waf' }, deps)
  const events: Event[] = []
  const sizes: number[] = []
  for (;;) {
    const delivery = await source.read(new AbortController().signal)
    if (!delivery) break
    sizes.push(delivery.batch.length)
    expect(delivery.batch.reduce((sum, { raw }) => sum + raw.length, 0)).toBeLessThanOrEqual(BATCH_BYTES_MAX)
    events.push(...delivery.batch)
  }
  await source.close()
  return {
    texts: events.map(({ raw }) => raw.toString()),
    lines: events.map(({ origin }) => Number(origin?.position)),
    sizes,
    dead: deps.dead,
  }
}

describe('every way to write records', () => {
  test('a line each, with CRLF, blank lines, a byte order mark, and no line feed at the end', async () => {
    const { texts, lines } = await readAll('\ufeff{"a":1}\r\n\n  \n{"a":2}  \n{"a":3}')
    expect(texts).toEqual(['{"a":1}', '{"a":2}', '{"a":3}'])
    expect(lines).toEqual([1, 4, 5])
  })

  test('side by side, with braces and quotes in strings', async () => {
    const tricky = '{"a":"}{ \\" } {"}'
    expect((await readAll(`{"a":1}{"b":{}} {"c":2}\t${tricky}\n${tricky}\n`)).texts).toEqual([
      '{"a":1}',
      '{"b":{}}',
      '{"c":2}',
      tricky,
      tricky,
    ])
  })

  test('over several lines', async () => {
    const records = [{ a: 1, list: [{ b: '}' }] }, { c: { d: '{' } }]
    const { texts, lines } = await readAll(records.map(record => JSON.stringify(record, null, 2)).join('\n'))
    expect(texts.map(text => JSON.parse(text) as unknown)).toEqual(records)
    expect(lines).toEqual([1, 9])
  })

  test('gzip of one and of several members', async () => {
    const { texts } = await readAll(Buffer.concat([gzipSync('{"a":1}\n'), gzipSync('{"a":2}\n')]))
    expect(texts).toEqual(['{"a":1}', '{"a":2}'])
  })

  test('nothing at all', async () => {
    expect((await readAll('')).texts).toEqual([])
    expect((await readAll('\n\n')).texts).toEqual([])
    expect((await readAll(gzipSync(''))).texts).toEqual([])
  })
})

describe('what is broken costs itself alone', () => {
  test('a record cut off at its line end', async () => {
    expect((await readAll('{"a":1}\n{"timestamp":\n{"a":2}\n{"b":"x\n{"a":3}\n')).texts).toEqual([
      '{"a":1}',
      '{"timestamp":',
      '{"a":2}',
      '{"b":"x',
      '{"a":3}',
    ])
  })

  test('a file that ends within a record', async () => {
    expect((await readAll('{"a":1}\n{"a":')).texts).toEqual(['{"a":1}', '{"a":'])
  })

  test('what is not JSON is a record, for the parser to refuse', async () => {
    expect((await readAll('hello\n{"a":1}\n[1]\n}{\n')).texts).toEqual(['hello', '{"a":1}', '[1]', '}{'])
  })

  test('a record over 1 MiB goes to the dead letter with its first 64 KiB, its neighbours go on', async () => {
    const huge = `{"a":"${'x'.repeat(3 * 1024 * 1024)}"}`
    const { texts, dead } = await readAll(`{"a":1}\n${huge}\n{"a":2}\n`)
    expect(texts).toEqual(['{"a":1}', '{"a":2}'])
    expect(dead).toHaveLength(1)
    expect(dead[0]?.reason).toMatch(/^oversize/)
    expect(dead[0]?.raw.length).toBe(64 * 1024)
    expect(dead[0]?.origin).toEqual({ stream: expect.any(String), position: 2n })
  })

  test('a line feed that never comes holds no more than the bound', () => {
    const cutter = new RecordCutter()
    const chunk = Buffer.alloc(256 * 1024, 'x')
    const records: unknown[] = []
    const before = process.memoryUsage().arrayBuffers
    for (let at = 0; at < 2_000; at++) cutter.push(Buffer.from(chunk), records as never)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * 1024 * 1024)
    cutter.end(records as never)
    expect(records).toHaveLength(1)
  })

  test('gzip that ends too early, and a file that is not there, are said with the name of the file', async () => {
    const path = join(folder, 'cut.gz')
    writeFileSync(path, gzipSync('{"a":1}\n'.repeat(10_000)).subarray(0, 60))
    for (const missing of [path, join(folder, 'nowhere')]) {
      const source = await file.open({ path: missing, kind: 'waf' }, testDeps())
      const error: unknown = await (async () => {
        while (await source.read(new AbortController().signal));
      })().catch((thrown: unknown) => thrown)
      expect(hasCode(error, 'SOURCE_UNREADABLE')).toBe(true)
      expect(String(error)).toContain(missing)
      await source.close()
    }
  })
})

test('batches stay within 500 events and 1 MiB', async () => {
  const { sizes } = await readAll(`{"a":"${'x'.repeat(3000)}"}\n`.repeat(2_000))
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(2_000)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(BATCH_EVENTS_MAX)
})

test('an aborted read ends without an event', async () => {
  const path = join(folder, 'abort')
  writeFileSync(path, '{"a":1}\n')
  const source = await file.open({ path, kind: 'waf' }, testDeps())
  expect(await source.read(AbortSignal.abort())).toBeUndefined()
  await source.close()
})

test('records come out the same however the bytes are cut into chunks', () => {
  const record = fc.oneof(
    fc.object({ maxDepth: 2 }).map(value => JSON.stringify(value)),
    fc.object({ maxDepth: 2, key: fc.constantFrom('a', 'b') }).map(value => JSON.stringify(value, null, 1)),
    fc.constantFrom('{"a":', '}', 'x', '{"a":"\\"}{"}'),
  )
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (texts, cuts) => {
        const bytes = Buffer.from(texts.join('\n'))
        const whole = cutInto(bytes, [bytes.length + 1])
        expect(cutInto(bytes, cuts)).toEqual(whole)
      },
    ),
  )
})

function cutInto(bytes: Buffer, sizes: readonly number[]): string[] {
  const cutter = new RecordCutter()
  const records: { raw: Buffer; line: number; oversize: boolean }[] = []
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!
    cutter.push(bytes.subarray(at, at + size), records)
    at += size
  }
  cutter.end(records)
  return records.map(({ raw, line }) => `${line} ${raw.toString()}`)
}
