import type { Delivery, Sink, Source, StreamState } from '../../engine/contract.ts'
import type { DeadLetterStore } from '../../engine/write.ts'
import { hasCode } from '../../platform/errors.ts'
import type { Subscription, Topics } from '../../platform/topics/contract.ts'

/** A bug put on purpose around a production piece, to show that the simulation would notice it. */
export interface Plant {
  readonly name: string
  /** What the oracle must complain of. */
  readonly caught: RegExp
  topics?(inner: Topics): Topics
  source?(pipeline: string, inner: Source): Source
  sink?(name: string, inner: Sink): Sink
  deadLetter?(inner: DeadLetterStore): DeadLetterStore
  state?(inner: StreamState): StreamState
}

export const plants: readonly Plant[] = [
  {
    name: 'ack early',
    caught: /lost/,
    source: (pipeline, inner) =>
      changedDeliveries(inner, delivery => {
        if (pipeline !== 'waf') return delivery
        delivery.ack()
        return { batch: delivery.batch, ack: () => undefined, nack: () => undefined }
      }),
  },
  {
    name: 'double ack',
    caught: /settled twice/,
    source: (_, inner) =>
      changedDeliveries(inner, ({ batch, ack, nack }) => {
        const twice = (): void => {
          ack()
          ack()
        }
        return { batch, nack, ack: twice }
      }),
  },
  {
    name: 'skip a retry index',
    caught: /lost/,
    sink: (name, inner) =>
      changedVerdicts(name === 'search', inner, ({ retry, ...rest }) => ({ ...rest, retry: retry.slice(1) })),
  },
  {
    name: 'drop a reject',
    caught: /lost/,
    sink: (name, inner) => changedVerdicts(name === 'search', inner, verdict => ({ ...verdict, reject: [] })),
  },
  {
    name: 'commit past a gap',
    caught: /lost/,
    topics: inner =>
      changedSubscriptions(inner, (subscription, polled) => ({
        commit: positions => {
          const all = positions.map(each => ({ ...each, offset: polled.get(each.partition) ?? each.offset }))
          return subscription.commit(all)
        },
      })),
  },
  {
    name: 'ack after revoke',
    caught: /went back|doubled/,
    topics: unfenced(),
  },
  {
    name: 'lake range not rebuilt',
    caught: /doubled/,
    topics: inner => ({
      ...bound(inner),
      subscribe: options => {
        const { listener } = options
        return inner.subscribe({
          ...options,
          listener: {
            assigned: positions => listener.assigned(positions.map(position => ({ ...position, note: undefined }))),
            revoked: partitions => listener.revoked(partitions),
          },
        })
      },
    }),
  },
  {
    name: 'lake acknowledged before its objects are there',
    caught: /lost before lake/,
    sink: (name, inner) => changedVerdicts(name === 'lake', inner, ({ retry, reject }) => ({ retry, reject })),
  },
  {
    name: 'late failure forgotten',
    caught: /lost/,
    sink: (_, inner) =>
      changedVerdicts(true, inner, ({ later, ...rest }) =>
        later ? { ...rest, later: later.catch(() => undefined) } : rest,
      ),
  },
  {
    name: 'full dead letter ignored',
    caught: /lost/,
    deadLetter: inner => ({ write: letters => inner.write(letters).catch(() => undefined) }),
  },
  {
    name: 'request marker forgotten',
    caught: /twice in the topic/,
    topics: inner => ({ ...bound(inner), append: (topic, records) => inner.append(topic, records) }),
  },
]

function changedDeliveries(inner: Source, change: (delivery: Delivery) => Delivery): Source {
  return {
    ...(inner.positions ? { positions: inner.positions } : {}),
    close: () => inner.close(),
    async read(signal) {
      const delivery = await inner.read(signal)
      return delivery && change(delivery)
    },
  }
}

type Verdicts = Awaited<ReturnType<Sink['write']>>

function changedVerdicts(applies: boolean, inner: Sink, change: (verdict: Verdicts) => Verdicts): Sink {
  if (!applies) return inner
  return {
    ...(inner.wants ? { wants: inner.wants } : {}),
    write: async (records, signal) => change(await inner.write(records, signal)),
    drain: () => inner.drain?.(),
    close: () => inner.close(),
  }
}

function bound(topics: Topics): Topics {
  return {
    ensure: config => topics.ensure(config),
    append: (...given) => topics.append(...given),
    subscribe: options => topics.subscribe(options),
    readCompacted: (topic, wants) => topics.readCompacted(topic, wants),
    lag: () => topics.lag(),
    close: () => topics.close(),
  }
}

function changedSubscriptions(
  inner: Topics,
  change: (subscription: Subscription, polled: ReadonlyMap<number, bigint>) => Partial<Subscription>,
): Topics {
  return {
    ...bound(inner),
    async subscribe(options) {
      const subscription = await inner.subscribe(options)
      const polled = new Map<number, bigint>()
      return {
        close: () => subscription.close(),
        commit: positions => subscription.commit(positions),
        async poll(signal) {
          const fetched = await subscription.poll(signal)
          if (fetched) polled.set(fetched.partition, fetched.records.at(-1)!.offset + 1n)
          return fetched
        },
        ...change(subscription, polled),
      }
    },
  }
}

/** A consumer that does not hear of a revoke, with a broker that does not fence: any member's commit is taken. */
function unfenced(): (inner: Topics) => Topics {
  const members: Subscription[] = []
  return inner => ({
    ...bound(inner),
    async subscribe(options) {
      const { listener } = options
      const deaf = { ...listener, revoked: () => undefined }
      const subscription = await inner.subscribe({ ...options, listener: deaf })
      members.push(subscription)
      return {
        close: () => subscription.close(),
        poll: signal => subscription.poll(signal),
        async commit(positions) {
          for (const position of positions) {
            for (const member of [subscription, ...members.toReversed()]) {
              const fenced = await member.commit([position]).then(() => false, isRevoked)
              if (!fenced) break
            }
          }
        },
      }
    },
  })
}

function isRevoked(thrown: unknown): boolean {
  if (hasCode(thrown, 'STREAM_REVOKED')) return true
  throw thrown
}
