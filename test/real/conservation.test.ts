import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { faultKinds, planOf, told } from '../conservation/faults.ts'
import { plants } from '../conservation/plants.ts'
import { complaintsOf, type RoundResult, runRound } from '../conservation/round.ts'
import { Servers } from '../conservation/system.ts'
import type { Client } from './servers/kafka-topics.ts'

const FAULTS = 6
const WINDOW_MS = 15_000
/** Together they bring every fault; `npm run soak` has more of them. */
const rounds: readonly (readonly [seed: number, client: Client])[] = [
  [1, 'kafkajs'],
  [51, 'platformatic'],
  [128, 'kafkajs'],
]

/** The one that shows whatever the faults of its round hit; the others need some luck, and minutes: HAETAE_PLANTS=all takes every one. */
const planted = process.env['HAETAE_PLANTS'] === 'all' ? plants : plants.slice(0, 1)

let servers: Servers
beforeAll(async () => {
  servers = await Servers.start()
})
afterAll(() => servers?.stop())

/** What is needed to understand a failure, and to see it again. */
function story(seed: number, { plan, ownEnds }: RoundResult): string {
  return [`seed ${seed}`, ...plan.map(told), ...ownEnds].join('\n')
}

describe('every acknowledged record is in OpenSearch, in the lake or in the dead letters, once and as it was sent', () => {
  test('the rounds bring every fault', () => {
    const seen = new Set(rounds.flatMap(([seed]) => planOf(seed, FAULTS, WINDOW_MS).map(({ kind }) => kind)))
    expect([...seen].toSorted()).toEqual(faultKinds.toSorted())
  })

  test.each(rounds)('through the faults of seed %i, with %s', async (seed, client) => {
    const options = { name: `round-${seed}`, seed, client, faults: FAULTS, windowMs: WINDOW_MS }
    const result = await runRound(servers, options)
    expect(complaintsOf(result), story(seed, result)).toEqual([])
  })
})

describe('the oracle notices a planted bug:', () => {
  test.each(planted.map(plant => [plant.name, plant, plants.indexOf(plant)] as const))('%s', async (_, plant, at) => {
    const options = { name: `plant-${at}`, seed: at, client: 'kafkajs' as const, faults: 0, windowMs: 0, plant }
    const result = await runRound(servers, options)
    const complaints = complaintsOf(result)
    expect(complaints, story(at, result)).toContainEqual(expect.stringMatching(plant.caught))
  })
})
