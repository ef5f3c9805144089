import { describe, expect, test } from 'vitest'
import type { Encoded, Positions, Sink } from '../../engine/contract.ts'
import { RecordEvent } from '../../engine/event.ts'
import type { Hold } from '../../platform/response/hold.ts'
import { blocks } from '../../response/blocks.ts'
import { FakeClock } from '../support/clock.ts'
import { encodedOf, eventOf, noPositions, testDeps } from '../support/deps.ts'
import { MemoryTopics } from '../support/memory-topics.ts'
import { blockOf } from '../support/owner.ts'

class Partition {
  assign: () => void = () => undefined
  revoke: () => void = () => undefined
  readonly positions: Positions = {
    ...noPositions,
    onAssigned: listener => {
      this.assign = () => listener(['decisions/0'])
    },
    onRevoked: listener => {
      this.revoke = () => listener(['decisions/0'])
    },
  }
}

async function opened(topics = new MemoryTopics(), clock = new FakeClock()) {
  const partition = new Partition()
  const deps = testDeps({ topics: () => Promise.resolve(topics), clock, positions: partition.positions })
  const sink = await blocks.open(blocks.config.parse({}), deps)
  return { topics, clock, partition, sink, deps }
}

let offset = 0n
function recordOf(body: object, replayed = false): Encoded {
  const origin = { stream: 'decisions/0', position: offset++ }
  const event = new RecordEvent('decision', Buffer.from('{}'), 0, origin, undefined, replayed)
  event.body = body as never
  return encodedOf(event)
}

const signal = new AbortController().signal
async function closed(sink: Sink, clock: FakeClock): Promise<void> {
  const closing = sink.close()
  await clock.advance(0)
  await closing
}
const holdsIn = (topics: MemoryTopics) => topics.values('holds') as Hold[]

test('who is assigned the partition applies decisions and, unless told otherwise, writes to memory alone', async () => {
  const { topics, clock, partition, sink, deps } = await opened()
  partition.assign()
  expect(await sink.write([recordOf(blockOf('20.0.0.1', clock.now()))], signal)).toEqual({ retry: [], reject: [] })
  for (let n = 0; n < 10; n++) await clock.advance(500)
  expect(holdsIn(topics)).toMatchObject([
    { cidr: '20.0.0.1/32', dryRun: true, applied: [{ place: 'regional/dry-run' }] },
  ])
  expect(topics.values('holds.state')).toContainEqual(
    expect.objectContaining({ type: 'entry', cidr: '20.0.0.1/32', state: 'placed' }),
  )
  expect(await deps.metrics.expose()).toContain(
    'haetae_block_decisions_total{pipeline="test",type="block",outcome="created"} 1',
  )
  await closed(sink, clock)
})

test('a decision that comes out of the dead letter again blocks nobody, and says why, though it was fresh when it was written', async () => {
  const { topics, clock, partition, sink } = await opened()
  partition.assign()
  await sink.write([recordOf(blockOf('20.0.0.1', clock.now()), true)], signal)
  expect(holdsIn(topics)).toEqual([])
  const audits = topics.appended.filter(({ topic }) => topic === 'audit').flatMap(({ records }) => records)
  expect(audits.map(({ value }) => JSON.parse(String(value)) as unknown)).toMatchObject([
    { what: 'hold_refused', skip_reason: 'replayed', target: '20.0.0.1' },
  ])
  await closed(sink, clock)
})

test('what is no decision is rejected with the reason, its neighbours are applied', async () => {
  const { topics, clock, partition, sink } = await opened()
  partition.assign()
  const verdict = await sink.write([recordOf({ time: 1 }), recordOf(blockOf('20.0.0.1', clock.now()))], signal)
  expect(verdict).toMatchObject({
    retry: [],
    reject: [{ index: 0, reason: expect.stringMatching(/^not_decision/) as string }],
  })
  expect(holdsIn(topics)).toHaveLength(1)
  await closed(sink, clock)
})

describe('a standby', () => {
  test('writes nothing, takes over with the partition, and the ledger with it', async () => {
    const { topics, clock, partition, sink } = await opened()
    const standby = await opened(topics, clock)
    partition.assign()
    await sink.write([recordOf(blockOf('20.0.0.1', clock.now(), { ttlMs: 60_000 }))], signal)
    await clock.advance(5_000)
    partition.revoke()
    const before = topics.appended.length
    await clock.advance(30_000)
    expect(topics.appended.length).toBe(before)
    // Whoever owns the partition now reads it again: here it is let go.
    expect(await sink.write([recordOf(blockOf('20.0.0.2', clock.now()))], signal)).toEqual({ retry: [], reject: [] })
    expect(topics.appended.length).toBe(before)
    standby.partition.assign()
    await standby.sink.write([recordOf(blockOf('20.0.0.1', clock.now()))], signal)
    expect(holdsIn(topics)).toHaveLength(1)
    for (let n = 0; n < 120; n++) await clock.advance(500)
    expect(holdsIn(topics)).toMatchObject([{ state: 'expired' }])
    await closed(sink, clock)
    await closed(standby.sink, clock)
  })
})

test('while the ledger cannot be stored, decisions are tried again, and then applied once', async () => {
  const { topics, clock, partition, sink } = await opened()
  partition.assign()
  topics.fate = topic => (topic === 'holds' ? 'unanswered' : 'taken')
  const records = [recordOf(blockOf('20.0.0.1', clock.now()))]
  expect(await sink.write(records, signal)).toMatchObject({ retry: [0], reject: [] })
  topics.fate = () => 'taken'
  expect(await sink.write(records, signal)).toMatchObject({ retry: [], reject: [] })
  expect(holdsIn(topics)).toHaveLength(1)
  const created = topics.appended
    .filter(({ topic }) => topic === 'audit')
    .flatMap(({ records: some }) =>
      some.map(({ value }) => JSON.parse(String(value)) as { what: string; metadata: { uid: string } }),
    )
  expect(new Set(created.filter(({ what }) => what === 'hold_created').map(({ metadata }) => metadata.uid)).size).toBe(
    1,
  )
  await closed(sink, clock)
})

test('a never-block list that cannot be read keeps it from starting', async () => {
  const deps = testDeps({ topics: () => Promise.resolve(new MemoryTopics()) })
  const config = blocks.config.parse({ neverBlock: 'missing.yaml' })
  await expect(blocks.open(config, deps)).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE' })
})

test('a source without positions is a mistake in the pipeline file', async () => {
  const { sink, clock, partition } = await opened()
  partition.assign()
  await expect(sink.write([encodedOf(eventOf('{}', 'decision'))], signal)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  })
  await closed(sink, clock)
})
