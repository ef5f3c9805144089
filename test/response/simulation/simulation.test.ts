import { describe, expect, test } from 'vitest'
import type { Plant } from './plants.ts'
import { World } from './world.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 300)
const SEEDS_A_TEST = 20

/** HAETAE_SEED=17 runs that one alone. */
const only = process.env['HAETAE_SEED']
const census = new Map<string, number>()

async function tell(seed: number, plant?: Plant): Promise<World> {
  const world = new World(seed, plant)
  await world.live()
  return world
}

describe('killed at any moment, IP sets equal the ledger afterwards, and every change is told', () => {
  const starts = only ? [Number(only)] : Array.from({ length: SEEDS / SEEDS_A_TEST }, (_, n) => 1 + n * SEEDS_A_TEST)
  test.each(starts)('from seed %d', async start => {
    const failed: string[] = []
    for (let seed = start; seed < start + (only ? 1 : SEEDS_A_TEST); seed++) {
      const world = await tell(seed)
      for (const [what, count] of world.census) census.set(what, (census.get(what) ?? 0) + count)
      const { violations } = world.oracle
      if (violations.length > 0) {
        failed.push(
          `seed ${seed}:\n  ${violations.slice(0, 10).join('\n  ')}\n  again: HAETAE_SEED=${seed} npx vitest run --project unit test/response/simulation`,
        )
      }
    }
    expect(failed.join('\n')).toBe('')
  })
})

describe.skipIf(only)('the seeds', () => {
  test.each([
    ['kill', 500],
    ['revoke', 200],
    ['operator removes', 200],
    ['operator adds', 200],
    ['clock jump', 100],
    ['answer lost', 300],
    ['request lost', 300],
    ['throttled', 300],
    ['internal', 300],
    ['ask block', 3_000],
    ['ask release', 500],
    ['ask extend', 500],
    ['ask allow', 500],
  ])('held enough of "%s"', (what, atLeast) => {
    expect(census.get(what) ?? 0).toBeGreaterThan(atLeast)
  })
})

describe.skipIf(only)('a planted fault is found within 40 seeds:', () => {
  test.each<Plant>(['no intents', 'no second telling', 'half a ledger', 'audit forgotten'])('%s', async plant => {
    let found = false
    for (let seed = 1; seed <= 40 && !found; seed++) found = (await tell(seed, plant)).oracle.violations.length > 0
    expect(found).toBe(true)
  })
})
