import { describe, expect, test } from 'vitest'
import { incidentSchema } from '../../../platform/incident.ts'
import { incidents } from '../../../response/incidents.ts'
import { openSlack, slack } from '../../../sinks/slack.ts'
import { alertBody, NOON, recordOf, uidOf } from '../../support/alerts.ts'
import { FakeClock } from '../../support/clock.ts'
import { testDeps } from '../../support/deps.ts'
import { MemoryTopics } from '../../support/memory-topics.ts'
import { Random } from '../../support/random.ts'
import { FakeSlack } from '../../support/slack-server.ts'

const signal = new AbortController().signal
const ALERTS = 100_000
const MINUTES = 10
const SLICE_MS = 2_000

/** Everything that can be written by an attacker tries to be acted on. */
const HOSTILE = '<!channel> <@U123456> <http://x|bank> *a* ``` \u202e <!here>'

interface Shape {
  readonly name: string
  /** Of the alert's number, the actor's number. */
  readonly technique: (alert: number, actor: number) => string
}

const shapes: readonly Shape[] = [
  { name: 'one technique', technique: () => 'T1110' },
  { name: 'twelve techniques', technique: alert => `T${1100 + (alert % 12)}` },
  { name: 'each address something else', technique: (_, actor) => `T${1000 + actor}` },
]

describe('100,000 alerts from 3,000 addresses in 10 minutes', () => {
  test.each(shapes)('$name: at most 40 calls, none refused, the first within 5 s, the count exact', async ({ technique }) => {
    process.env['TEST_SLACK_TOKEN'] = 'xoxb-test'
    const clock = new FakeClock(NOON)
    const topics = new MemoryTopics()
    const deps = testDeps({ clock, topics: () => Promise.resolve(topics) })
    const fake = new FakeSlack(() => clock.now())
    const grouping = await incidents.open(incidents.config.parse({}), deps)
    const notify = await openSlack(
      slack.config.parse({ token: { env: 'TEST_SLACK_TOKEN' }, channels: { alerts: 'C0000000001' } }),
      deps,
      fake.fetch,
    )
    const random = new Random(7)
    const heapMb: number[] = []
    let told = 0
    const tell = async (): Promise<void> => {
      const news = topics.appended.slice(told).filter(({ topic }) => topic === 'incidents')
      const records = news.flatMap(({ records: each }) => each.map(({ value }) => recordOf(JSON.parse(String(value)) as object, 'incident')))
      if (records.length > 0) expect(await notify.write(records, signal)).toMatchObject({ retry: [], reject: [] })
      topics.appended.length = 0
      told = 0
    }
    const slices = (MINUTES * 60_000) / SLICE_MS
    for (let slice = 0, sent = 0; slice < slices; slice++) {
      const until = Math.round((ALERTS * (slice + 1)) / slices)
      while (sent < until) {
        const batch = []
        for (; sent < until && batch.length < 500; sent++) {
          const actor = random.int(0, 2_999)
          const address = `10.${actor >> 8}.${actor & 255}.1`
          const body = alertBody({
            uid: uidOf(`flood ${sent}`),
            timeMs: clock.now(),
            address,
            technique: technique(sent, actor),
            host: HOSTILE,
            path: `/${HOSTILE}`,
            userAgent: HOSTILE,
          })
          batch.push(recordOf(body, 'alert'))
        }
        expect(await grouping.write(batch, signal)).toMatchObject({ retry: [], reject: [] })
      }
      await tell()
      await clock.advance(SLICE_MS)
      if (slice % 60 === 0) heapMb.push(process.memoryUsage().heapUsed / 1024 ** 2)
    }
    const during = fake.calls.length
    for (let minute = 0; minute < 30; minute++) {
      await clock.advance(60_000)
      await tell()
    }
    const all = topics.values('incidents').map(each => incidentSchema.parse(each))
    const counted = all.filter(({ merged_into }) => merged_into === undefined).reduce((sum, { count }) => sum + count, 0)
    console.info(JSON.stringify({ during, calls: fake.calls.length, parents: fake.parents().length, replies: fake.replies().length, incidents: all.length, heapMb: heapMb.map(Math.round), texts: fake.parents().map(p => p.text) }, null, 1))
    expect(counted).toBe(ALERTS)
    expect(fake.problems).toEqual([])
    expect(fake.limited()).toBe(0)
    expect(fake.calls[0]!.atMs - NOON).toBeLessThanOrEqual(5_000)
    expect(during).toBeLessThanOrEqual(40)
    expect(fake.calls.length).toBeLessThanOrEqual(40)
    expect(fake.parents().some(({ text }) => text.includes('100,000'))).toBe(technique(0, 0) === 'T1110')
    await notify.close()
    await grouping.close()
  })
})
