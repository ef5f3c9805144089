import { describe, expect, test } from 'vitest'
import { openSlack, slack } from '../../sinks/slack.ts'
import { NOON, recordOf } from '../support/alerts.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { incidentOf } from '../support/incidents.ts'
import { MemoryTopics } from '../support/memory-topics.ts'
import { Partition } from '../support/partition.ts'
import { ALERTS, CRITICAL, MINUTE, open, signal, startSlack } from '../support/slack-sink.ts'

describe('one message an incident', () => {
  test('is posted at once for high ones, edited in place, and its changes are told in the thread', async () => {
    const { tell, clock, fake } = await startSlack()
    await tell(incidentOf())
    await clock.advance(2_000)
    expect(fake.parents()).toMatchObject([
      { channel: ALERTS, edits: 0, metadata: { event_payload: { key: incidentOf().uid } } },
    ])
    await tell(
      incidentOf({
        version: 2,
        count: 900,
        severity_id: 5,
        timeline: [{ time: NOON + 1, what: 'severity', detail: 'worse' }],
      }),
    )
    await clock.advance(10_000)
    const [parent] = fake.parents()
    expect(parent).toMatchObject({ edits: 1 })
    expect(parent!.text).toContain('[Critical]')
    expect(fake.replies(parent!.ts).map(({ text }) => text)).toEqual(['*Severity rose* · worse · 12:00 KST'])
    expect(fake.problems).toEqual([])
  })

  test('waits 30 s for medium ones, and never posts low ones', async () => {
    const { tell, clock, fake } = await startSlack()
    await tell(incidentOf({ uid: 'm', severity_id: 3 }), incidentOf({ uid: 'l', severity_id: 2 }))
    await clock.advance(29_000)
    expect(fake.calls).toEqual([])
    await clock.advance(3_000)
    expect(fake.parents()).toHaveLength(1)
    await clock.advance(15 * MINUTE)
    expect(fake.parents()).toHaveLength(1)
  })

  test('goes to the critical channel by its severity, and stays where it is', async () => {
    const { tell, clock, fake } = await startSlack()
    await tell(incidentOf({ uid: 'c', severity_id: 5 }), incidentOf({ uid: 'h' }))
    await clock.advance(3_000)
    await tell(incidentOf({ uid: 'h', version: 2, severity_id: 5 }))
    await clock.advance(30_000)
    expect(fake.parents().map(({ channel, edits }) => ({ channel, edits }))).toEqual(
      expect.arrayContaining([
        { channel: CRITICAL, edits: 0 },
        { channel: ALERTS, edits: 1 },
      ]),
    )
  })

  test('is edited after 15 s in the first minute, then every minute, then every 5, and only with something new', async () => {
    const { tell, clock, fake } = await startSlack()
    for (let second = 0; second <= 20 * 60; second += 5) {
      await tell(incidentOf({ version: 1 + second, count: 100 + Math.min(second, 15 * 60) }))
      await clock.advance(5_000)
    }
    const edits = fake.calls
      .filter(({ method }) => method === 'chat.update')
      .map(({ atMs }) => Math.round((atMs - NOON) / MINUTE))
    expect(edits.length).toBeLessThanOrEqual(4 + 9 + 2)
    expect(edits.length).toBeGreaterThanOrEqual(10)
    expect(Math.max(...edits)).toBeLessThanOrEqual(20)
  })

  test('turns green when it is resolved, with a last word in the thread', async () => {
    const { tell, clock, fake } = await startSlack()
    await tell(incidentOf())
    await clock.advance(2_000)
    await tell(
      incidentOf({
        version: 2,
        state: 'closed',
        closed_time: NOON + 2_000,
        timeline: [{ time: NOON + 2_000, what: 'closed' }],
      }),
    )
    await clock.advance(5_000)
    expect(JSON.stringify(fake.parents()[0]!.attachments)).toContain('#027a48')
    const totals =
      'for 1 min · 100 alerts · 2 addresses · 2 addresses blocked (until 13:00 KST) · no false positive reported'
    expect(fake.replies()).toMatchObject([{ text: `*Resolved* · ${totals} · 12:00 KST` }])
  })

  test('mentions who is on call when nobody acknowledges a critical one for 5 and 15 minutes', async () => {
    const { tell, clock, fake } = await startSlack()
    await tell(incidentOf({ severity_id: 5 }))
    await clock.advance(16 * MINUTE)
    expect(fake.replies().map(({ text }) => text)).toEqual([
      '<!subteam^S0000000001> *A critical incident is not acknowledged for 5 min*',
      '<!subteam^S0000000002> *A critical incident is not acknowledged for 15 min*',
    ])
    expect(fake.problems).toEqual([])
  })

  test('calls them however much was said before, and counts from when it became critical', async () => {
    const { tell, clock, fake } = await startSlack()
    await tell(incidentOf())
    await clock.advance(2_000)
    for (let each = 0; each < 20; each++) {
      const timeline = [{ time: NOON + each, what: 'hold_released' as const, detail: `192.0.2.${each}`, who: 'kim' }]
      await tell(incidentOf({ version: 2 + each, timeline }))
      await clock.advance(MINUTE)
    }
    await tell(incidentOf({ version: 90, severity_id: 5, critical_time: clock.now() }))
    await clock.advance(4 * MINUTE)
    expect(fake.replies().filter(({ text }) => text.includes('subteam'))).toEqual([])
    await clock.advance(2 * MINUTE)
    expect(fake.replies().at(-1)!.text).toContain('<!subteam^S0000000001>')
    await tell(
      incidentOf({ version: 91, severity_id: 5, critical_time: clock.now(), acknowledged: { by: 'kim', time: 1 } }),
    )
    await clock.advance(20 * MINUTE)
    expect(fake.replies().filter(({ text }) => text.includes('subteam'))).toHaveLength(1)
  })

  test('says nothing of what was snoozed, until it is over, or it becomes critical', async () => {
    const { tell, clock, fake } = await startSlack()
    const snoozed = { by: 'kim (U0000000001)', time: NOON, until: NOON + 60 * MINUTE }
    await tell(incidentOf())
    await clock.advance(2_000)
    await tell(incidentOf({ version: 2, snoozed }), incidentOf({ uid: 'next', snoozed }))
    await clock.advance(MINUTE)
    expect(fake.parents()).toMatchObject([{ edits: 1 }])
    expect(JSON.stringify(fake.parents()[0]!.attachments)).toContain('snoozed until 13:00 KST: kim')
    const timeline = [{ time: NOON + 1, what: 'target' as const, detail: 'www' }]
    await tell(incidentOf({ version: 3, count: 9_000, snoozed, timeline }))
    await clock.advance(30 * MINUTE)
    expect(fake.parents()).toMatchObject([{ edits: 1 }])
    expect(fake.replies()).toEqual([])
    await tell(incidentOf({ version: 4, count: 9_000, severity_id: 5, snoozed, timeline }))
    await clock.advance(MINUTE)
    expect(fake.parents()[0]!.text).toContain('[Critical]')
    expect(fake.replies()).toHaveLength(1)
  })

  test('tells the first block with where it comes from and until when, and no further one', async () => {
    const { tell, clock, fake } = await startSlack()
    const given = { kind: 'actor' as const, holds: { active: 1, total: 1, until: NOON + 60 * MINUTE } }
    await tell(incidentOf(given))
    await clock.advance(2_000)
    const blocks = ['203.0.113.7: Credential stuffing', '203.0.113.8: Credential stuffing'].map((detail, at) => {
      return { time: NOON + at, what: 'hold_created' as const, detail, who: 'haetae' }
    })
    await tell(incidentOf({ ...given, version: 2, timeline: blocks }))
    await clock.advance(MINUTE)
    expect(fake.replies().map(({ text }) => text)).toEqual([
      '*First block* · 203.0.113.7: Credential stuffing · 🇨🇳 CN · AS4134 Chinanet · until 13:00 KST · 12:00 KST',
    ])
  })

  test('waits to say how long an unblock took, but not for ever', async () => {
    const { tell, clock, fake } = await startSlack()
    await tell(incidentOf())
    await clock.advance(2_000)
    const released = { time: NOON + 2_000, what: 'hold_released' as const, who: 'kim (U0000000001)', asked_time: NOON }
    const first = { ...released, detail: '192.0.2.1: customer' }
    const second = { ...released, detail: '192.0.2.2: customer' }
    await tell(incidentOf({ version: 2, timeline: [first, second] }))
    await clock.advance(4_000)
    expect(fake.replies()).toEqual([])
    await tell(incidentOf({ version: 3, timeline: [{ ...first, took_ms: 1_801 }, second] }))
    await clock.advance(3_000)
    expect(fake.replies()).toMatchObject([{ text: '*Unblocked* · 192.0.2.1: customer · kim · in 1.9 s · 12:00 KST' }])
    await clock.advance(MINUTE)
    expect(fake.replies()[1]).toMatchObject({ text: '*Unblocked* · 192.0.2.2: customer · kim · 12:00 KST' })
  })

  test('calls nobody for what is made up', async () => {
    const { tell, clock, fake } = await startSlack()
    await tell(incidentOf({ severity_id: 5, sample: true }))
    await clock.advance(16 * MINUTE)
    expect(fake.replies()).toEqual([])
  })

  test('has at most 12 replies, then one that says so', async () => {
    const { tell, clock, fake } = await startSlack()
    await tell(incidentOf())
    await clock.advance(2_000)
    for (let each = 0; each < 20; each++) {
      const timeline = [{ time: NOON + each, what: 'hold_released' as const, detail: `192.0.2.${each}`, who: 'kim' }]
      await tell(incidentOf({ version: 2 + each, timeline }))
      await clock.advance(MINUTE)
    }
    expect(fake.replies()).toHaveLength(13)
    expect(fake.replies().at(-1)!.text).toContain('up to date')
  })

  test('is not posted for what was over before the first start', async () => {
    const { tell, clock, fake } = await startSlack()
    await tell(incidentOf({ updated_time: NOON - 61 * MINUTE }))
    await clock.advance(MINUTE)
    expect(fake.calls).toEqual([])
  })

  test('is refused for records that are no incidents', async () => {
    const clock = new FakeClock(NOON)
    const topics = new MemoryTopics()
    const given = slack.config.parse({ token: { env: 'TEST_SLACK_TOKEN' }, channels: { alerts: ALERTS } })
    const sink = await openSlack(given, testDeps({ clock, topics: () => Promise.resolve(topics) }))
    open.push(sink)
    const verdict = await sink.write([recordOf({ uid: 7 }, 'incident')], signal)
    expect(verdict).toEqual({ retry: [], reject: [{ index: 0, reason: 'not_incident: no incident of this version' }] })
  })
})

