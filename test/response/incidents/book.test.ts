import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ADDRESSES_MAX, incidentSchema, RULES_MAX, TARGETS_MAX, TIMELINE_MAX } from '../../../platform/incident.ts'
import { alertFacts } from '../../../response/incidents/alert.ts'
import { alertBody, NOON, uidOf } from '../../support/alerts.ts'
import { bookWith, grouping } from '../../support/incident-book.ts'
import { groupNaively, type Step } from './naive-grouping.ts'

const MINUTE = 60_000

describe('grouping', () => {
  test('gives what the rules give when everything is looked at, for any alerts and any pauses', () => {
    const step = fc.record({
      actor: fc.integer({ min: 0, max: 9 }),
      class: fc.integer({ min: 0, max: 3 }),
      severity: fc.integer({ min: 1, max: 5 }),
      pauseMs: fc.oneof(
        fc.constant(0),
        fc.integer({ min: 0, max: 3 * MINUTE }),
        fc.integer({ min: 0, max: 15 * MINUTE }),
      ),
      lateMs: fc.oneof(fc.constant(0), fc.integer({ min: -20 * MINUTE, max: 20 * MINUTE })),
    })
    const limits = fc.record({
      campaignActors: fc.integer({ min: 2, max: 5 }),
      openMax: fc.constantFrom(3, 6, 1000),
      durationMsMax: fc.constantFrom(15 * MINUTE, 360 * MINUTE),
      unseenMsMax: fc.constantFrom(20 * MINUTE, 72 * 60 * MINUTE),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), limits, fc.boolean(), (drawn, changed, restarting) => {
        let nowMs = NOON
        const steps = drawn.map((each, index): Step => {
          nowMs += each.pauseMs
          return {
            uid: uidOf(String(index)),
            actor: `192.0.2.${each.actor}`,
            class: `T${1000 + each.class}`,
            severity: each.severity,
            timeMs: nowMs + each.lateMs,
            nowMs,
          }
        })
        const used = { ...grouping, ...changed }
        let books = bookWith(changed)
        for (const { actor, class: technique, ...rest } of steps) {
          books.pass(rest.nowMs)
          books.alert({ ...rest, address: actor, technique }, rest.nowMs)
          if (restarting) books = bookWith(changed, books)
        }
        books.pass(nowMs + MINUTE)
        const groups = groupNaively(steps, used, nowMs + MINUTE)
        expect(
          books.all.map(({ kind, key, state, count, severity_id, merged_into, first_seen_time }) => {
            return {
              kind,
              key,
              open: state === 'open',
              merged: merged_into !== undefined,
              count,
              severity_id,
              first_seen_time,
            }
          }),
        ).toEqual(
          groups.map(({ kind, key, open, merged, alerts }) => {
            const severity_id = Math.max(...alerts.map(({ severity }) => severity))
            const first_seen_time = Math.min(...alerts.map(({ timeMs }) => timeMs))
            return { kind, key, open, merged, count: alerts.length, severity_id, first_seen_time }
          }),
        )
        const counted = books.all.filter(({ merged_into }) => merged_into === undefined)
        expect(counted.reduce((sum, { count }) => sum + count, 0)).toBe(steps.length)
      }),
      { numRuns: 300 },
    )
  })

  test('makes one incident of one actor, whatever he does', () => {
    const books = bookWith()
    for (const technique of ['T1190', 'T1110', 'T1595']) books.alert({ technique })
    expect(books.all).toMatchObject([
      { kind: 'actor', key: 'address:203.0.113.7', count: 3, classes: ['T1190', 'T1110', 'T1595'], state: 'open' },
    ])
  })

  test('makes a campaign of many actors who do the same, takes in their incidents, and leaves others alone', () => {
    const books = bookWith()
    books.alert({ address: '198.51.100.1', technique: 'T1190' })
    books.alert({ address: '192.0.2.1', technique: 'T1190' })
    for (let actor = 1; actor <= 8; actor++) books.alert({ address: `192.0.2.${actor}` })
    books.alert({ address: '192.0.2.1', technique: 'T1595' })
    const campaign = books.all.find(({ kind }) => kind === 'campaign')!
    expect(campaign).toMatchObject({ key: 'class:T1110', count: 9, address_count: 8, state: 'open' })
    expect(books.all.filter(({ merged_into }) => merged_into === campaign.uid)).toHaveLength(5)
    expect(books.all[0]).toMatchObject({ key: 'address:198.51.100.1', state: 'open', count: 1 })
    expect(books.all[1]).toMatchObject({ state: 'closed', count: 2, merged_into: campaign.uid })
    expect(books.all.at(-1)).toMatchObject({ key: 'address:192.0.2.1', state: 'open', classes: ['T1595'] })
  })

  test('closes what was quiet, and links what begins again to it', () => {
    const books = bookWith()
    books.alert({})
    books.pass(NOON + 10 * MINUTE)
    expect(books.all[0]!.state).toBe('open')
    books.pass(NOON + 10 * MINUTE + 1)
    expect(books.all[0]).toMatchObject({ state: 'closed', closed_time: NOON + 10 * MINUTE + 1 })
    books.alert({ timeMs: NOON + 30 * MINUTE })
    expect(books.all[1]).toMatchObject({ state: 'open', successor_of: books.all[0]!.uid, count: 1 })
  })

  test('keeps a critical one open until somebody says a word about it, and then closes it at once', () => {
    const books = bookWith()
    books.alert({ severity: 5 })
    books.pass(NOON + 11 * MINUTE)
    expect(books.all).toMatchObject([{ state: 'open', critical_time: NOON, quiet_time: NOON + 11 * MINUTE }])
    expect(books.all[0]!.timeline.at(-1)).toMatchObject({ what: 'quiet' })
    const later = bookWith({}, books)
    later.pass(NOON + 5 * 60 * MINUTE)
    later.alert({ timeMs: NOON + 7 * 60 * MINUTE })
    expect(later.all).toMatchObject([{ state: 'open', count: 2 }])
    expect(later.all[0]!.quiet_time).toBeUndefined()
    later.pass(NOON + 8 * 60 * MINUTE)
    const incidentUid = later.all[0]!.uid
    later.audit('incident_acknowledged', { incident_uid: incidentUid, who: 'kim' }, NOON + 9 * 60 * MINUTE)
    later.pass(NOON + 9 * 60 * MINUTE)
    expect(later.all).toMatchObject([{ state: 'closed', acknowledged: { by: 'kim' } }])
    expect(later.all[0]!.quiet_time).toBeUndefined()
  })

  test('closes a critical one like any other when it is marked as a false positive, or made of sample data', () => {
    const books = bookWith()
    books.alert({ severity: 5 })
    books.alert({ severity: 5, sample: true, address: '192.0.2.1', technique: 'T1595' })
    books.audit('incident_false_positive', { incident_uid: books.all[0]!.uid })
    books.pass(NOON + 11 * MINUTE)
    expect(books.all.map(({ state }) => state)).toEqual(['closed', 'closed'])
  })

  test('closes a critical one that nobody looked at for days, and the oldest of too many', () => {
    const books = bookWith({ openMax: 3 })
    for (let actor = 1; actor <= 5; actor++) {
      const timeMs = NOON + actor * 11 * MINUTE
      books.pass(timeMs)
      books.alert({ severity: 5, address: `192.0.2.${actor}`, technique: `T${actor}`, timeMs })
    }
    books.pass(NOON + 90 * MINUTE)
    expect(books.all.map(({ state }) => state)).toEqual(['closed', 'closed', 'open', 'open', 'open'])
    books.pass(NOON + 74 * 60 * MINUTE)
    expect(books.all.map(({ state }) => state)).toEqual(Array(3).fill('closed'))
  })

  test('ends an incident that goes on for too long, and goes on in its successor', () => {
    const books = bookWith()
    for (let at = 0; at <= 6 * 60 + 5; at += 5) books.alert({ timeMs: NOON + at * MINUTE })
    expect(books.all).toMatchObject([
      { state: 'closed', count: 73 },
      { state: 'open', count: 1, successor_of: books.all[0]!.uid },
    ])
  })

  test('lets severity rise, and never fall', () => {
    const books = bookWith()
    for (const severity of [2, 4, 3, 5, 1]) books.alert({ severity })
    expect(books.all[0]!.severity_id).toBe(5)
    expect(books.all[0]!.timeline.filter(({ what }) => what === 'severity')).toHaveLength(2)
  })

  test('a clock that jumps back keeps an incident open and counts on', () => {
    const books = bookWith()
    books.alert({}, NOON)
    books.alert({}, NOON - 60 * MINUTE)
    books.pass(NOON - 50 * MINUTE)
    expect(books.all).toMatchObject([{ state: 'open', count: 2 }])
  })
})

