import { describe, expect, test } from 'vitest'
import { RecordEvent } from '../../../engine/event.ts'
import { type Incident, incidentSchema } from '../../../platform/incident.ts'
import type { OcsfEvent } from '../../../platform/ocsf/event.ts'
import { incidents } from '../../../response/incidents.ts'
import { openSlack, slack } from '../../../sinks/slack.ts'
import { alertBody, NOON, recordOf, uidOf } from '../../support/alerts.ts'
import { FakeClock } from '../../support/clock.ts'
import { testDeps } from '../../support/deps.ts'
import { MemoryTopics } from '../../support/memory-topics.ts'
import { Random } from '../../support/random.ts'
import { FakeSlack } from '../../support/slack-server.ts'

const signal = new AbortController().signal
const MINUTES = 10
const SLICE_MS = 2_000
const EMPTY = Buffer.alloc(0)

/** Everything that can be written by an attacker tries to be acted on. */
const HOSTILE = '<!channel> <@U123456> <http://x|bank> *a* ``` \u202e <!here>'

interface Shape {
  readonly name: string
  readonly alerts: number
  /** Of the alert's number, the actor's number. */
  readonly technique: (alert: number, actor: number) => string
}

const shapes: readonly Shape[] = [
  { name: 'one technique', alerts: 100_000, technique: () => 'T1110' },
  { name: 'twelve techniques', alerts: 20_000, technique: alert => `T${1100 + (alert % 12)}` },
  { name: 'each address something else', alerts: 20_000, technique: (_, actor) => `T${1000 + actor}` },
]

function hostileAlert(number: number, actor: number, technique: Shape['technique'], timeMs: number): OcsfEvent {
  return alertBody({
    uid: uidOf(`flood ${number}`),
    timeMs,
    address: `10.${actor >> 8}.${actor & 255}.1`,
    technique: technique(number, actor),
    host: HOSTILE,
    path: `/${HOSTILE}`,
    userAgent: HOSTILE,
  })
}

describe('a flood from 3,000 addresses in 10 minutes', () => {
  test.each(shapes)(
    '$alerts alerts, $name: at most 40 calls, none refused, the first within 5 s, the count exact',
    async ({ technique, alerts }) => {
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
      // What closed long ago leaves the topic, and has been told before.
      const newest = new Map<string, Incident>()
      const tell = async (): Promise<void> => {
        const values = topics.appended.splice(0).flatMap(({ topic, records }) => (topic === 'incidents' ? records : []))
        const news = values.flatMap(({ value }) =>
          value === null ? [] : [incidentSchema.parse(JSON.parse(String(value)))],
        )
        for (const each of news) newest.set(each.uid, each)
        const records = news.map(each => recordOf(each, 'incident'))
        if (records.length > 0) expect(await notify.write(records, signal)).toMatchObject({ retry: [], reject: [] })
      }
      const slices = (MINUTES * 60_000) / SLICE_MS
      for (let slice = 0, sent = 0; slice < slices; slice++) {
        const until = Math.round((alerts * (slice + 1)) / slices)
        while (sent < until) {
          const batch = []
          for (; sent < until && batch.length < 500; sent++) {
            const body = hostileAlert(sent, random.int(0, 2_999), technique, clock.now())
            const event = new RecordEvent('alert', EMPTY, clock.now())
            event.body = body
            batch.push({ event, json: EMPTY })
          }
          expect(await grouping.write(batch, signal)).toMatchObject({ retry: [], reject: [] })
        }
        await tell()
        await clock.advance(SLICE_MS)
        if (slice % 60 === 0) heapMb.push(process.memoryUsage().heapUsed / 1024 ** 2)
      }
      const during = fake.calls.length
      for (let minute = 0; minute < 20; minute++) {
        await clock.advance(60_000)
        await tell()
      }
      const counted = [...newest.values()]
        .filter(({ merged_into }) => merged_into === undefined)
        .reduce((sum, { count }) => sum + count, 0)
      expect(counted).toBe(alerts)
      expect(fake.problems).toEqual([])
      expect(fake.limited()).toBe(0)
      expect(fake.calls[0]!.atMs - NOON).toBeLessThanOrEqual(5_000)
      expect(during).toBeLessThanOrEqual(40)
      expect(fake.calls.length).toBeLessThanOrEqual(40)
      const shown = fake.parents().some(({ attachments }) => JSON.stringify(attachments).includes('경보 100,000건'))
      expect(shown).toBe(alerts === 100_000)
      expect(Math.max(...heapMb)).toBeLessThan(heapMb[0]! + 150)
      await notify.close()
      await grouping.close()
    },
    600_000,
  )
})
