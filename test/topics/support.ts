import { expect } from 'vitest'
import type {
  AssignmentListener,
  Fetched,
  Position,
  SubscribeOptions,
  Subscription,
  TopicConfig,
  TopicRecord,
} from '../../platform/topics/contract.ts'

const DAY_MS = 86_400_000
let names = 0

export function topicConfig(overrides: Partial<TopicConfig> = {}): TopicConfig {
  const retention = { ageMsMax: 7 * DAY_MS, bytesMax: 1024 ** 3 }
  return { name: `topic-${process.pid}-${names++}`, partitions: 4, compacted: false, retention, ...overrides }
}

export function recordOf(key: string | undefined, value: string | null, timeMs = 1_790_000_000_000): TopicRecord {
  return { key, value: value === null ? null : Buffer.from(value), timeMs }
}

export function numbered(count: number, from = 0): TopicRecord[] {
  return Array.from({ length: count }, (_, index) => recordOf(`key-${from + index}`, `value-${from + index}`))
}

/** What a listener was told, and where each partition stands. */
export interface Watched extends AssignmentListener {
  readonly positions: Map<string, Position>
  readonly told: string[]
  /** What paused() was told last. */
  readonly pauses: (string | undefined)[]
}

export function watch(): Watched {
  const positions = new Map<string, Position>()
  const told: string[] = []
  const pauses: (string | undefined)[] = []
  return {
    positions,
    told,
    pauses,
    paused: reason => void pauses.push(reason),
    assigned(added) {
      for (const position of added) {
        positions.set(`${position.topic}/${position.partition}`, position)
        told.push(`+${position.partition}`)
      }
    },
    revoked(gone) {
      for (const { topic, partition } of gone) {
        positions.delete(`${topic}/${partition}`)
        told.push(`-${partition}`)
      }
    },
  }
}

export function options(topic: string, overrides: Partial<SubscribeOptions> = {}): SubscribeOptions {
  const bounds = { recordsMax: 500, bytesMax: 1024 * 1024 }
  return {
    group: `group-${process.pid}-${names++}`,
    topics: [topic],
    from: 'earliest',
    listener: watch(),
    ...bounds,
    ...overrides,
  }
}

/** Polls until `count` records came. */
export async function take(subscription: Subscription, count: number): Promise<Fetched[]> {
  const fetched: Fetched[] = []
  for (let have = 0; have < count; ) {
    const next = await subscription.poll(AbortSignal.timeout(30_000))
    if (!next) throw new Error(`${have} of ${count} records came`)
    fetched.push(next)
    have += next.records.length
  }
  return fetched
}

export function valuesOf(fetched: readonly Fetched[]): string[] {
  return fetched.flatMap(({ records }) => records.map(({ value }) => String(value)))
}

/** The position after everything in `fetched`, for each partition. */
export function positionsAfter(fetched: readonly Fetched[], note?: string): Position[] {
  const last = new Map<number, Position>()
  for (const { topic, partition, records } of fetched) {
    last.set(partition, { topic, partition, offset: records.at(-1)!.offset + 1n, note })
  }
  return [...last.values()]
}

export async function nothingMore(subscription: Subscription): Promise<void> {
  expect(await subscription.poll(AbortSignal.timeout(200))).toBeUndefined()
}
