import { describe, expect, test } from 'vitest'
import { openSlack, slack } from '../../../sinks/slack.ts'
import { NOON, recordOf } from '../../support/alerts.ts'
import { FakeClock } from '../../support/clock.ts'
import { testDeps } from '../../support/deps.ts'
import { incidentOf } from '../../support/incidents.ts'
import { MemoryTopics } from '../../support/memory-topics.ts'
import { FakeSlack } from '../../support/slack-server.ts'
import { ALERTS, CRITICAL, MINUTE, signal, startSlack } from '../../support/slack-sink.ts'

describe('when Slack does not do as it should', () => {
  test.each(['unanswered', 'fails'] as const)(
    'a message whose answer is lost (%s) is found, not posted again',
    async fate => {
      const { tell, clock, fake, again } = await startSlack()
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
    const { tell, clock, fake } = await startSlack()
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
      const { tell, clock, fake, again } = await startSlack()
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
    const { tell, clock, fake } = await startSlack()
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
    const { tell, clock, fake, paused, lines } = await startSlack()
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

  test('a critical incident that nobody saw is posted when Slack is back, however quiet it is by then', async () => {
    const { tell, clock, fake, again } = await startSlack()
    fake.fate = () => 'lost'
    const high = incidentOf({ uid: 'high' })
    await tell(incidentOf({ uid: 'critical', severity_id: 5, critical_time: NOON }), high)
    await clock.advance(70 * MINUTE)
    fake.fate = () => 'done'
    await again()
    await clock.advance(2 * MINUTE)
    expect(fake.parents().map(({ metadata }) => metadata)).toMatchObject([{ event_payload: { key: 'critical' } }])
    expect(fake.replies().some(({ text }) => text.includes('not acknowledged'))).toBe(true)
  })

  test('one channel that refuses does not hold back the other', async () => {
    const { tell, clock, fake } = await startSlack()
    fake.fate = (_, { channel }) => (channel === CRITICAL ? { error: 'not_in_channel' } : 'done')
    await tell(incidentOf({ uid: 'c', severity_id: 5 }), incidentOf({ uid: 'h' }))
    await clock.advance(5_000)
    expect(fake.parents()).toMatchObject([{ channel: ALERTS }])
  })

  test('blocks that it refuses are sent as text alone', async () => {
    const { tell, clock, fake } = await startSlack()
    fake.fate = (_, { attachments }) =>
      String(JSON.stringify(attachments)).length > 10 ? { error: 'invalid_blocks' } : 'done'
    await tell(incidentOf())
    await clock.advance(5_000)
    expect(fake.parents()).toMatchObject([{ attachments: [], text: expect.stringContaining('[High]') }])
  })

  test('a message that somebody deleted is left alone', async () => {
    const { tell, clock, fake } = await startSlack()
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
        // Little at a time: on a slow machine an hour would pass before a call comes back, and what is old is not posted.
        await clock.advance(100)
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
