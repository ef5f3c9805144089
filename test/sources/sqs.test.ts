import { describe, expect, it, vi } from 'vitest'
import type { Delivery, Source } from '../../engine/contract.ts'
import { sqs } from '../../sources/sqs.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { fakeSqsOfTests } from '../support/sqs-server.ts'

const queue = await fakeSqsOfTests()
const never = new AbortController().signal

async function opened(config: object = {}) {
  queue.fresh()
  return another(config)
}

/** Of another process on the same queue. */
async function another(config: object = {}) {
  const clock = new FakeClock()
  const paused: (string | undefined)[] = []
  const deps = testDeps({ clock, paused: (_, reason) => void paused.push(reason) })
  const given = { queueUrl: queue.queueUrl, kind: 'guardduty', waitMs: 1_000, ...config }
  const source: Source = await sqs.open(sqs.config.parse(given), deps)
  return { source, deps, clock, paused }
}

const bodies = ({ batch }: Delivery): string[] => batch.map(({ raw }) => String(raw))
/** Requests go over a socket: the clock alone does not bring their answers. */
const until = (what: () => unknown): Promise<unknown> => vi.waitUntil(what, { timeout: 10_000 })

describe('the sqs source', () => {
  it('gives one event a message and deletes it only after the ack', async () => {
    const { source } = await opened()
    queue.send(' {"id":"a"}\n', '{"id":"b"}')
    const delivery = (await source.read(never))!
    expect(bodies(delivery)).toEqual(['{"id":"a"}', '{"id":"b"}'])
    expect(delivery.batch[0]).toMatchObject({ kind: 'guardduty', origin: undefined, replayed: false })
    expect(queue.messages).toHaveLength(2)
    delivery.ack()
    await until(() => queue.messages.length === 0)
    await source.close()
  })

  it('takes what SNS put around a record away, and nothing that only looks like it', async () => {
    const { source } = await opened()
    const wrapped = { Type: 'Notification', TopicArn: 'arn:aws:sns:x', Message: '{"id":"inner"}' }
    const plain = '{"TopicArn":"no notification"}'
    queue.send(JSON.stringify(wrapped), plain, '"TopicArn" and no JSON')
    const delivery = (await source.read(never))!
    expect(bodies(delivery)).toEqual(['{"id":"inner"}', plain, '"TopicArn" and no JSON'])
    delivery.ack()
    await until(() => queue.messages.length === 0)
    await source.close()
  })

  it('keeps a message hidden for as long as it is worked on', async () => {
    const { source, clock } = await opened({ visibilityMs: 30_000 })
    queue.send('{}')
    const delivery = (await source.read(never))!
    for (let third = 1; third <= 3; third++) {
      await clock.advance(10_000)
      await until(() => queue.requests.filter(each => each === 'ChangeMessageVisibilityBatch 1').length === third)
    }
    delivery.ack()
    await until(() => queue.messages.length === 0)
    await clock.advance(30_000)
    expect(queue.requests.filter(each => each.startsWith('Change'))).toHaveLength(3)
    await source.close()
  })

  it('deletes again what the queue did not delete, entry by entry', async () => {
    const { source, clock } = await opened()
    queue.send('1', '2', '3')
    const delivery = (await source.read(never))!
    queue.failEntry = (action, at) => action === 'DeleteMessageBatch' && at === 1
    delivery.ack()
    await until(() => queue.messages.length === 1)
    queue.failEntry = () => false
    await clock.advance(1_000)
    await until(() => queue.messages.length === 0)
    expect(queue.requests.filter(each => each.startsWith('Delete'))).toEqual([
      'DeleteMessageBatch 3',
      'DeleteMessageBatch 1',
    ])
    await source.close()
  })

  it('gives back what was not settled when it closes: another process reads it at once', async () => {
    const first = await opened()
    queue.send('1', '2')
    const delivery = (await first.source.read(never))!
    delivery.nack(new Error('stopping'))
    await first.source.close()
    const second = await another()
    expect(bodies((await second.source.read(never))!)).toEqual(['1', '2'])
    expect(queue.messages.map(({ receives }) => receives)).toEqual([2, 2])
    await second.source.close()
  })

  it('dead-letters a message that was received too often, and one that is too large, and deletes them', async () => {
    const { source, deps } = await opened({ receivesMax: 2 })
    queue.send('deadly')
    queue.messages[0]!.receives = 9
    const large = `"${'x'.repeat(1_048_576)}"`
    queue.send(large, 'good')
    const letters: string[] = []
    const seen: string[] = []
    while (!seen.includes('good')) {
      const delivery = (await source.read(never))!
      seen.push(...bodies(delivery))
      delivery.ack()
    }
    await until(() => queue.messages.length === 0)
    letters.push(...deps.dead.map(({ stage, reason }) => `${stage} ${reason}`))
    expect(letters.toSorted()).toEqual([
      'sqs oversize: 1048578 bytes',
      'sqs poison: received 10 times and never finished',
    ])
    expect(seen).toEqual(['good'])
    await source.close()
  })

  it('waits while the queue is away, says once why it is refused, and goes on', async () => {
    const { source, clock, paused } = await opened()
    const reading = source.read(never)
    queue.refuse = () => ({ status: 403, code: 'AccessDenied' })
    await until(() => {
      void clock.advance(1_000)
      return paused.length > 0
    })
    expect(paused[0]).toMatch(/AccessDenied/)
    queue.refuse = () => undefined
    queue.send('later')
    await until(() => {
      void clock.advance(30_000)
      return queue.messages[0]!.receives > 0
    })
    const delivery = (await reading)!
    expect(bodies(delivery)).toEqual(['later'])
    expect(paused.at(-1)).toBeUndefined()
    delivery.ack()
    await until(() => queue.messages.length === 0)
    await source.close()
  })

  it('ends its wait when it is told to stop', async () => {
    const { source } = await opened()
    const stop = new AbortController()
    const reading = source.read(stop.signal)
    stop.abort()
    expect(await reading).toBeUndefined()
    await source.close()
  })
})
