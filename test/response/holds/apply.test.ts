import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseCidr } from '../../../platform/address.ts'
import type { DecisionRequest } from '../../../platform/response/decision.ts'
import { applyDecision, type Judge } from '../../../response/holds/apply.ts'
import { Budget } from '../../../response/holds/budget.ts'
import { Guard } from '../../../response/holds/guard.ts'
import { Ledger } from '../../../response/holds/ledger.ts'
import { blockOf, person, terms } from '../../support/owner.ts'

const HOUR_MS = 3_600_000
const START_MS = Date.UTC(2026, 10, 24)

class Court {
  readonly ledger = new Ledger()
  readonly guard = new Guard([{ name: 'office', cidrs: [parseCidr('52.78.0.0/24')!] }])
  readonly budget: Budget
  nowMs = START_MS
  dryRun = false
  constructor(limits = { minuteMax: 1e6, hourMax: 1e6, networkHourMax: 1e6 }) {
    this.budget = new Budget(limits)
  }

  judge(): Judge {
    const { ledger, guard, budget, dryRun, nowMs } = this
    return { ledger, guard, budget, terms, dryRun, nowMs, isNews: () => true }
  }

  block(value: string, more: Partial<DecisionRequest> = {}) {
    const decision = blockOf(value, this.nowMs, more)
    return { decision, outcome: applyDecision(this.judge(), decision), hold: this.ledger.holds.get(decision.uid) }
  }

  expire(uid: string): void {
    this.ledger.put({ ...this.ledger.holds.get(uid)!, state: 'expired', endedMs: this.nowMs })
  }
}

describe('what never becomes a hold', () => {
  test.each<[string, string, Partial<DecisionRequest>]>([
    ['evidence older than 15 minutes', 'old_evidence', { evidenceTimeMs: START_MS - 15 * 60_000 - 1 }],
    [
      'a record of long ago about an event that is ahead of the clock',
      'old_evidence',
      { time: START_MS - 16 * 60_000, evidenceTimeMs: START_MS + HOUR_MS },
    ],
    ['a record sent again from the dead letter', 'replayed', { replayed: true }],
    ['sample data', 'sample', { sample: true }],
    ['requests that our own block stopped', 'own_block', { ownBlock: true }],
    ['an access key', 'bad_target', { target: { type: 'access_key', value: 'AKIAIOSFODNN7EXAMPLE' } }],
    ['no address', 'bad_target', { target: { type: 'address', value: '20.0.0' } }],
    ['a network with bits behind its prefix', 'bad_target', { target: { type: 'network', value: '20.0.0.1/24' } }],
  ])('%s', (_, reason, more) => {
    const court = new Court()
    expect(court.block('20.0.0.1', more)).toMatchObject({ outcome: reason, hold: undefined })
    expect(court.ledger.take()?.audits).toMatchObject([{ what: 'hold_refused', skip_reason: reason }])
  })

  test('a person’s request that waited until it was over', () => {
    const court = new Court()
    expect(court.block('20.0.0.1', { ...person, time: START_MS - 2 * HOUR_MS, ttlMs: HOUR_MS }).outcome).toBe('over')
  })

  test('more than the ledger takes', () => {
    const court = new Court()
    const judge = { ...court.judge(), terms: { ...terms, holdsMax: 1 } }
    expect(applyDecision(judge, blockOf('20.0.0.1', START_MS))).toBe('created')
    expect(applyDecision(judge, blockOf('20.0.0.2', START_MS))).toBe('ledger_full')
  })
})

test('in a dry run the sample may be blocked however old it is, and such a hold is no real one', () => {
  const court = new Court()
  court.dryRun = true
  const { outcome } = court.block('20.0.0.1', { sample: true, evidenceTimeMs: START_MS - 20 * HOUR_MS })
  expect(outcome).toBe('created')
  expect([...court.ledger.wanted(true)]).toEqual(['20.0.0.1/32'])
  expect([...court.ledger.wanted(false)]).toEqual([])
  court.dryRun = false
  expect(court.block('20.0.0.1').outcome).toBe('created')
  expect([...court.ledger.wanted(false)]).toEqual(['20.0.0.1/32'])
})