describe('bounds', () => {
  test('an attack of a hundred rules, targets and addresses stays one small record that its own schema takes', () => {
    const books = bookWith()
    for (let each = 0; each < 4000; each++) {
      books.alert({
        address: `10.${each % 3}.${each % 100}.${each % 10}`,
        rule: `rule ${each % 100}`,
        title: `${each % 100} ${'제목'.repeat(300)}`,
        host: `${each % 100}${'\u0000'.repeat(400)}`,
        path: '/x'.repeat(5000),
        severity: 1 + (each % 5),
      })
    }
    const campaign = books.all.find(({ kind }) => kind === 'campaign')!
    expect(campaign.rules).toHaveLength(RULES_MAX)
    expect(campaign.targets).toHaveLength(TARGETS_MAX)
    expect(campaign.timeline.length).toBeLessThanOrEqual(TIMELINE_MAX)
    expect(campaign.addresses).toHaveLength(ADDRESSES_MAX)
    expect(campaign.address_count).toBeGreaterThanOrEqual(294)
    expect(campaign.address_count).toBeLessThanOrEqual(306)
    for (const each of books.all) {
      expect(incidentSchema.safeParse(each).error).toBeUndefined()
      expect(Buffer.byteLength(JSON.stringify(each))).toBeLessThan(60_000)
    }
  })

  test('past the most open ones, everything more is counted in one', () => {
    const books = bookWith({ openMax: 10 })
    for (let each = 0; each < 500; each++)
      books.alert({ address: `10.0.${each >> 8}.${each & 255}`, technique: `T${each}` })
    expect(books.book.openCount).toBe(11)
    expect(books.all.find(({ key }) => key === '*')).toMatchObject({ count: 490, address_count: expect.any(Number) })
  })

  test('closed ones leave the topic after their time, or when there are too many', () => {
    const books = bookWith({ closedMax: 10 })
    for (let each = 0; each < 40; each++) books.alert({ address: `10.0.0.${each}`, technique: `T${each}` })
    books.pass(NOON + 11 * MINUTE)
    expect(books.all).toHaveLength(10)
    books.pass(NOON + 11 * MINUTE + grouping.closedKeepMs + 1)
    expect(books.all).toHaveLength(0)
  })

  test('counts different addresses within 2 % up to 20,000', () => {
    const books = bookWith()
    for (let each = 0; each < 20_000; each++) {
      books.book.alert(alertFacts(alertBody({ address: `10.${each >> 16}.${(each >> 8) & 255}.${each & 255}` }))!, NOON)
    }
    books.pass(NOON)
    const count = books.all.at(-1)!.address_count
    expect(Math.abs(count - 20_000) / 20_000).toBeLessThan(0.02)
  })
})

