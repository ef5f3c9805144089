import type { Metrics } from '../../platform/metrics.ts'
import type { Route } from './admit.ts'
import type { Counts } from './records.ts'

const ANSWER_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

export interface HttpMeasures {
  /** `route` is 'other' for a request that named no known path. */
  answered(route: Route | 'other', status: number, seconds: number): void
  /** Of requests that were answered 200: a repeat counts again. */
  stored(route: Route, counts: Counts): void
  bodyRead(route: Route, bytes: number): void
  inflight(bytes: number): void
  connectionDropped(): void
}

export function httpMeasures(metrics: Metrics): HttpMeasures {
  const requests = metrics.counter('haetae_http_requests_total', 'Answered requests', ['route', 'status'])
  const seconds = metrics.histogram(
    'haetae_http_answer_seconds',
    'Time from the head of a request to its answer, body and storing included',
    ANSWER_SECONDS,
    ['route'],
  )
  const records = metrics.counter(
    'haetae_http_records_total',
    'Records of requests answered 200, by what became of them: taken, empty, or a dead letter with this reason',
    ['route', 'result'],
  )
  const bytes = metrics.counter('haetae_http_body_bytes_total', 'Bytes of bodies after decompression', ['route'])
  const inflight = metrics.gauge('haetae_http_inflight_bytes', 'Memory held for requests that are not settled')
  const dropped = metrics.counter('haetae_http_connections_dropped_total', 'Connections closed past connectionsMax')
  return {
    answered: (route, status, took) => {
      requests.add({ route, status: String(status) })
      seconds.observe(took, { route })
    },
    stored: (route, counts) => {
      for (const [result, count] of Object.entries(counts)) if (count > 0) records.add({ route, result }, count)
    },
    bodyRead: (route, size) => bytes.add({ route }, size),
    inflight: held => inflight.set(held),
    connectionDropped: () => dropped.add(),
  }
}
