import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { definedMetrics, labelBounds, programFiles, withMetrics } from './metrics.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string => readFileSync(root + path, 'utf8')
const metrics = definedMetrics()

describe('metrics', () => {
  test('every name that the program has is one that the table knows', () => {
    const named = new Set(programFiles().flatMap(file => read(file).match(/(?<=')haetae_[a-z_]+(?=')/g) ?? []))
    expect([...named].sort()).toEqual(metrics.map(({ name }) => name).sort())
  })

  test.each(metrics)('$name is named after what it counts and its unit', ({ name, kind }) => {
    expect(name).toMatch(/^haetae_[a-z]+(_[a-z]+)+$/)
    expect(name.endsWith('_total')).toBe(kind === 'counter')
  })

  test.each(metrics)('$name says what it means, and its labels are bounded', ({ help, labels }) => {
    expect(help).toMatch(/^[A-Z1].{9,}[^.]$/)
    expect(labels.filter(label => labelBounds[label] === undefined)).toEqual([])
  })

  test('there is one for each thing that operators of a stream ask for', () => {
    const names = new Set(metrics.map(({ name }) => name))
    for (const name of [
      'haetae_topic_lag_records',
      'haetae_event_time_lag_seconds',
      'haetae_kafka_rebalances_total',
      'haetae_kafka_rebalance_seconds',
      'haetae_kafka_catch_up_seconds',
      'haetae_sink_retries_total',
      'haetae_events_rejected_total',
      'haetae_kafka_lost_records_total',
    ]) {
      expect(names, name).toContain(name)
    }
  })
})

describe('docs/operations.md', () => {
  test('has the table of metrics as the code defines them', () => {
    const page = read('docs/operations.md')
    const fresh = page === withMetrics(page)
    expect(fresh, 'docs/operations.md is stale: run `npm run docs` and commit it').toBe(true)
  })

  test('names no metric that there is not', () => {
    const known = new Set(metrics.map(({ name }) => name))
    const named = read('docs/operations.md').match(/haetae_[a-z_]+[a-z]/g) ?? []
    const plain = named.map(name => name.replace(/_(bucket|count|sum)$/, ''))
    expect(plain.filter((name, at) => !known.has(name) && !known.has(named[at]!))).toEqual([])
  })
})
