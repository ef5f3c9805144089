import { describe, expect, test } from 'vitest'
import { auditFacts } from '../../../response/incidents/audit.ts'
import { auditBody, NOON } from '../../support/alerts.ts'
import { bookWith } from '../../support/incident-book.ts'

const MINUTE = 60_000

describe('what people and the ledger say', () => {
  test('holds are summed up by address, also those of a campaign, and after it is closed', () => {
    const books = bookWith()
    for (let actor = 1; actor <= 6; actor++) books.alert({ address: `192.0.2.${actor}` })
    for (let actor = 1; actor <= 6; actor++) {
      const target = { type: 'address', value: `192.0.2.${actor}` }
      books.audit('hold_created', { hold: `h${actor}`, target, until_ms: NOON + actor })
    }
    const campaign = () => books.all.at(-1)!
    expect(campaign().holds).toMatchObject({ active: 6, waiting: 6, total: 6, until: NOON + 6 })
    books.pass(NOON + 20 * MINUTE)
    books.audit('hold_expired', { hold: 'h1', target: { type: 'address', value: '192.0.2.1' } })
    books.audit('hold_released', { hold: 'h2', target: '192.0.2.2', who: 'kim' })
    expect(campaign()).toMatchObject({ state: 'closed', holds: { active: 4, total: 6 } })
    expect(campaign().timeline.at(-1)).toMatchObject({ what: 'hold_released', detail: '192.0.2.2', who: 'kim' })
  })

  test('a hold on the /64 of an IPv6 client belongs to his incident', () => {
    const books = bookWith()
    books.alert({ address: '2001:db8:1:2::9' })
    expect(books.audit('hold_created', { hold: 'h', target: '2001:db8:1:2::/64' })).toBe(true)
    expect(books.all).toMatchObject([{ holds: { active: 1 }, timeline: [{}, { what: 'hold_created' }] }])
  })

  test('a hold that ends after the attack, and after a restart, is told to the incident that was closed before', () => {
    const before = bookWith()
    before.alert({})
    before.audit('hold_created', { hold: 'h', target: '203.0.113.7' })
    before.pass(NOON + 20 * MINUTE)
    const after = bookWith({}, before)
    expect(after.audit('hold_expired', { hold: 'h', target: '203.0.113.7' })).toBe(true)
    expect(after.all).toMatchObject([{ state: 'closed', holds: { active: 0, total: 1 } }])
  })

  test('the first acknowledgement stands; one about a merged incident is one about its campaign', () => {
    const books = bookWith()
    for (let actor = 1; actor <= 5; actor++) books.alert({ address: `192.0.2.${actor}` })
    const incidentUid = books.all[0]!.uid
    expect(books.audit('incident_acknowledged', { incident_uid: incidentUid, who: 'kim' })).toBe(true)
    books.audit('incident_acknowledged', { incident_uid: incidentUid, who: 'lee' })
    books.audit('incident_false_positive', { incident_uid: incidentUid, who: 'lee' })
    const campaign = books.all.at(-1)!
    expect(campaign.acknowledged).toEqual({ by: 'kim', time: NOON })
    expect(campaign.false_positive).toEqual({ by: 'lee', time: NOON })
  })

  test('how long it took until an address that a person released was out of the IP set is known', () => {
    const books = bookWith()
    books.alert({})
    books.audit('hold_created', { hold: 'h', target: '203.0.113.7' })
    const given = { hold: 'h', target: '203.0.113.7', who: 'kim (U01)', reason: 'customer', latency_ms: 300 }
    books.audit('hold_released', given)
    expect(books.audit('waf_removed', { target: '203.0.113.7', time: NOON + 1_500 })).toBe(true)
    expect(books.all[0]!.timeline.at(-1)).toMatchObject({
      what: 'hold_released',
      asked_time: NOON - 300,
      took_ms: 1_800,
    })
    expect(books.audit('waf_removed', { target: '203.0.113.7', time: NOON + 9_000 })).toBe(false)
  })

  test('is silent for an hour when somebody asks for it, its successor too, but never when it is critical', () => {
    const books = bookWith()
    books.alert({})
    books.audit('incident_snoozed', { incident_uid: books.all[0]!.uid, who: 'kim', until_ms: NOON + 900 * MINUTE })
    const snoozed = { by: 'kim', time: NOON, until: NOON + 60 * MINUTE }
    expect(books.all).toMatchObject([{ snoozed }])
    books.pass(NOON + 11 * MINUTE)
    books.alert({ timeMs: NOON + 12 * MINUTE })
    expect(books.all[1]).toMatchObject({ successor_of: books.all[0]!.uid, snoozed })
    books.alert({ severity: 5, address: '192.0.2.1', technique: 'T1595' })
    books.audit('incident_snoozed', { incident_uid: books.all[2]!.uid })
    expect(books.all[2]!.snoozed).toBeUndefined()
  })

  test('remembers whether it was of help, the first word of it', () => {
    const books = bookWith()
    books.alert({})
    const about = { incident_uid: books.all[0]!.uid, who: 'kim' }
    books.audit('incident_helpful', about)
    books.audit('incident_not_helpful', about)
    expect(books.all).toMatchObject([{ helpful: { by: 'kim', yes: true } }])
  })

  test('a failure of the IP sets is told where a block waits for them, and how long WAF took where it does not', () => {
    const books = bookWith()
    books.alert({})
    books.alert({ address: '192.0.2.1', technique: 'T1595' })
    books.audit('hold_created', { hold: 'h', target: '203.0.113.7' })
    books.audit('hold_created', { hold: 'i', target: '192.0.2.1' })
    books.audit('waf_written', { hold: 'i', target: '192.0.2.1', latency_ms: 2_100 })
    books.audit('waf_written', { hold: 'i', target: '192.0.2.1', latency_ms: 90_000 })
    expect(books.audit('waf_failed', { reason: 'full' })).toBe(true)
    expect(books.all[0]!.timeline.at(-1)).toMatchObject({ what: 'waf_failed', detail: 'full' })
    expect(books.all[1]!.holds).toMatchObject({ active: 1, total: 1, slowest_ms: 2_100 })
    expect(books.all[1]!.timeline.map(({ what }) => what)).toEqual(['opened', 'hold_created'])
  })

  test('what is about no incident changes nothing', () => {
    const books = bookWith()
    books.alert({})
    expect(books.audit('hold_created', { target: '198.51.100.1' })).toBe(false)
    expect(books.audit('incident_acknowledged', { incident_uid: 'unknown' })).toBe(false)
    expect(auditFacts(auditBody('budget_tripped'))).toBeUndefined()
    expect(books.audit('waf_written', { target: '203.0.113.7' })).toBe(false)
    expect(auditFacts({ what: 'hold_created' })).toBeUndefined()
  })
})