describe('many incidents', () => {
  test('more than 20 in 5 minutes are one message, which says when it is over', async () => {
    const { tell, clock, fake } = await startSlack()
    const many = Array.from({ length: 40 }, (_, each) => incidentOf({ uid: `i${each}`, number: each, count: each }))
    await tell(...many)
    await clock.advance(MINUTE)
    expect(fake.parents().length).toBeLessThanOrEqual(6)
    expect(fake.parents()[0]!.text).toContain('Alert storm · 40 incidents')
    expect(JSON.stringify(fake.parents()[0]!.attachments)).toContain('INC-39')
    await clock.advance(20 * MINUTE)
    expect(fake.parents()[0]!.text).toContain('Alert storm over')
    await tell(incidentOf({ uid: 'later', opened_time: clock.now(), updated_time: clock.now() }))
    await clock.advance(5_000)
    expect(fake.parents().at(-1)!.metadata).toMatchObject({ event_payload: { key: 'later' } })
  })

  test('a storm does not swallow critical ones, though they share its channel', async () => {
    const { tell, clock, fake } = await startSlack({ channels: { alerts: ALERTS } })
    await tell(...Array.from({ length: 40 }, (_, each) => incidentOf({ uid: `i${each}`, number: each })))
    await clock.advance(MINUTE)
    const now = { opened_time: clock.now(), updated_time: clock.now(), critical_time: clock.now() }
    await tell(incidentOf({ uid: 'c', severity_id: 5, ...now }))
    await clock.advance(5_000)
    expect(fake.parents().at(-1)!.text).toContain('[Critical]')
  })

  test('medium ones of the night are one message in the morning, high ones are posted at once', async () => {
    const night = Date.UTC(2026, 10, 23, 22, 50) // 07:50 in Seoul
    const { tell, clock, fake, again } = await startSlack({}, night)
    const at = { opened_time: night, updated_time: night }
    await tell(
      incidentOf({ uid: 'a', severity_id: 3, ...at }),
      incidentOf({ uid: 'b', severity_id: 3, ...at }),
      incidentOf({ uid: 'c', severity_id: 4, ...at }),
    )
    await clock.advance(9 * MINUTE)
    expect(fake.parents()).toHaveLength(1)
    await clock.advance(2 * MINUTE)
    expect(fake.parents()).toHaveLength(2)
    expect(fake.parents()[1]!.text).toContain('Overnight · 2 medium incidents')
    await again()
    await clock.advance(5 * MINUTE)
    expect(fake.parents()).toHaveLength(2)
  })
})

