import { expect, test } from 'vitest'
import { Health } from '../../pipelines/health.ts'
import { tellHealth } from '../../pipelines/health-news.ts'
import { silentLog } from '../../platform/log.ts'
import { FakeClock } from '../support/clock.ts'
import { MemoryTopics } from '../support/memory-topics.ts'

const MINUTE = 60_000

function started() {
  const clock = new FakeClock(1_000)
  const health = new Health(0, silentLog)
  health.register('waf', 'topic', 'opensearch')
  health.set('waf', 'running')
  const topics = new MemoryTopics()
  const stop = new AbortController()
  const done = tellHealth(health, () => Promise.resolve(topics), { clock, log: silentLog }, stop.signal)
  const told = () =>
    topics.appended.flatMap(({ records }) =>
      records.map(({ value }) => {
        const { what, target, reason } = JSON.parse(String(value)) as Record<string, string>
        return { what, target, reason }
      }),
    )
  return { clock, health, topics, told, stop, done }
}

test('what waits for a person for a minute is told once, and that it goes on', async () => {
  const { clock, health, told, stop, done } = started()
  health.paused('waf', 'opensearch', 'SINK_UNAUTHORISED')
  await clock.advance(MINUTE / 2)
  expect(told()).toEqual([])
  await clock.advance(10 * MINUTE)
  expect(told()).toEqual([{ what: 'pipeline_paused', target: 'waf', reason: 'opensearch: SINK_UNAUTHORISED' }])
  health.paused('waf', 'opensearch', undefined)
  await clock.advance(MINUTE)
  expect(told()[1]).toEqual({ what: 'pipeline_resumed', target: 'waf', reason: 'it goes on' })
  expect(told()).toHaveLength(2)
  stop.abort()
  await done
})

test('what mends itself soon is told to nobody, a failed pipeline is, and a topic that is away is asked again', async () => {
  const { clock, health, told, topics, stop, done } = started()
  health.paused('waf', 'opensearch', 'x')
  await clock.advance(MINUTE / 2)
  health.paused('waf', 'opensearch', undefined)
  await clock.advance(5 * MINUTE)
  expect(told()).toEqual([])
  topics.fate = () => 'lost'
  health.set('waf', 'failed', 'disk')
  await clock.advance(5 * MINUTE)
  topics.fate = () => 'taken'
  const before = told().length
  await clock.advance(MINUTE)
  expect(told().slice(before)).toEqual([{ what: 'pipeline_paused', target: 'waf', reason: 'disk' }])
  stop.abort()
  await done
})
