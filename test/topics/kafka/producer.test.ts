import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { silentLog } from '../../../platform/log.ts'
import type { TopicRecord } from '../../../platform/topics/contract.ts'
import { recordBytes } from '../../../platform/topics/kafka/batch.ts'
import { KafkaFailure } from '../../../platform/topics/kafka/failures.ts'
import { Producer, type ProducerOptions } from '../../../platform/topics/kafka/producer.ts'
import { partitionOf } from '../../../platform/topics/partition.ts'
import { FakeClock } from '../../support/clock.ts'
import { numbered, recordOf } from '../support.ts'

const again = (): KafkaFailure => new KafkaFailure('NOT_LEADER_OR_FOLLOWER', 'again')
const large = (): KafkaFailure => new KafkaFailure('MESSAGE_TOO_LARGE', 'large')

type Send = (partition: number, records: readonly TopicRecord[]) => Promise<void> | void

/** What reached the broker, request by request, and a producer that sends to it. */
function producerOf(send: Send = () => undefined, given: Partial<ProducerOptions> = {}) {
  const requests: { readonly partition: number; readonly values: string[] }[] = []
  const errors: string[] = []
  const clock = new FakeClock()
  let refreshes = 0
  const producer = new Producer({
    async send(_topic, partition, records) {
      await send(partition, records)
      requests.push({ partition, values: records.map(({ value }) => String(value)) })
    },
    refresh: () => Promise.resolve(refreshes++),
    clock,
    log: { ...silentLog, error: message => void errors.push(message) },
    ...given,
  })
  return { producer, requests, errors, clock, refreshes: () => refreshes }
}

/** Lets time pass until it is settled. */
async function passing(clock: FakeClock, settled: Promise<unknown>): Promise<void> {
  let waiting = true
  void settled.finally(() => {
    waiting = false
  })
  while (waiting) await clock.advance(500)
}

const values = (records: readonly TopicRecord[]): string[] => records.map(({ value }) => String(value))

describe('sending', () => {
  test('appends of one turn share a request for each partition, and each is told of its own records', async () => {
    const { producer, requests } = producerOf()
    const appends = [numbered(10), numbered(10, 10), numbered(10, 20)]
    const answers = await Promise.all(appends.map(records => producer.append('t', 4, records)))
    expect(answers).toEqual(appends.map(() => ({ retry: [], repeated: false })))
    expect(requests.length).toBeLessThanOrEqual(4)
    expect(requests.flatMap(({ values: sent }) => sent).sort()).toEqual(values(appends.flat()).sort())
    for (const { partition, values: sent } of requests) {
      for (const value of sent) expect(partitionOf(value.replace('value', 'key'), 4)).toBe(partition)
    }
  })

  test('what comes while a request is on its way goes with the next one, in order', async () => {
    const gates: (() => void)[] = []
    const { producer, requests } = producerOf(() => new Promise(resolve => void gates.push(resolve)))
    const first = producer.append('t', 1, [recordOf('k', '1')])
    await expect.poll(() => gates.length).toBe(1)
    const rest = ['2', '3', '4'].map(value => producer.append('t', 1, [recordOf('k', value)]))
    gates.shift()!()
    await first
    await expect.poll(() => gates.length).toBe(1)
    gates.shift()!()
    await Promise.all(rest)
    expect(requests.map(request => request.values)).toEqual([['1'], ['2', '3', '4']])
  })

  test('a request is never larger than its bound, unless one record alone is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 1, maxLength: 60 }), async sizes => {
        const sent: (readonly TopicRecord[])[] = []
        const { producer } = producerOf((_, records) => void sent.push(records), { bytesMax: 2_000 })
        const records = sizes.map(size => recordOf('k', 'x'.repeat(size)))
        expect(await producer.append('t', 1, records)).toEqual({ retry: [], repeated: false })
        expect(sent.flat()).toEqual(records)
        for (const each of sent) {
          const bytes = each.reduce((sum, record) => sum + recordBytes(record), 0)
          if (each.length > 1) expect(bytes).toBeLessThanOrEqual(2_000)
        }
      }),
    )
  })
})

