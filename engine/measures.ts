import type { Counter, Metrics } from '../platform/metrics.ts'

interface EngineMeasures {
  read(events: number, bytes: number): void
  acked(events: number): void
  muted(events: number): void
  dropped(stage: string, events: number): void
  rejected(stage: string, reason: string): void
  written(sink: string, events: number): void
  detectorFailed(detector: string): void
  readonly retries: Counter
}

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
  const failed = counter('haetae_detector_failures_total', 'Batches under which a detector threw', 'detector')
  return {
    read(count, bytes) {
      events.add({}, count)
      readBytes.add({}, bytes)
    },
    acked: count => acked.add({}, count),
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
