import { expect, test } from 'vitest'
import type { Sample } from '../../bench/measure.ts'
import { memoryText } from '../../bench/memory.ts'
import { rowsOf, speedUp, table } from '../../bench/report.ts'
import { upMemoryText } from '../../bench/up-memory.ts'

/** A million events of 2,000 bytes. */
function sample(cpuSeconds: number, seconds = 10): Sample {
  return { events: 1e6, bytes: 2e9, seconds, cpuSeconds }
}

test('a row has events and megabytes a second of the wall clock, and CPU seconds per million events', () => {
  const [row] = rowsOf(new Map([['base', [sample(6), sample(8, 20), sample(7, 16)]]]), 'base')
  expect(row).toEqual({
    name: 'base',
    rounds: 3,
    eventsPerSecond: { min: 50_000, median: 62_500, max: 100_000 },
    megabytesPerSecond: { min: 100, median: 125, max: 200 },
    cpuSecondsPerMillion: { min: 6, median: 7, max: 8 },
    timesBaseline: { min: 1, median: 1, max: 1 },
  })
})

test('a case is compared with the baseline of its own round: a machine that is slow for a while changes no ratio', () => {
  const quiet = [sample(6), sample(12)]
  const busy = [sample(60), sample(120)]
  const results = new Map([
    ['base', [quiet[0], busy[0]]],
    ['map', [quiet[1], busy[1]]],
  ])
  expect(rowsOf(results, 'base')[1]?.timesBaseline).toEqual({ min: 2, median: 2, max: 2 })
})

test('a case that counts other events than the baseline is compared per event', () => {
  const half: Sample = { events: 5e5, bytes: 1e9, seconds: 5, cpuSeconds: 6 }
  const results = new Map([
    ['base', [sample(6)]],
    ['map', [half]],
  ])
  expect(rowsOf(results, 'base')[1]?.timesBaseline?.median).toBe(2)
})

test('a round in which a case failed is left out, of its figures and of its ratios', () => {
  const results = new Map([
    ['base', [sample(1), sample(6)]],
    ['map', [undefined, sample(12)]],
    ['broken', [undefined]],
  ])
  const rows = rowsOf(results, 'base')
  expect(rows.map(({ name, rounds }) => [name, rounds])).toEqual([
    ['base', 2],
    ['map', 1],
  ])
  expect(rows[1]?.timesBaseline).toEqual({ min: 2, median: 2, max: 2 })
})

test('without the baseline there is no ratio, rather than a wrong one', () => {
  const [row] = rowsOf(new Map([['map', [sample(6)]]]), 'base')
  expect(row?.timesBaseline).toBeUndefined()
  expect(table([row!], 'base').split('\n')[1]).toMatch(/6\.0 \(6\.0–6\.0\)$/)
})

test('how much faster two workers are is the wall clock, not the CPU time', () => {
  const results = new Map([
    ['one', [sample(10, 10), sample(10, 30)]],
    ['two', [sample(11, 5), sample(11, 20)]],
  ])
  expect(speedUp(results, 'two', 'one')).toEqual({ min: 1.5, median: 1.75, max: 2 })
  expect(speedUp(results, 'two', 'three')).toBeUndefined()
  expect(speedUp(new Map([['one', [sample(1)]]]), 'two', 'one')).toBeUndefined()
})

test('the table is aligned plain text: medians with the least and the most', () => {
  const results = new Map([
    ['base', [sample(6), sample(8, 20)]],
    ['a long name', [sample(12, 100), sample(24, 100)]],
  ])
  expect(table(rowsOf(results, 'base'), 'base')).toBe(
    [
      '                            events/s  MB/s  CPU s per million        times base',
      'base         75,000 (50,000–100,000)   150      7.0 (6.0–8.0)  1.00 (1.00–1.00)',
      'a long name   10,000 (10,000–10,000)    20   18.0 (12.0–24.0)  2.50 (2.00–3.00)',
    ].join('\n'),
  )
})

test('memory is told as its peak and the median of each quarter', () => {
  const flat = { min: 200, median: 210.4, max: 220 }
  const text = memoryText({ events: 1e6, peakMiB: 231.7, quarters: [flat, flat, flat, { ...flat, median: 212 }] })
  expect(text).toBe(
    'memory of map over 1,000,000 records: at most 232 MiB resident; median of each quarter of the run: 210, 210, 210, 212 MiB',
  )
})

test('the memory of up is given with the ceiling it is to be compared with', () => {
  const parts = [300, 350, 360, 355].map(median => ({ min: 1, median, max: 400 }))
  const text = upMemoryText({ events: 300_000, peakMiB: 399.6, ceilingMiB: 494, quarters: parts })
  expect(text).toBe(
    'memory of up over 300,000 records: at most 400 MiB resident, of a ceiling of 494; median of each quarter of the run: 300, 350, 360, 355 MiB',
  )
})
