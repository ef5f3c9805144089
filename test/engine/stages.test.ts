import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Batch, Event, Reject, Stage } from '../../engine/contract.ts'
import { type NamedStage, runStages } from '../../engine/stages.ts'
import { eventOf } from '../support/deps.ts'

const text = (event: Event): string => event.raw.toString()
const named = (name: string, apply: Stage['apply']): NamedStage => ({ name, stage: { apply } })
const pass = named('pass', batch => batch)

/** Stands for a parser: fills the body, and throws over the whole batch when it meets what it cannot bear. */
const fragile = named('fragile', batch => {
  for (const event of batch) {
    if (text(event).startsWith('poison')) throw new Error(`cannot bear ${text(event)}`)
    event.body = { message: text(event) }
  }
  return batch
})

test('stages run in order over the whole batch, and what they did is in the events that come out', async () => {
  const upper = named('upper', batch => {
    for (const event of batch) event.body.message = event.body.message?.toUpperCase() ?? ''
    return batch
  })
  const { events, rejected, dropped } = await runStages([fragile, upper], [eventOf('a'), eventOf('b')])
  expect(events.map(event => event.body.message)).toEqual(['A', 'B'])
  expect(rejected).toEqual([])
  expect(dropped).toEqual([0, 0])
})

test('a rejected event leaves with its stage and reason, a missing one is counted as dropped by its stage', async () => {
  const parse = named('parse', (batch, reject) =>
    batch.filter(event => {
      if (text(event) !== 'bad') return true
      reject(event, 'not_json: at 0')
      return false
    }),
  )
  const filter = named('filter', batch => batch.filter(event => text(event) !== 'dull'))
  const result = await runStages(
    [parse, pass, filter],
    ['ok', 'bad', 'dull', 'dull'].map(each => eventOf(each)),
  )
  expect(result.events.map(text)).toEqual(['ok'])
  expect(result.rejected.map(({ event, ...rest }) => ({ ...rest, text: text(event) }))).toEqual([
    { stage: 'parse', reason: 'not_json: at 0', text: 'bad' },
  ])
  expect(result.dropped).toEqual([0, 0, 2])
})

test('stages behind one that returned nothing are not called', async () => {
  let calls = 0
  const counting = named('counting', batch => {
    calls++
    return batch
  })
  const result = await runStages([named('none', () => []), counting], [eventOf('a')])
  expect(result).toEqual({ events: [], rejected: [], dropped: [1, 0] })
  expect(calls).toBe(0)
})

test('a stage may be asynchronous', async () => {
  const slow = named('slow', async batch => {
    await new Promise(resolve => setImmediate(resolve))
    return batch.toReversed()
  })
  const { events } = await runStages([slow], [eventOf('a'), eventOf('b')])
  expect(events.map(text)).toEqual(['b', 'a'])
})

test('a poisonous record costs itself and not its neighbours, wherever it stands', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }), async poisonous => {
      const batch = poisonous.map((bad, n) => eventOf(bad ? `poison ${n}` : `good ${n}`))
      const names = batch.map(text)
      const { events, rejected, dropped } = await runStages([pass, fragile, pass], batch)
      expect(events.map(text)).toEqual(names.filter(name => name.startsWith('good')))
      expect(events.map(event => event.body.message)).toEqual(events.map(text))
      expect(rejected.map(({ event }) => text(event))).toEqual(names.filter(name => name.startsWith('poison')))
      for (const each of rejected) {
        expect(each).toMatchObject({ stage: 'fragile', reason: `stage_failed: cannot bear ${text(each.event)}` })
      }
      expect(dropped).toEqual([0, 0, 0])
    }),
  )
})

test('the second try starts from the raw bytes: nothing that a stage did before the failure is seen again', async () => {
  const seen: unknown[] = []
  const spoil = named('spoil', batch => {
    for (const event of batch) {
      seen.push({ ...event.body }, event.key, event.encode, event.timeMs)
      event.timeMs = 0
      event.body = { message: 'spoiled' }
      event.key = 'spoiled'
      event.encode = () => Buffer.from('spoiled')
    }
    return batch
  })
  const batch: Batch = [eventOf('poison'), eventOf('good')]
  const { events } = await runStages([spoil, fragile], batch)
  expect(seen).toEqual(Array.from({ length: 4 }, () => [{}, undefined, undefined, Date.UTC(2026, 10, 24)]).flat())
  expect(events.map(text)).toEqual(['good'])
})

test('what was rejected before another stage threw is rejected once, not twice', async () => {
  const refuse = named('refuse', (batch: Batch, reject: Reject) =>
    batch.filter(event => {
      if (text(event) !== 'bad') return true
      reject(event, 'refused')
      return false
    }),
  )
  const { events, rejected } = await runStages(
    [refuse, fragile],
    ['bad', 'poison', 'good'].map(each => eventOf(each)),
  )
  expect(rejected.map(({ event, reason }) => [text(event), reason.split(':')[0]])).toEqual([
    ['bad', 'refused'],
    ['poison', 'stage_failed'],
  ])
  expect(events.map(text)).toEqual(['good'])
})

test('a stage that shortens the batch in place before it throws loses nobody', async () => {
  let first = true
  const eater = named('eater', batch => {
    if (first) {
      first = false
      batch.length = 0
      throw new Error('half way')
    }
    return batch
  })
  const { events } = await runStages([eater], [eventOf('a'), eventOf('b')])
  expect(events.map(text)).toEqual(['a', 'b'])
})

test('whatever is thrown becomes a reason of bounded length, and a promise that rejects is a throw', async () => {
  const longWinded = named('long', () => Promise.reject(new Error('x'.repeat(10_000))))
  const odd = named('odd', () => {
    throw 'a string'
  })
  const long = await runStages([longWinded], [eventOf('a')])
  expect(long.rejected[0]!.reason.length).toBeLessThan(600)
  const result = await runStages([odd], [eventOf('a')])
  expect(result.rejected[0]!.reason).toBe('stage_failed: a string')
})

test('an empty batch passes without a stage being called', async () => {
  const never = named('never', () => {
    throw new Error('called')
  })
  expect(await runStages([never], [])).toEqual({ events: [], rejected: [], dropped: [0] })
})
