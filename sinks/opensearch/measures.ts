import type { Gauge, Metrics } from '../../platform/metrics.ts'

type Counts = Partial<Record<'created' | 'exists' | 'retry' | 'rejected' | 'shortened', number>>

export interface BulkMeasures {
  readonly concurrency: Gauge
  documents(counts: Counts): void
  tooOld(count: number): void
  /** `result` is an HTTP status or why there was none. */
  request(result: string, tookMs: number): void
  sent(bytes: number): void
}

const SECONDS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export function bulkMeasures(metrics: Metrics, pipeline: string): BulkMeasures {
  const documents = metrics.counter('haetae_opensearch_documents_total', 'Documents by what became of them', [
    'pipeline',
    'result',
  ])
  const tooOld = metrics.counter(
    'haetae_opensearch_too_old_total',
    'Events older than the retention of the index, left to the lake',
    ['pipeline'],
  )
  const seconds = metrics.histogram('haetae_opensearch_bulk_seconds', 'Time of a bulk request', SECONDS, [
    'pipeline',
    'result',
  ])
  const bytes = metrics.counter('haetae_opensearch_bulk_bytes_total', 'Bytes of bulk requests', ['pipeline'])
  const concurrency = metrics.gauge('haetae_opensearch_concurrency_requests', 'Bulk requests at once, as adapted', [
    'pipeline',
  ])
  return {
    concurrency: { set: value => concurrency.set(value, { pipeline }) },
    documents(counts) {
      for (const [result, count] of Object.entries(counts)) if (count > 0) documents.add({ pipeline, result }, count)
    },
    tooOld: count => tooOld.add({ pipeline }, count),
    request: (result, tookMs) => seconds.observe(tookMs / 1000, { pipeline, result }),
    sent: count => bytes.add({ pipeline }, count),
  }
}
