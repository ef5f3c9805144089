import { expect, test } from 'vitest'
import { plants } from './plants.ts'
import { tell } from './run.ts'

/** Within so many seeds each planted bug must show. */
const SEEDS = 60

test.each(plants)('the simulation notices the planted bug: $name', async plant => {
  const seen: string[] = []
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violations } = await tell(seed, plant)
    if (violations.some(violation => plant.caught.test(violation))) return
    seen.push(...violations)
  }
  expect.fail(`${SEEDS} seeds did not show it; other complaints: ${seen.slice(0, 5).join('; ')}`)
})
