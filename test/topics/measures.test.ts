import { expect, test } from 'vitest'
import { createMetrics } from '../../platform/metrics.ts'
import { topicMetrics } from '../../platform/topics/measures.ts'

const lagOf = (group: string, partition: number, waiting: bigint) => {
  return { group, topic: 'events.waf', partition, committed: 10n, end: 10n + waiting }
}

test('the lag of a group and topic is the sum over its partitions', async () => {
  const metrics = createMetrics()
  topicMetrics(metrics).lag([lagOf('waf', 0, 3n), lagOf('waf', 1, 4n), lagOf('waf-lake', 0, 9n)])
  const text = await metrics.expose()
  expect(text).toContain('haetae_topic_lag_records{group="waf",topic="events.waf"} 7\n')
  expect(text).toContain('haetae_topic_lag_records{group="waf-lake",topic="events.waf"} 9\n')
})

test('a group whose partitions went to another process has no lag here, so that a sum over processes is right', async () => {
  const metrics = createMetrics()
  const measure = topicMetrics(metrics)
  measure.lag([lagOf('waf', 0, 3n), lagOf('waf-lake', 0, 9n)])
  measure.lag([lagOf('waf-lake', 0, 8n)])
  const text = await metrics.expose()
  expect(text).toContain('haetae_topic_lag_records{group="waf",topic="events.waf"} 0\n')
  expect(text).toContain('haetae_topic_lag_records{group="waf-lake",topic="events.waf"} 8\n')
})
