import { afterEach } from 'vitest'
import type { Deps, Sink } from '../../engine/contract.ts'
import type { Incident } from '../../platform/incident.ts'
import { createLog } from '../../platform/log.ts'
import { openSlack, slack } from '../../sinks/slack.ts'
import { NOON, recordOf } from './alerts.ts'
import { FakeClock } from './clock.ts'
import { testDeps } from './deps.ts'
import { MemoryTopics } from './memory-topics.ts'
import { FakeSlack } from './slack-server.ts'

export const signal = new AbortController().signal
export const MINUTE = 60_000
export const ALERTS = 'C0000000001'
export const CRITICAL = 'C0000000002'

process.env['TEST_SLACK_TOKEN'] = 'xoxb-test'

/** Closed after each test. */
export const open: Sink[] = []
afterEach(async () => {
  for (const sink of open.splice(0)) await sink.close()
})

/** A sink, the topics it keeps, and the Slack it writes to, in simulated time. `again` is the next process. */
export async function startSlack(config: object = {}, nowMs = NOON, overrides: Partial<Deps> = {}) {
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
    ...overrides,
  }
  const process = async (): Promise<Sink> => {
    const sink = await openSlack(given, testDeps(deps), fake.fetch)
    open.push(sink)
    return sink
  }
  let sink = await process()
  return {
    clock,
    sink: () => sink,
    topics,
    fake,
    paused,
    lines,
    tell: async (...incidents: Incident[]) => {
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
    again: async (): Promise<void> => {
      await sink.close()
      sink = await process()
      await sink.write([], signal)
    },
  }
}
