import { describe, expect, it } from 'vitest'
import type { Event, Positions, Stage } from '../../engine/contract.ts'
import { RecordEvent } from '../../engine/event.ts'
import { runStages } from '../../engine/stages.ts'
import { dedupe } from '../../enrichers/dedupe.ts'
import { eventOf, noPositions, testDeps } from '../support/deps.ts'

const never = () => {
  throw new Error('dedupe rejects nothing')
}
const at = (n: number, position: number, stream = 'events.waf/0') =>
  eventOf({ n }, 'waf', { stream, position: BigInt(position) })
const open = (config: { idsMax?: number; streamsMax?: number } = {}, deps = testDeps()) =>
  dedupe.open(dedupe.config.parse(config), deps)
const passing = async (stage: Stage, events: Event[]) =>
  (await stage.apply(events, never)).map(event => Number(event.origin?.position))

describe('dedupe', () => {
  it('drops a record that comes again at another position of its stream, and counts it', async () => {
    const deps = testDeps()
    const stage = await open({}, deps)
    expect(await passing(stage, [at(1, 10), at(2, 11), at(1, 12)])).toEqual([10, 11])
    expect(await passing(stage, [at(2, 13), at(3, 14)])).toEqual([14])
    expect(await deps.metrics.expose()).toContain('haetae_dedupe_dropped_total{pipeline="test"} 2')
  })

  it('lets a record pass that is read again at the same position, as often as it is read', async () => {
    const stage = await open()
    const batch = () => [at(1, 10), at(2, 11), at(1, 12)]
    for (let reading = 0; reading < 3; reading++) expect(await passing(stage, batch())).toEqual([10, 11])
  })

  it('after a retry from further back, only the first-seen position passes', async () => {
    const stage = await open()
    expect(await passing(stage, [at(1, 10)])).toEqual([10])
    expect(await passing(stage, [at(1, 20)])).toEqual([])
    expect(await passing(stage, [at(1, 10), at(1, 20)])).toEqual([10])
  })

  it('keeps streams apart', async () => {
    const stage = await open()
    expect(await passing(stage, [at(1, 10, 'events.waf/0'), at(1, 10, 'events.waf/1')])).toEqual([10, 10])
    expect(await passing(stage, [at(1, 11, 'events.waf/1')])).toEqual([])
  })

  it('takes white space around a record as no difference', async () => {
    const stage = await open()
    const first = eventOf('{"a":1}', 'waf', { stream: 's', position: 1n })
    const second = eventOf(' {"a":1}\n', 'waf', { stream: 's', position: 2n })
    expect(await passing(stage, [first, second])).toEqual([1])
  })

  it('does not take a batch that is tried again after a later stage threw for repeats', async () => {
    const stage = await open()
    let throws = true
    const fragile: Stage = {
      apply(batch) {
        if (throws && batch.length > 1) throw new Error('poison')
        return batch
      },
    }
    const stages = [
      { name: 'dedupe', stage },
      { name: 'fragile', stage: fragile },
    ]
    const withPositions = await runStages(stages, [at(1, 10), at(2, 11), at(1, 12)])
    expect(withPositions.events.map(event => event.origin?.position)).toEqual([10n, 11n])
    const withoutPositions = await runStages(stages, [eventOf({ x: 1 }), eventOf({ x: 2 }), eventOf({ x: 1 })])
    expect(withoutPositions.events).toHaveLength(2)
    throws = false
    expect((await runStages(stages, [eventOf({ x: 1 })])).events).toHaveLength(0)
  })

  it('lets a replay from the dead letter pass, however often, and still drops repeats of the record', async () => {
    const stage = await open()
    const replay = (position: bigint) =>
      new RecordEvent('waf', at(1, 0).raw, 0, { stream: 'events.waf/0', position }, undefined, true)
    expect(await passing(stage, [at(1, 10), replay(11n), at(1, 12), replay(13n), replay(13n)])).toEqual([
      10, 11, 13, 13,
    ])
    expect(await passing(stage, [at(1, 10), at(1, 14)])).toEqual([10])
  })

  it('drops repeats of records without a position by kind', async () => {
    const stage = await open()
    const [a, b, c] = [eventOf({ n: 1 }), eventOf({ n: 1 }), eventOf({ n: 1 }, 'falco')]
    expect(await stage.apply([a, b, c], never)).toEqual([a, c])
    expect(await stage.apply([a], never)).toEqual([a])
    expect(await stage.apply([eventOf({ n: 1 })], never)).toEqual([])
  })

  it('forgets the oldest ids past idsMax, and never drops what it forgot', async () => {
    const stage = await open({ idsMax: 2 })
    expect(await passing(stage, [at(1, 1), at(2, 2), at(3, 3)])).toEqual([1, 2, 3])
    expect(await passing(stage, [at(1, 4)])).toEqual([4])
    expect(await passing(stage, [at(3, 5)])).toEqual([])
  })

  it('forgets the stream used least recently past streamsMax', async () => {
    const stage = await open({ streamsMax: 2 })
    await passing(stage, [at(1, 1, 'a'), at(1, 1, 'b'), at(2, 2, 'a'), at(1, 1, 'c')])
    expect(await passing(stage, [at(1, 9, 'a')])).toEqual([])
    expect(await passing(stage, [at(1, 9, 'b')])).toEqual([9])
  })

  it('forgets a stream that was given to another consumer', async () => {
    let revoke: (streams: readonly string[]) => void = () => undefined
    const positions: Positions = { ...noPositions, onRevoked: listener => (revoke = listener) }
    const stage = await open({}, testDeps({ positions }))
    await passing(stage, [at(1, 1, 'a'), at(1, 1, 'b')])
    revoke(['b'])
    expect(await passing(stage, [at(1, 2, 'a'), at(1, 2, 'b')])).toEqual([2])
  })

  it('compares ids that are not 128-bit hashes as exactly', async () => {
    const stage = await open()
    const named = (id: string, position: bigint) =>
      Object.defineProperty(new RecordEvent('waf', Buffer.from('{}'), 0, { stream: 's', position }), 'id', {
        value: id,
      })
    const events = [named('rule/group/1', 1n), named('rule/group/2', 2n), named('rule/group/1', 3n)]
    expect(await passing(stage, events)).toEqual([1, 2])
  })

  it('refuses unknown keys', () => {
    expect(dedupe.config.safeParse({ ids: 5 }).success).toBe(false)
  })
})
