import type { Delivery, Deps, Source } from '../../engine/contract.ts'
import type { EmbeddedTopics } from '../../platform/topics/embedded.ts'
import { topic } from '../../sources/topic.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { numbered, topicConfig } from '../topics/support.ts'
import { openTemporary } from '../topics/temporary.ts'

export const never = new AbortController().signal

export interface Bench {
  readonly topics: EmbeddedTopics
  readonly name: string
  readonly deps: Deps & { readonly dead: { readonly reason: string; readonly raw: Buffer }[] }
  readonly open: (config?: object) => Promise<Source>
}

/** A topic of one partition unless told otherwise, and sources of one pipeline over it. */
export async function bench(count: number, partitions = 1): Promise<Bench> {
  const { topics } = await openTemporary()
  const config = topicConfig({ partitions })
  await topics.ensure(config)
  if (count > 0) await topics.append(config.name, numbered(count))
  const deps = testDeps({ topics: () => Promise.resolve(topics), clock: new FakeClock() })
  const open = (given: object = {}): Promise<Source> =>
    topic.open(topic.config.parse({ topic: config.name, kind: 'waf', ...given }), deps)
  return { topics, name: config.name, deps, open }
}

export async function readAll(
  source: Source,
  count: number,
  signal = AbortSignal.timeout(20_000),
): Promise<Delivery[]> {
  const deliveries: Delivery[] = []
  for (let have = 0; have < count; ) {
    const delivery = await source.read(signal)
    if (!delivery) throw new Error(`${have} of ${count} events came`)
    deliveries.push(delivery)
    have += delivery.batch.length
  }
  return deliveries
}

export async function committed(topics: EmbeddedTopics): Promise<bigint[]> {
  return (await topics.lag()).map(lag => lag.committed)
}

/** The process dies: nothing is closed, and the log is what the next process finds. */
export function dies(source: Source): void {
  abandoned.push(source)
}
export const abandoned: Source[] = []
