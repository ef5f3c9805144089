import type { Metrics } from '../metrics.ts'
import type { GroupLag } from './contract.ts'

/** The metrics of the embedded log. Topics and groups come from configuration, so their label sets are bounded. */
export function topicMetrics(metrics: Metrics) {
  const records = metrics.counter('haetae_topic_appended_records_total', 'Records appended, durable', ['topic'])
  const bytes = metrics.counter('haetae_topic_appended_bytes_total', 'Bytes appended, as stored', ['topic'])
  const used = metrics.gauge('haetae_topic_log_bytes', 'Bytes that the records of the topic log take')
  const bound = metrics.gauge('haetae_topic_log_bytes_max', 'Size bound of the topic log')
  const refusing = metrics.gauge(
    'haetae_topic_log_full',
    '1 while appends are refused: size bound, disk full or broken',
  )
  const behind = metrics.gauge(
    'haetae_topic_lag_records',
    'Records not committed yet; on Kafka of the partitions that this process reads',
    ['group', 'topic'],
  )
  /** A group that gives its partitions to other processes has no lag here any more. */
  const shown = new Map<string, { readonly group: string; readonly topic: string }>()
  return {
    appended(topic: string, recordCount: number, byteCount: number): void {
      records.add({ topic }, recordCount)
      bytes.add({ topic }, byteCount)
    },
    space(usedBytes: number, boundBytes: number, isFull: boolean): void {
      used.set(usedBytes)
      bound.set(boundBytes)
      refusing.set(isFull ? 1 : 0)
    },
    lag(lags: readonly GroupLag[]): void {
      const sums = new Map<string, { readonly group: string; readonly topic: string; records: number }>()
      for (const { group, topic, committed, end } of lags) {
        const sum = sums.get(`${group}\0${topic}`) ?? { group, topic, records: 0 }
        sum.records += Number(end - committed)
        sums.set(`${group}\0${topic}`, sum)
      }
      for (const [place, labels] of shown) if (!sums.has(place)) behind.set(0, labels)
      for (const [place, { group, topic, records: count }] of sums) {
        shown.set(place, { group, topic })
        behind.set(count, { group, topic })
      }
    },
  }
}

export type TopicMetrics = ReturnType<typeof topicMetrics>