describe('a failure', () => {
  test('that passes is waited out: the same request goes again after a look at who leads', async () => {
    let failures = 3
    const { producer, requests, clock, refreshes } = producerOf(() => {
      if (failures-- > 0) throw again()
    })
    const appended = producer.append('t', 1, numbered(5))
    await passing(clock, appended)
    expect(await appended).toEqual({ retry: [], repeated: false })
    expect(requests).toHaveLength(1)
    expect(refreshes()).toBe(3)
  })

  test('that does not pass in time gives back exactly what was not confirmed, and everything behind it', async () => {
    let calls = 0
    const { producer, errors, clock } = producerOf(
      () => {
        if (++calls > 1) throw again()
      },
      { bytesMax: 300, deliveryMs: 5_000 },
    )
    const records = Array.from({ length: 6 }, (_, index) => recordOf('k', `${index}`.padEnd(50, '.')))
    const appended = producer.append('t', 1, records)
    await passing(clock, appended)
    expect((await appended).retry).toEqual([2, 3, 4, 5])
    expect(errors).toHaveLength(1)
  })

  test('is not waited out when the process stops: the records are given back at once', async () => {
    const stop = new AbortController()
    const { producer, clock } = producerOf(
      () => {
        throw again()
      },
      { signal: stop.signal },
    )
    const appended = producer.append('t', 1, numbered(3))
    await clock.advance(1_000)
    stop.abort()
    expect((await appended).retry).toEqual([0, 1, 2])
    await producer.idle()
  })

  test('of one partition leaves the others alone', async () => {
    const bad = partitionOf('key-0', 4)
    const { producer, clock } = producerOf(partition => {
      if (partition === bad) throw again()
    })
    const records = numbered(40)
    const appended = producer.append('t', 4, records)
    await passing(clock, appended)
    const expected = records.flatMap(({ key }, index) => (partitionOf(key!, 4) === bad ? [index] : []))
    expect((await appended).retry).toEqual(expected)
  })

  test('of authorisation is not tried again: the records are given back and it is said once', async () => {
    const { producer, errors, requests } = producerOf(() => {
      throw new KafkaFailure('TOPIC_AUTHORIZATION_FAILED', 'unauthorised')
    })
    for (let round = 0; round < 3; round++) {
      expect((await producer.append('t', 1, numbered(2))).retry).toEqual([0, 1])
    }
    expect(requests).toEqual([])
    expect(errors).toEqual([expect.stringContaining('credentials')])
  })
})

describe('the limit of the broker', () => {
  const limited =
    (limit: number): Send =>
    (_, records) => {
      if (records.reduce((sum, record) => sum + recordBytes(record), 0) > limit) throw large()
    }

  test('for any sizes exactly the records over it are refused, by position; the others arrive once, in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 1_500 }), { minLength: 1, maxLength: 40 }), async sizes => {
        const { producer, requests } = producerOf(limited(1_000))
        const records = sizes.map((size, index) => recordOf('k', `${index}:`.padEnd(size, '.')))
        const { retry, refused = [] } = await producer.append('t', 1, records)
        const over = records.flatMap((record, index) => (recordBytes(record) > 1_000 ? [index] : []))
        expect(retry).toEqual([])
        expect(refused.map(({ index }) => index)).toEqual(over)
        for (const { reason } of refused)
          expect(reason).toMatch(/^oversize: \d+ bytes are over the limit of the topic t/)
        expect(requests.flatMap(request => request.values)).toEqual(
          values(records.filter((_, index) => !over.includes(index))),
        )
      }),
    )
  })

  test('a failure after the first half of a split gives back only the second', async () => {
    const limit = limited(700)
    let sent = 0
    const { producer } = producerOf((partition, records) => {
      void limit(partition, records)
      if (++sent > 1) throw new KafkaFailure('INVALID_RECORD', 'fatal')
    })
    const records = Array.from({ length: 8 }, (_, index) => recordOf('k', `${index}`.padEnd(80, '.')))
    expect((await producer.append('t', 1, records)).retry).toEqual([4, 5, 6, 7])
  })
})

test('why records wait for a person is said with them, also for what was queued behind', async () => {
  const refused = new KafkaFailure('TOPIC_AUTHORIZATION_FAILED', 'unauthorised')
  let may = false
  const { producer } = producerOf(() => {
    if (!may) throw refused
  })
  const paused = expect.stringMatching(/writing to t: .*TOPIC_AUTHORIZATION_FAILED.*ACLs/)
  expect(await producer.append('t', 1, numbered(2))).toEqual({ retry: [0, 1], paused, repeated: false })
  may = true
  expect(await producer.append('t', 1, numbered(2))).toEqual({ retry: [], repeated: false })
})
