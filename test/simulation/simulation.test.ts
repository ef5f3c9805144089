import { describe, expect, test } from 'vitest'
import { judge } from './oracle.ts'
import { type Plant, plants } from './plants.ts'
import { World } from './world.ts'

const SEEDS = 320
const SEEDS_A_TEST = 20
/** Within so many seeds each planted bug must show. */
const PLANTED_SEEDS = 60

/** HAETAE_SEED=17 runs that one alone. */
const only = process.env['HAETAE_SEED']

async function violationsOf(seed: number, plant?: Plant): Promise<readonly string[]> {
  const world = new World(seed, plant)
  try {
    await world.live()
    return await judge(world)
  } finally {
    await world.destroy()
  }
}

function described(seed: number, violations: readonly string[]): string {
  const shown = violations.slice(0, 10).join('\n  ')
  return `seed ${seed}:\n  ${shown}\n  again: HAETAE_SEED=${seed} npx vitest run --project unit test/simulation`
}

describe('whatever fails, and whenever the process dies, nothing acknowledged is lost and nothing is doubled', () => {
  const starts = only ? [Number(only)] : Array.from({ length: SEEDS / SEEDS_A_TEST }, (_, n) => 1 + n * SEEDS_A_TEST)
  test.each(starts)('from seed %d', async start => {
    const failed: string[] = []
    for (let seed = start; seed < start + (only ? 1 : SEEDS_A_TEST); seed++) {
      const violations = await violationsOf(seed)
      if (violations.length > 0) failed.push(described(seed, violations))
    }
    expect(failed.join('\n')).toBe('')
  })
})

describe.skipIf(only)('the simulation notices a planted bug:', () => {
  test.each(plants)('$name', async plant => {
    const seen: string[] = []
    for (let seed = 1; seed <= PLANTED_SEEDS; seed++) {
      const violations = await violationsOf(seed, plant)
      if (violations.some(violation => plant.caught.test(violation))) return
      seen.push(...violations)
    }
    expect.fail(`${PLANTED_SEEDS} seeds did not show it; other complaints: ${seen.slice(0, 5).join('; ')}`)
  })
})
