import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Deps, Sink } from '../../engine/contract.ts'
import type { Incident } from '../../platform/incident.ts'
import { createLog } from '../../platform/log.ts'
import { openSlack, slack } from '../../sinks/slack.ts'
import { NOON, recordOf } from '../support/alerts.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { incidentOf } from '../support/incidents.ts'
import { MemoryTopics } from '../support/memory-topics.ts'
import { FakeSlack } from '../support/slack-server.ts'

const signal = new AbortController().signal
const MINUTE = 60_000
const ALERTS = 'C0000000001'
const CRITICAL = 'C0000000002'

beforeAll(() => {
  process.env['TEST_SLACK_TOKEN'] = 'xoxb-test'
})

const open: Sink[] = []
afterEach(async () => {
  for (const sink of open.splice(0)) await sink.close()
})

/** A sink, the topics it keeps, and the Slack it writes to, in simulated time. `again` is the next process. */
async function start(config: object = {}, nowMs = NOON) {
  const clock = new FakeClock(nowMs)
  const topics = new MemoryTopics()
  const fake = new FakeSlack(() => clock.now())
  const paused: (string | undefined)[] = []
  const lines: string[] = []
  const given = slack.config.parse({
    token: { env: 'TEST_SLACK_TOKEN' },
    channels: { alerts: ALERTS, critical: CRITICAL },
    language: 'en',
    onCall: ['S0000000001', 'S0000000002'],
    ...config,
  })
  const deps: Partial<Deps> = {
    clock,
    topics: () => Promise.resolve(topics),
    paused: (_, reason) => void paused.push(reason),
    log: createLog('info', { write: line => void lines.push(line) }),
  }
  const process = async (): Promise<Sink> => {
    const sink = await openSlack(given, testDeps(deps), fake.fetch)
    open.push(sink)
    return sink
  }
  let sink = await process()
  return {
    clock,
    topics,
    fake,
    paused,
    lines,
    async tell(...incidents: Incident[]) {
      // As the sink incidents does it: on the compacted topic, from where a consumer is told.
      for (const each of incidents) {
        await topics.append('incidents', [
          { key: each.uid, value: Buffer.from(JSON.stringify(each)), timeMs: each.time },
        ])
      }
      return sink.write(
        incidents.map(each => recordOf(each, 'incident')),
        signal,
      )
    },
    /** The process dies, whatever it is doing; another one reads what was kept. */
    async again() {
      await sink.close()
      sink = await process()
      await sink.write([], signal)
    },
  }
}