describe('over restarts', () => {
  test('goes on editing the same message', async () => {
    const { tell, clock, fake, again } = await startSlack()
    await tell(incidentOf())
    await clock.advance(2_000)
    await again()
    await tell(incidentOf({ version: 2, count: 5_000 }))
    await clock.advance(MINUTE)
    expect(fake.parents()).toHaveLength(1)
    expect(JSON.stringify(fake.parents()[0]!.attachments)).toContain('5,000')
  })

  test('posts what it had no time for', async () => {
    const { tell, clock, fake, again } = await startSlack()
    fake.fate = () => 'lost'
    await tell(incidentOf())
    await clock.advance(1_000)
    fake.fate = () => 'done'
    await again()
    await clock.advance(MINUTE)
    expect(fake.parents()).toHaveLength(1)
  })

  test('what is kept and cannot be read stops it: nothing is posted twice', async () => {
    const { tell, topics, fake, again } = await startSlack()
    await topics.append('notified', [{ key: 'x', value: Buffer.from('{'), timeMs: NOON }])
    await again().catch(() => undefined)
    expect(await tell(incidentOf())).toMatchObject({ retry: [0] })
    expect(fake.calls).toEqual([])
  })
})

test('who lost the partition says nothing more, however often a delivery is tried again, until he is given it anew', async () => {
  const partition = new Partition('incidents/0')
  const { tell, clock, fake, topics } = await startSlack({}, NOON, { positions: partition.positions })
  partition.assign()
  await tell(incidentOf())
  await clock.advance(2_000)
  partition.revoke()
  expect(await tell(incidentOf({ uid: 'late' }))).toEqual({ retry: [], reject: [] })
  await clock.advance(MINUTE)
  expect(fake.parents()).toHaveLength(1)
  expect(topics.values('notified')).toHaveLength(1)
  partition.assign()
  await clock.advance(2_000)
  expect(fake.parents()).toHaveLength(2)
})
