import { vi } from 'vitest'
import { judge } from './oracle.ts'
import type { Plant } from './plants.ts'
import { type Purpose, World } from './world.ts'

export interface Story {
  readonly violations: readonly string[]
  readonly census: ReadonlyMap<string, number>
  readonly trace: string
}

/** Lives one seed through and judges it. */
export async function tell(
  seed: number,
  plant?: Plant,
  realLake = false,
  purpose: Purpose = 'storing',
): Promise<Story> {
  const world = new World(seed, plant, realLake, purpose)
  const chance = vi.spyOn(Math, 'random').mockImplementation(world.random.fork().next)
  try {
    await world.live()
    const violations = await judge(world)
    return { violations, census: world.census, trace: world.trace() }
  } finally {
    await world.destroy()
    chance.mockRestore()
  }
}
