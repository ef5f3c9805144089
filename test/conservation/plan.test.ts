import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { faultKinds, planOf } from './faults.ts'
import { plants } from './plants.ts'
import { Ledger } from './records.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

describe('the plan of a round', () => {
  test('is the same for the same seed, and another for another', () => {
    expect(planOf(5, 8, 20_000)).toEqual(planOf(5, 8, 20_000))
    expect(planOf(5, 8, 20_000)).not.toEqual(planOf(6, 8, 20_000))
  })

  test('has as many faults as wanted, in time, each kind once before one comes again', () => {
    for (let seed = 0; seed < 50; seed++) {
      const plan = planOf(seed, faultKinds.length, 9_000)
      expect(new Set(plan.map(({ kind }) => kind)).size).toBe(faultKinds.length)
      expect(plan.map(({ atMs }) => atMs)).toEqual(plan.map(({ atMs }) => atMs).toSorted((a, b) => a - b))
      expect(plan.at(-1)!.atMs).toBeLessThanOrEqual(9_000)
    }
    expect(planOf(1, faultKinds.length + 3, 9_000)).toHaveLength(faultKinds.length + 3)
  })
})

test('the records of a seed are the same, but for their times; no two are alike', () => {
  const [one, same] = [new Ledger('a', 3), new Ledger('a', 3)]
  const withoutTime = (ledger: Ledger): object => ({ ...ledger.issue().facts, timeMs: 0 })
  const made = Array.from({ length: 200 }, () => withoutTime(one))
  expect(Array.from({ length: 200 }, () => withoutTime(same))).toEqual(made)
  expect(one.byId.size).toBe(200)
})

describe('a planted bug', () => {
  test.each(plants)('can be planted: $name', ({ edits }) => {
    for (const { file, find, put } of edits) {
      const source = readFileSync(join(root, file), 'utf8')
      expect(source.split(find)).toHaveLength(2)
      expect(source.replace(find, () => put)).not.toBe(source)
    }
  })

  test.each(plants)('has faults that exist: $name', ({ plan }) => {
    expect(plan.length).toBeGreaterThan(0)
    for (const { kind } of plan) expect(faultKinds).toContain(kind)
  })
})
