import { describe, expect, test } from 'vitest'
import type { StatePart, StreamState } from '../../engine/contract.ts'
import type { Topics } from '../../platform/topics/contract.ts'
import type { Plant } from './plants.ts'
import { tell } from './run.ts'

const SEEDS = 200
const SEEDS_A_TEST = 20

const only = process.env['HAETAE_SEED']
const census = new Map<string, number>()

describe('whatever fails, and whenever the process dies, a detector’s alerts are those of one that was never disturbed', () => {
  const starts = only ? [Number(only)] : Array.from({ length: SEEDS / SEEDS_A_TEST }, (_, n) => 1 + n * SEEDS_A_TEST)
  test.each(starts)('from seed %d', async start => {
    const failed: string[] = []
    for (let seed = start; seed < start + (only ? 1 : SEEDS_A_TEST); seed++) {
      const story = await tell(seed, undefined, false, 'counting')
      for (const [what, count] of story.census) census.set(what, (census.get(what) ?? 0) + count)
      if (story.violations.length > 0) failed.push(`seed ${seed}: ${story.violations.slice(0, 5).join('; ')}`)
    }
    expect(failed.join('\n')).toBe('')
  })
})

describe.skipIf(only)('the seeds', () => {
  test.each([
    ['crash', 300],
    ['revoke', 200],
    ['muted', 100],
    ['alert again', 50],
    ['failed before its effect', 200],
    ['failed after its effect', 200],
  ])('held enough of the trouble "%s"', (what, atLeast) => {
    expect(census.get(what) ?? 0).toBeGreaterThan(atLeast)
  })
})

const plants: readonly Plant[] = [
  {
    name: 'a snapshot with a later position than it includes',
    caught: /missing|made up|says/,
    state: outdated,
  },
  {
    name: 'a snapshot with an earlier position than it includes',
    caught: /missing|made up|says/,
    state: aheadOfItself,
  },
  {
    name: 'muted further than was settled',
    caught: /missing/,
    topics: settledFurther,
  },
  {
    name: 'a part of a snapshot is forgotten',
    caught: /missing|made up|says/,
    state: inner => ({ ...bound(inner), restore: (stream, parts) => inner.restore(stream, parts.slice(1)) }),
  },
  {
    name: 'nothing is restored',
    caught: /missing|made up|says/,
    state: inner => ({ ...bound(inner), restore: stream => inner.restore(stream, []) }),
  },
]

test.skipIf(only).each(plants)('the simulation notices the planted bug: $name', async plant => {
  const seen: string[] = []
  for (let seed = 1; seed <= 60; seed++) {
    const { violations } = await tell(seed, plant, false, 'counting')
    if (violations.some(violation => plant.caught.test(violation))) return
    seen.push(...violations)
  }
  expect.fail(`60 seeds did not show it; other complaints: ${seen.slice(0, 5).join('; ')}`)
})

/** Each snapshot is the one before. */
function outdated(inner: StreamState): StreamState {
  const last = new Map<string, readonly StatePart[]>()
  return {
    ...bound(inner),
    snapshot(stream) {
      const before = last.get(stream) ?? []
      last.set(stream, inner.snapshot(stream))
      return before
    },
    drop(stream) {
      last.delete(stream)
      inner.drop(stream)
    },
  }
}

/** Once, one event more of every client is in what is restored. */
function aheadOfItself(inner: StreamState): StreamState {
  let once = false
  return {
    ...bound(inner),
    restore(stream, parts) {
      inner.restore(stream, parts)
      if (parts.length === 0 || once) return
      once = true
      const counts = parts.flatMap(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()) as [string, number][])
      inner.restore(stream, [{ part: 0, bytes: Buffer.from(JSON.stringify(counts.map(([who, n]) => [who, n + 1]))) }])
    },
  }
}

function settledFurther(inner: Topics): Topics {
  const further = (note: string | undefined): string | undefined => {
    if (note === undefined) return undefined
    const { settled, ...rest } = JSON.parse(note) as { readonly settled: string }
    return JSON.stringify({ ...rest, settled: String(BigInt(settled) + 10n) })
  }
  return {
    ensure: config => inner.ensure(config),
    append: (...given) => inner.append(...given),
    readCompacted: (topic, wants) => inner.readCompacted(topic, wants),
    lag: () => inner.lag(),
    close: () => inner.close(),
    async subscribe(options) {
      const subscription = await inner.subscribe(options)
      return {
        poll: signal => subscription.poll(signal),
        close: () => subscription.close(),
        commit: positions => subscription.commit(positions.map(each => ({ ...each, note: further(each.note) }))),
      }
    },
  }
}

function bound(inner: StreamState): StreamState {
  return {
    snapshot: stream => inner.snapshot(stream),
    restore: (stream, parts) => inner.restore(stream, parts),
    drop: stream => inner.drop(stream),
  }
}