describe('an alert', () => {
  test('needs an id, a time and what found it', () => {
    expect(alertFacts({})).toBeUndefined()
    expect(alertFacts({ ...alertBody(), metadata: {} })).toBeUndefined()
    expect(alertFacts({ ...alertBody(), time: 'soon' })).toBeUndefined()
    expect(alertFacts(null)).toBeUndefined()
  })

  test('without an actor is about its address, else its resource, else its rule', () => {
    const { unmapped: _, ...body } = alertBody()
    expect(alertFacts(body)!.actor).toEqual({ type: 'address', value: '203.0.113.7' })
    const resources = [{ uid: 'arn:pod' }]
    expect(alertFacts({ ...body, evidences: [], resources })).toMatchObject({
      actor: { type: 'resource', value: 'arn:pod' },
      target: 'arn:pod',
    })
    expect(alertFacts({ ...body, evidences: [] })!.actor).toEqual({ type: 'rule', value: 'rule-T1110' })
  })

  test('is of the class its technique names, without the sub-technique, else of its rule', () => {
    const body = alertBody()
    const labels = { ...body, metadata: { ...body.metadata!, labels: ['attack.t1110.003'] } }
    expect(alertFacts({ ...labels, finding_info: { analytic: { uid: 'r1' } } })!.class).toBe('T1110')
    expect(
      alertFacts({ ...body, metadata: { ...body.metadata!, labels: [] }, finding_info: { title: 'x' } })!.class,
    ).toBe('x')
  })

  test('any JSON gives facts within their bounds, or none', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        const facts = alertFacts({ ...alertBody(), evidences: a, unmapped: b } as object)
        expect(facts === undefined || facts.actor.value.length <= 256).toBe(true)
      }),
    )
  })
})
