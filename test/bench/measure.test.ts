import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { eachLine } from '../../bench/input.ts'
import { cpuPerMillion, measured, spread, together } from '../../bench/measure.ts'
import { pour, quarters } from '../../bench/memory.ts'

const folder = mkdtempSync(join(tmpdir(), 'haetae-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the median of an odd number of values is the middle one, of an even number halfway between two', () => {
  expect(spread([5])).toEqual({ min: 5, median: 5, max: 5 })
  expect(spread([9, 1, 5])).toEqual({ min: 1, median: 5, max: 9 })
  expect(spread([10, 9, 1, 2])).toEqual({ min: 1, median: 5.5, max: 10 })
  expect(() => spread([])).toThrow('at least one value')
})

test('a spread is in order, holds as many values below its median as above, and leaves its input alone', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 1 }), values => {
      const before = [...values]
      const { min, median, max } = spread(values)
      expect(values).toEqual(before)
      expect(min).toBe(values.reduce((a, b) => Math.min(a, b)))
      expect(max).toBe(values.reduce((a, b) => Math.max(a, b)))
      const below = values.filter(value => value < median).length
      const above = values.filter(value => value > median).length
      expect(Math.max(below, above)).toBeLessThanOrEqual(values.length / 2)
    }),
  )
})

test('a measured run says what was done and what it cost this process', async () => {
  const sample = await measured(async () => {
    await Promise.resolve()
    for (let n = 0, until = process.cpuUsage().user + 20_000; process.cpuUsage().user < until; n++) Math.sqrt(n)
    return { events: 7, bytes: 70 }
  })
  expect(sample).toMatchObject({ events: 7, bytes: 70 })
  expect(sample.cpuSeconds).toBeGreaterThanOrEqual(0.02)
  expect(sample.seconds).toBeGreaterThan(0)
})

test('what fails while it is measured gives no sample', async () => {
  await expect(measured(() => Promise.reject(new Error('no file')))).rejects.toThrow('no file')
})

test('workers side by side: their events and CPU time add up, the wall clock does not', () => {
  const one = { events: 10, bytes: 100, seconds: 4, cpuSeconds: 3 }
  const both = together([one, { ...one, events: 30, cpuSeconds: 5 }], 4.5)
  expect(both).toEqual({ events: 40, bytes: 200, seconds: 4.5, cpuSeconds: 8 })
  expect(cpuPerMillion(both)).toBe(200_000)
})

test('a file is read line by line whatever its lines are cut into, with the numbers of its lines and bytes', () => {
  const path = join(folder, 'lines')
  const lines = ['a'.repeat(700_000), '', 'b'.repeat(600_000), 'ü'.repeat(300_000), 'last']
  const text = lines.map(line => `${line}\n`).join('')
  writeFileSync(path, text)
  const seen: string[] = []
  const amount = eachLine(path, (chunk, from, to) => seen.push(chunk.toString('utf8', from, to)))
  expect(seen).toEqual(lines)
  expect(amount).toEqual({ events: lines.length, bytes: Buffer.byteLength(text) })
})

test('a line that fits nowhere is an error and not the end of the file', () => {
  const path = join(folder, 'long')
  writeFileSync(path, `${'a'.repeat(1024 * 1024)}\n`)
  expect(() => eachLine(path, () => undefined)).toThrow('has a line of more than')
})

test('an endless input is the file again and again, at the pace of its reader', async () => {
  const path = join(folder, 'poured')
  const text = 'one\ntwo\n'.repeat(50_000)
  writeFileSync(path, text)
  const pipe = new PassThrough({ highWaterMark: 1024 })
  const poured = pour(path, 3, pipe)
  let chars = 0
  for await (const chunk of pipe) chars += (chunk as Buffer).length
  await poured
  expect(chars).toBe(3 * text.length)
})

test('memory is looked at quarter by quarter, in the order of time', () => {
  expect(quarters([1, 2, 3, 4, 5, 6, 7, 8, 9]).map(({ median }) => median)).toEqual([1.5, 4, 6.5, 8.5])
  expect(() => quarters([1, 2, 3])).toThrow('at least one value')
})