describe('one message an incident', () => {
  test('is posted at once for high ones, edited in place, and its changes are told in the thread', async () => {
    const { tell, clock, fake } = await start()
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
    const { tell, clock, fake } = await start()
    await tell(incidentOf({ uid: 'm', severity_id: 3 }), incidentOf({ uid: 'l', severity_id: 2 }))
    await clock.advance(29_000)
    expect(fake.calls).toEqual([])
    await clock.advance(3_000)
    expect(fake.parents()).toHaveLength(1)
    await clock.advance(15 * MINUTE)
    expect(fake.parents()).toHaveLength(1)
  })

  test('goes to the critical channel by its severity, and stays where it is', async () => {
    const { tell, clock, fake } = await start()
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
    const { tell, clock, fake } = await start()
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
    const { tell, clock, fake } = await start()
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
    expect(fake.replies()).toMatchObject([{ text: '*Resolved* · 12:00 KST' }])
  })

  test('mentions who is on call when nobody acknowledges a critical one for 5 and 15 minutes', async () => {
    const { tell, clock, fake } = await start()
    await tell(incidentOf({ severity_id: 5 }))
    await clock.advance(16 * MINUTE)
    expect(fake.replies().map(({ text }) => text)).toEqual([
      '<!subteam^S0000000001> *A critical incident is not acknowledged for 5 min*',
      '<!subteam^S0000000002> *A critical incident is not acknowledged for 15 min*',
    ])
    expect(fake.problems).toEqual([])
  })

  test('has at most 12 replies, then one that says so', async () => {
    const { tell, clock, fake } = await start()
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
    const { tell, clock, fake } = await start()
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
    const { tell, clock, fake } = await start()
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

  test('medium ones of the night are one message in the morning, high ones are posted at once', async () => {
    const night = Date.UTC(2026, 10, 23, 22, 50) // 07:50 in Seoul
    const { tell, clock, fake, again } = await start({}, night)
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
    const { tell, clock, fake, again } = await start()
    await tell(incidentOf())
    await clock.advance(2_000)
    await again()
    await tell(incidentOf({ version: 2, count: 5_000 }))
    await clock.advance(MINUTE)
    expect(fake.parents()).toHaveLength(1)
    expect(JSON.stringify(fake.parents()[0]!.attachments)).toContain('5,000')
  })

  test('posts what it had no time for', async () => {
    const { tell, clock, fake, again } = await start()
    fake.fate = () => 'lost'
    await tell(incidentOf())
    await clock.advance(1_000)
    fake.fate = () => 'done'
    await again()
    await clock.advance(MINUTE)
    expect(fake.parents()).toHaveLength(1)
  })

  test('what is kept and cannot be read stops it: nothing is posted twice', async () => {
    const { tell, topics, fake, again } = await start()
    await topics.append('notified', [{ key: 'x', value: Buffer.from('{'), timeMs: NOON }])
    await again().catch(() => undefined)
    expect(await tell(incidentOf())).toMatchObject({ retry: [0] })
    expect(fake.calls).toEqual([])
  })
})

describe('when Slack does not do as it should', () => {
  test.each(['unanswered', 'fails'] as const)(
    'a message whose answer is lost (%s) is found, not posted again',
    async fate => {
      const { tell, clock, fake, again } = await start()
      let first = true
      fake.fate = method => {
        if (method !== 'chat.postMessage' || !first) return 'done'
        first = false
        return fate
      }
      await tell(incidentOf())
      await clock.advance(2_000)
      await again()
      await clock.advance(MINUTE)
      expect(fake.calls.map(({ method }) => method)).toContain('conversations.history')
      expect(fake.parents()).toHaveLength(1)
      await tell(incidentOf({ version: 2, count: 9_000 }))
      await clock.advance(MINUTE)
      expect(JSON.stringify(fake.parents()[0]!.attachments)).toContain('9,000')
    },
  )

  test('a reply whose answer is lost is not said twice', async () => {
    const { tell, clock, fake } = await start()
    await tell(incidentOf())
    await clock.advance(2_000)
    let lost = 0
    fake.fate = (method, params) =>
      method === 'chat.postMessage' && params['thread_ts'] && lost++ === 0 ? 'unanswered' : 'done'
    await tell(incidentOf({ version: 2, timeline: [{ time: NOON + 1, what: 'waf_failed', detail: 'lock' }] }))
    await clock.advance(2 * MINUTE)
    expect(lost).toBe(1)
    expect(fake.replies()).toHaveLength(1)
  })

  test('for any order of lost answers and deaths there is one message an incident', async () => {
    for (let seed = 0; seed < 25; seed++) {
      const { tell, clock, fake, again } = await start()
      let call = 0
      fake.fate = () =>
        (['done', 'unanswered', 'lost', 'fails'] as const)[call++ < 8 ? (seed * 7 + call * call * 13) % 4 : 0]!
      await tell(incidentOf({ uid: 'a' }), incidentOf({ uid: 'b' }))
      for (let life = 0; life < 3; life++) {
        await clock.advance(((seed * 31 + life * 17) % 40) * 500)
        await again()
      }
      await clock.advance(5 * MINUTE)
      const keys = fake
        .parents()
        .map(({ metadata }) => (metadata as { event_payload: { key: string } }).event_payload.key)
      expect(keys.sort(), `seed ${seed}`).toEqual(['a', 'b'])
    }
  })

  test('429 is waited for as long as it says, and the newest state is what is sent then', async () => {
    const { tell, clock, fake } = await start()
    fake.fate = () => ({ retryAfter: 40 })
    await tell(incidentOf())
    await clock.advance(1_000)
    fake.fate = () => 'done'
    await tell(incidentOf({ version: 2, count: 777 }))
    await clock.advance(35_000)
    expect(fake.calls).toHaveLength(1)
    await clock.advance(10_000)
    expect(fake.parents()).toHaveLength(1)
    expect(JSON.stringify(fake.parents()[0]!.attachments)).toContain('777')
  })

  test('a revoked token pauses it, says so once, and it goes on when Slack takes it again', async () => {
    const { tell, clock, fake, paused, lines } = await start()
    fake.fate = () => ({ error: 'token_revoked' })
    await tell(incidentOf())
    await clock.advance(5 * MINUTE)
    expect(new Set(paused)).toEqual(new Set([`Slack refuses ${ALERTS}: token_revoked; see docs/slack.md`]))
    expect(fake.calls.length).toBeLessThanOrEqual(6)
    expect(lines.filter(line => line.includes('refuses us'))).toHaveLength(1)
    fake.fate = () => 'done'
    await clock.advance(2 * MINUTE)
    expect(paused.at(-1)).toBeUndefined()
    expect(fake.parents()).toHaveLength(1)
  })

  test('one channel that refuses does not hold back the other', async () => {
    const { tell, clock, fake } = await start()
    fake.fate = (_, { channel }) => (channel === CRITICAL ? { error: 'not_in_channel' } : 'done')
    await tell(incidentOf({ uid: 'c', severity_id: 5 }), incidentOf({ uid: 'h' }))
    await clock.advance(5_000)
    expect(fake.parents()).toMatchObject([{ channel: ALERTS }])
  })

  test('blocks that it refuses are sent as text alone', async () => {
    const { tell, clock, fake } = await start()
    fake.fate = (_, { attachments }) =>
      String(JSON.stringify(attachments)).length > 10 ? { error: 'invalid_blocks' } : 'done'
    await tell(incidentOf())
    await clock.advance(5_000)
    expect(fake.parents()).toMatchObject([{ attachments: [], text: expect.stringContaining('[High]') }])
  })

  test('a message that somebody deleted is left alone', async () => {
    const { tell, clock, fake } = await start()
    await tell(incidentOf())
    await clock.advance(2_000)
    fake.posted.length = 0
    for (let each = 0; each < 5; each++) {
      await tell(incidentOf({ version: 2 + each, count: 200 + each }))
      await clock.advance(MINUTE)
    }
    expect(fake.calls.filter(({ method }) => method === 'chat.update')).toHaveLength(1)
    expect(fake.parents()).toEqual([])
  })

  test('over real HTTP, an answer that does not come in time is as good as none', async () => {
    const fake = new FakeSlack()
    const apiUrl = await fake.listen()
    const clock = new FakeClock(Date.now())
    const topics = new MemoryTopics()
    let lost = true
    fake.fate = () => (lost ? 'unanswered' : 'done')
    const given = slack.config.parse({
      token: { env: 'TEST_SLACK_TOKEN' },
      channels: { alerts: ALERTS },
      apiUrl,
      timeoutMs: 300,
    })
    const sink = await openSlack(given, testDeps({ clock, topics: () => Promise.resolve(topics) }))
    await sink.write(
      [recordOf(incidentOf({ opened_time: clock.now(), updated_time: clock.now() }), 'incident')],
      signal,
    )
    const until = async (done: () => boolean) => {
      while (!done()) {
        await clock.advance(500)
        await new Promise(resolve => setTimeout(resolve, 20))
      }
    }
    await until(() => fake.posted.length === 1)
    lost = false
    await until(() => topics.values('notified').some(each => (each as { state?: string }).state === 'posted'))
    expect(fake.parents()).toHaveLength(1)
    await sink.close()
    await fake.close()
  })
})
