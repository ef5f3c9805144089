import type { Counter, Metrics } from '../platform/metrics.ts'
import type { Event } from './contract.ts'

interface EngineMeasures {
  read(events: number, bytes: number): void
  acked(events: number): void
  /** Events that are durable everywhere by `nowMs`. */
  durable(age: Ages | undefined, nowMs: number): void
  muted(events: number): void
  dropped(stage: string, events: number): void
  rejected(stage: string, reason: string): void
  written(sink: string, events: number): void
  detectorFailed(detector: string): void
  readonly retries: Counter
}

/** When the newest and the oldest event of a delivery happened, milliseconds since the epoch. */
export interface Ages {
  readonly newestMs: number
  readonly oldestMs: number
}

/** undefined for no events. */
export function agesOf(events: readonly Event[]): Ages | undefined {
  let [newestMs, oldestMs] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (const { timeMs } of events) {
    if (timeMs > newestMs) newestMs = timeMs
    if (timeMs < oldestMs) oldestMs = timeMs
  }
  return events.length === 0 ? undefined : { newestMs, oldestMs }
}

/** Seconds; a WAF record is minutes old when Firehose buffers it, seconds when nothing does. */
const AGES = [1, 2, 5, 10, 30, 60, 120, 300, 900, 3_600, 21_600, 86_400]

/** The counters of one pipeline. Reasons become labels by their code only: the detail behind the colon has no bound. */
export function engineMetrics(metrics: Metrics, pipeline: string): EngineMeasures {
  const counter = (name: string, help: string, ...labels: string[]): Counter => {
    const made = metrics.counter(name, help, ['pipeline', ...labels])
    return { add: (given = {}, by = 1) => made.add({ pipeline, ...given }, by) }
  }
  const events = counter('haetae_events_read_total', 'Events read by a pipeline')
  const readBytes = counter('haetae_read_bytes_total', 'Raw bytes read by a pipeline')
  const acked = counter('haetae_events_acked_total', 'Events settled: durable in every sink, dead-lettered or dropped')
  const muted = counter('haetae_events_muted_total', 'Events read again only for what detectors remember')
  const dropped = counter('haetae_events_dropped_total', 'Events dropped on purpose', 'stage', 'intentional')
  const rejected = counter('haetae_events_rejected_total', 'Events sent to the dead letter', 'stage', 'reason')
  const written = counter('haetae_sink_written_total', 'Events a sink accepted or refused for good', 'sink')
  const behind = metrics.gauge(
    'haetae_event_time_lag_seconds',
    'Age of the newest event that was made durable last: how far behind the world the pipeline is',
    ['pipeline'],
  )
  const ages = metrics.histogram(
    'haetae_event_age_seconds',
    'Age of the oldest event of a delivery when all of it was durable',
    AGES,
    ['pipeline'],
  )
  const failed = counter('haetae_detector_failures_total', 'Batches under which a detector threw', 'detector')
  return {
    read(count, bytes) {
      events.add({}, count)
      readBytes.add({}, bytes)
    },
    acked: count => acked.add({}, count),
    durable(age, nowMs) {
      if (!age) return
      // A clock that is ahead of ours, by up to a day, is no lag.
      behind.set(Math.max(0, nowMs - age.newestMs) / 1000, { pipeline })
      ages.observe(Math.max(0, nowMs - age.oldestMs) / 1000, { pipeline })
    },
    muted: count => muted.add({}, count),
    dropped(stage, count) {
      if (count > 0) dropped.add({ stage, intentional: 'true' }, count)
    },
    rejected: (stage, reason) => rejected.add({ stage, reason: reasonCode(reason) }),
    written: (sink, count) => written.add({ sink }, count),
    detectorFailed: detector => failed.add({ detector }),
    retries: counter('haetae_sink_retries_total', 'Records written again', 'component'),
  }
}

/** `code` of a reason `code: detail`; anything that is not a short snake_case word is `other`. */
export function reasonCode(reason: string): string {
  const code = /^[a-z][a-z0-9_]{0,39}/.exec(reason)?.[0] ?? ''
  const after = reason[code.length]
  return code !== '' && (after === undefined || after === ':') ? code : 'other'
}