test('of an IPv6 client the whole /64 is blocked', () => {
  expect(new Court().block('2a00:1::5').hold).toMatchObject({ cidr: '2a00:1::/64', target: { type: 'network' } })
})

describe('how long', () => {
  test('each further offence lasts four times longer, up to the bound, and is forgotten after a quiet week', () => {
    const court = new Court()
    const lasted: number[] = []
    for (let offence = 0; offence < 6; offence++) {
      const { hold } = court.block('20.0.0.1')
      lasted.push((hold!.untilMs - hold!.createdMs) / HOUR_MS)
      court.nowMs = hold!.untilMs
      court.expire(hold!.uid)
    }
    expect(lasted).toEqual([1, 4, 16, 64, 168, 168])
    court.nowMs += terms.memoryMs + 1
    expect(court.block('20.0.0.1').hold).toMatchObject({ step: 1 })
  })

  test('what goes on at the same time is one offence, and what a person released was none', () => {
    const court = new Court()
    const first = court.block('20.0.0.1').hold!
    expect(court.block('20.0.0.1', { rule: 'scan' }).hold).toMatchObject({ step: 1 })
    const release = { type: 'release', ...person } as const
    expect(court.block('20.0.0.1', release).outcome).toBe('released')
    expect(court.block('20.0.0.1').hold).toMatchObject({ step: 1 })
    expect(court.ledger.holds.get(first.uid)).toMatchObject({ state: 'released' })
  })

  test('further alerts of a rule that holds join it, and make it no longer', () => {
    const court = new Court()
    const { hold } = court.block('20.0.0.1')
    court.nowMs += 60_000
    for (let n = 0; n < 30; n++) expect(court.block('20.0.0.1').outcome).toBe('joined')
    const joined = court.ledger.holds.get(hold!.uid)!
    expect(joined.untilMs).toBe(hold!.untilMs)
    expect(joined.alertUids).toHaveLength(20)
  })

  test('an extension counts from when it was asked for, shortens nothing, and wakes a suspended hold', () => {
    const court = new Court()
    const { hold } = court.block('20.0.0.1')
    expect(court.block('20.0.0.1', { type: 'extend', ...person, ttlMs: 1_000 }).outcome).toBe('lasts_longer')
    court.ledger.put({ ...hold!, state: 'suspended' })
    expect(court.block('20.0.0.1', { type: 'extend', ...person, ttlMs: 4 * HOUR_MS, holdId: hold!.uid }).outcome).toBe(
      'extended',
    )
    expect(court.ledger.holds.get(hold!.uid)).toMatchObject({ state: 'active', untilMs: START_MS + 4 * HOUR_MS })
  })
})

describe('the budget', () => {
  test.each([
    ['minute', { minuteMax: 3, hourMax: 1e6, networkHourMax: 1e6 }],
    ['hour', { minuteMax: 1e6, hourMax: 3, networkHourMax: 1e6 }],
    ['network', { minuteMax: 1e6, hourMax: 1e6, networkHourMax: 3 }],
  ])('trips at the limit of the %s, once, and stays tripped', (limit, limits) => {
    const court = new Court(limits)
    const outcomes = Array.from({ length: 6 }, (_, n) => court.block(`20.0.0.${n + 1}`, { asn: 64500 }).outcome)
    expect(outcomes).toEqual(['created', 'created', 'created', 'budget', 'budget', 'budget'])
    expect(court.ledger.budget?.tripped).toMatchObject({ limit, max: 3 })
    court.nowMs += 48 * HOUR_MS
    expect(court.block('20.0.0.9').outcome).toBe('budget')
    expect(court.ledger.take()?.audits.filter(({ what }) => what === 'budget_tripped')).toHaveLength(1)
  })

  test('is not spent by a second rule that holds the same address, nor by people', () => {
    const court = new Court({ minuteMax: 1, hourMax: 1, networkHourMax: 1 })
    expect(court.block('20.0.0.1').outcome).toBe('created')
    expect(court.block('20.0.0.1', { rule: 'scan' }).outcome).toBe('created')
    expect(court.block('20.0.0.2', person).outcome).toBe('created')
    expect(court.block('20.0.0.3').outcome).toBe('budget')
  })

  test('lets blocks of more than an hour ago be', () => {
    const court = new Court({ minuteMax: 1, hourMax: 1, networkHourMax: 1 })
    expect(court.block('20.0.0.1').outcome).toBe('created')
    court.nowMs += HOUR_MS + 1
    expect(court.block('20.0.0.2').outcome).toBe('created')
  })
})

