import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Delivery } from '../../../engine/contract.ts'
import { isRefusal } from '../../../sources/http/answer.ts'
import { Inflight } from '../../../sources/http/inflight.ts'
import { parseNdjson } from '../../../sources/http/ndjson.ts'
import type { Cut } from '../../../sources/http/parts.ts'
import { type Outcome, Pending } from '../../../sources/http/pending.ts'
import { FakeClock } from '../../support/clock.ts'
import { testDeps } from '../../support/deps.ts'

function cutOf(name: string, count: number): Cut {
  const records = parseNdjson(Buffer.from(`{"request":"${name}"}\n`.repeat(count)))
  if (isRefusal(records)) throw new Error(records.message)
  return { kind: 'waf', requestId: name, records, receivedMs: 0 }
}

interface Sent {
  readonly count: number
  readonly outcomes: Outcome[]
  readonly abandon: () => void
  abandoned: boolean
  acked: number
  nacked: boolean
}

/** Requests, an engine that settles in any order, clients that leave, time: whatever happens in whatever order. */
class World {
  readonly clock = new FakeClock()
  readonly inflight = new Inflight(1_000_000, 1000, () => undefined)
  readonly pending = new Pending(testDeps({ clock: this.clock }), { answerMs: 2000, stallMs: 1000 })
  readonly sent: Sent[] = []
  readonly open: Delivery[] = []
  readonly stopReading = new AbortController()
  #reading: Promise<void> | undefined

  submit(count: number): void {
    const hold = this.inflight.hold(1000)
    if (!hold) throw new Error('the bound is out of reach here')
    const outcomes: Outcome[] = []
    const settled = (outcome: Outcome) => void outcomes.push(outcome)
    const { abandon } = this.pending.submit(cutOf(String(this.sent.length), count), hold, settled)
    this.sent.push({ count, outcomes, abandon, abandoned: false, acked: 0, nacked: false })
  }

  read(): void {
    this.#reading ??= this.pending.read(this.stopReading.signal).then(delivery => {
      if (delivery) this.open.push(delivery)
      this.#reading = undefined
    })
  }

  settle(which: number, ack: boolean): void {
    const [delivery] = this.open.splice(which % Math.max(1, this.open.length), 1)
    if (!delivery) return
    const request = this.sent[Number(delivery.batch[0]!.marker!.split('/')[1])]!
    if (ack) request.acked += delivery.batch.length
    else request.nacked = true
    if (ack) delivery.ack()
    else delivery.nack(new Error('stopping'))
  }

  abandon(which: number): void {
    const request = this.sent[which % Math.max(1, this.sent.length)]
    if (!request) return
    request.abandoned = true
    request.abandon()
  }

  check(): void {
    for (const { outcomes, count, acked, nacked } of this.sent) {
      expect(outcomes.length).toBeLessThanOrEqual(1)
      if (outcomes[0] === 'durable') expect([acked, nacked]).toEqual([count, false])
    }
  }
}

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('submit' as const), n: fc.constantFrom(0, 1, 500, 501, 1600) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('read' as const), n: fc.constant(0) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('ack' as const), n: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('nack', 'abandon'), n: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), n: fc.constantFrom(10, 700, 2500) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('read', 'read', 'read', 'stop'), n: fc.constant(0) }) },
)

it('answers each request once, 200 only when all of it was acked, and gives back all memory, whatever happens', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async steps => {
      const world = new World()
      for (const { do: what, n } of steps) {
        if (what === 'submit') world.submit(n)
        else if (what === 'read') world.read()
        else if (what === 'ack' || what === 'nack') world.settle(n, what === 'ack')
        else if (what === 'abandon') world.abandon(n)
        else if (what === 'wait') await world.clock.advance(n)
        else world.stopReading.abort()
        await new Promise(resolve => setImmediate(resolve))
        world.check()
      }
      // The end: the engine settles what it has, and everyone else is told to come again.
      world.stopReading.abort()
      world.read()
      await world.clock.advance(0)
      while (world.open.length > 0) world.settle(0, true)
      await world.clock.advance(5000)
      world.check()
      for (const request of world.sent) if (!request.abandoned) expect(request.outcomes).toHaveLength(1)
      expect([world.inflight.bytes, world.inflight.requests]).toEqual([0, 0])
    }),
    { numRuns: 300 },
  )
})

it('tells the requests that wait unread to come again as soon as the engine stops, even while it has no room to read', async () => {
  const world = new World()
  world.submit(501)
  world.read()
  await world.clock.advance(0)
  world.submit(1)
  world.stopReading.abort()
  expect(world.sent.map(({ outcomes }) => outcomes)).toMatchObject([[{ status: 503 }], [{ status: 503 }]])
  expect(world.pending.refusal()).toMatchObject({ status: 503 })
  world.submit(1)
  expect(world.sent[2]!.outcomes).toMatchObject([{ status: 503 }])
  expect(world.inflight.requests).toBe(1)
  world.settle(0, true)
  expect(world.inflight.requests).toBe(0)
})
