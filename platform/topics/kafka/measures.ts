import type { Metrics } from '../../metrics.ts'
import { topicMetrics } from '../measures.ts'

const KIB = 1024

/** Topics and groups come from configuration, reasons from the protocol: the label sets are bounded. */
export function kafkaMetrics(metrics: Metrics) {
  const common = topicMetrics(metrics)
  const requests = metrics.counter('haetae_kafka_produce_requests_total', 'Produce requests, by what came of them', [
    'topic',
    'outcome',
  ])
  const sizes = metrics.histogram('haetae_kafka_produce_batch_bytes', 'Size of a produced batch, compressed', [
    KIB,
    8 * KIB,
    32 * KIB,
    128 * KIB,
    512 * KIB,
    1024 * KIB,
  ])
  const rebalances = metrics.counter(
    'haetae_kafka_rebalances_total',
    'Times the partitions of a group were shared out',
    ['group'],
  )
  const assigned = metrics.gauge('haetae_kafka_partitions_count', 'Partitions this process reads', ['group'])
  const lost = metrics.counter(
    'haetae_kafka_lost_records_total',
    'Records that were deleted by retention before the group read them',
    ['group', 'topic'],
  )
  const failures = metrics.counter('haetae_kafka_failures_total', 'Requests of consumers that failed', [
    'group',
    'reason',
  ])
  const rested = metrics.histogram(
    'haetae_kafka_rebalance_seconds',
    'How long a consumer rested while the partitions of its group were shared out',
    [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    ['group'],
  )
  const caughtUp = metrics.histogram(
    'haetae_kafka_catch_up_seconds',
    'From being given partitions until all that waited in them was settled',
    [1, 2.5, 5, 10, 30, 60, 300, 900, 3_600],
    ['group'],
  )
  return {
    produced(topic: string, records: number, bytes: number): void {
      requests.add({ topic, outcome: 'durable' })
      sizes.observe(bytes)
      common.appended(topic, records, bytes)
    },
    notProduced: (topic: string, reason: string): void => requests.add({ topic, outcome: reason }),
    /** `seconds`: how long nothing was read for it. */
    rebalanced(group: string, partitions: number, seconds: number): void {
      rested.observe(seconds, { group })
      rebalances.add({ group })
      assigned.set(partitions, { group })
    },
    caughtUp: (group: string, seconds: number): void => caughtUp.observe(seconds, { group }),
    holding: (group: string, partitions: number): void => assigned.set(partitions, { group }),
    lost: (group: string, topic: string, records: bigint): void => lost.add({ group, topic }, Number(records)),
    failed: (group: string, reason: string): void => failures.add({ group, reason }),
    lag: (lags: Parameters<typeof common.lag>[0]): void => common.lag(lags),
  }
}

export type KafkaMetrics = ReturnType<typeof kafkaMetrics>