const requests = fc.array(
  fc.record({
    type: fc.constantFrom('block', 'block', 'release', 'extend', 'allow', 'resume'),
    value: fc.constantFrom('20.0.0.1', '20.0.0.2', '20.0.0.0/24', '2a00::1', '52.78.0.1', '10.0.0.1', 'nonsense'),
    byPerson: fc.boolean(),
    rule: fc.constantFrom('a', 'b'),
    ttlMs: fc.integer({ min: 1, max: 1e9 }),
    waitMs: fc.integer({ min: -1e6, max: 1e7 }),
  }),
  { maxLength: 40 },
)

test('whatever is asked for: twice is once, nothing guarded is held, every hold ends, every change is told', () => {
  fc.assert(
    fc.property(requests, list => {
      const court = new Court({ minuteMax: 5, hourMax: 10, networkHourMax: 10 })
      for (const { type, value, byPerson, rule, ttlMs, waitMs } of list) {
        court.nowMs = Math.max(START_MS, court.nowMs + waitMs)
        const by = byPerson || type !== 'block' ? person : {}
        const decision = blockOf(value, court.nowMs, { type: type as 'block', rule, ttlMs, ...by })
        applyDecision(court.judge(), decision)
        const once = JSON.stringify([...court.ledger.holds.values()].map(({ seq: _, ...hold }) => hold))
        applyDecision(court.judge(), decision)
        expect(JSON.stringify([...court.ledger.holds.values()].map(({ seq: _, ...hold }) => hold))).toBe(once)
      }
      const told = new Set(court.ledger.take()?.audits.map(({ hold }) => hold))
      for (const hold of court.ledger.holds.values()) {
        expect(court.guard.objection(parseCidr(hold.cidr)!)).toBeUndefined()
        expect(hold.untilMs - hold.createdMs).toBeLessThanOrEqual(terms.personTtlMsMax + 1e9)
        expect(told.has(hold.uid)).toBe(true)
      }
    }),
    { numRuns: 300 },
  )
})

describe('sent again from the dead letter, a person’s request', () => {
  const replayed = { ...person, replayed: true }

  test('to block lasts from when it was made', () => {
    const court = new Court()
    const early = { ...replayed, time: START_MS - HOUR_MS, ttlMs: 3 * HOUR_MS }
    expect(court.block('20.0.0.1', early).hold).toMatchObject({ untilMs: START_MS + 2 * HOUR_MS })
  })

  test('to release lets go what was held then, and nothing that was blocked since', () => {
    const court = new Court()
    const { hold: old } = court.block('20.0.0.1', { rule: 'one' })
    const asked = blockOf('20.0.0.1', START_MS + 1, { ...replayed, type: 'release' })
    court.nowMs += HOUR_MS
    const { hold: since } = court.block('20.0.0.1', { rule: 'two' })
    expect(applyDecision(court.judge(), asked)).toBe('released')
    const stateOf = (uid: string) => court.ledger.holds.get(uid)?.state
    expect([stateOf(old!.uid), stateOf(since!.uid)]).toEqual(['released', 'active'])
    expect(applyDecision(court.judge(), { ...asked, uid: 'once more' })).toBe('nothing_held')
  })

  test('to go on does not untrip a budget that tripped later', () => {
    const court = new Court({ minuteMax: 0, hourMax: 10, networkHourMax: 10 })
    const asked = { ...blockOf('20.0.0.1', START_MS - HOUR_MS, replayed), type: 'resume' as const }
    expect(court.block('20.0.0.1').outcome).toBe('budget')
    expect(applyDecision(court.judge(), asked)).toBe('nothing_held')
    expect(court.ledger.budget?.tripped).toBeDefined()
    expect(applyDecision(court.judge(), { ...asked, uid: 'now', time: START_MS, replayed: false })).toBe('resumed')
  })
})
