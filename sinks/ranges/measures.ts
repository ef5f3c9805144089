import type { Deps } from '../../engine/contract.ts'
import { hasCode, isForAPerson } from '../../platform/errors.ts'
import type { Counter, Gauge, Metrics } from '../../platform/metrics.ts'
import { S3Away } from '../../platform/s3-trouble.ts'

type Place = 'objects' | 'spool'

export interface ObjectMeasures {
  /** Bytes on disk that wait for their object. */
  spooled(bytes: number): void
  stored(put: { readonly rows: number; readonly bytes: number }): void
  /** An object that an earlier process had written. */
  found(): void
  refused(rows: number): void
  flushed(ms: number): void
  /** Said once, until it works again. */
  failed(where: Place, error: Error): void
  succeeded(where: Place): void
}

interface Families {
  readonly objects: Counter
  readonly rows: Counter
  readonly bytes: Counter
  readonly refused?: Counter
  readonly failures: Counter
  readonly spool: Gauge
  readonly flush: ReturnType<Metrics['histogram']>
}

const FLUSH_SECONDS = [0.1, 0.5, 1, 2, 5, 10, 30, 60, 300]

export function lakeMeasures(deps: Deps): ObjectMeasures {
  const { metrics } = deps
  const counter = (name: string, help: string, ...labels: string[]) =>
    metrics.counter(name, help, ['pipeline', ...labels])
  const families = {
    objects: counter('haetae_lake_objects_total', 'Lake objects by how they became durable', 'how'),
    rows: counter('haetae_lake_rows_total', 'Rows written to lake objects'),
    bytes: counter('haetae_lake_bytes_total', 'Bytes of lake objects written'),
    refused: counter('haetae_lake_rows_refused_total', 'Rows that could not be stored and went to the dead letter'),
    failures: counter('haetae_lake_failures_total', 'Failed tries to write the lake or its spool', 'cause'),
    spool: metrics.gauge('haetae_lake_spool_bytes', 'Bytes on disk that wait for their lake object', ['pipeline']),
    flush: metrics.histogram(
      'haetae_lake_flush_seconds',
      'From the end of a range to its last object being durable',
      FLUSH_SECONDS,
      ['pipeline'],
    ),
  }
  return objectMeasures(deps, 'lake', 'lake', families)
}

/** Of the sink `s3`. */
export function s3Measures(deps: Deps): ObjectMeasures {
  const { metrics } = deps
  const counter = (name: string, help: string, ...labels: string[]) =>
    metrics.counter(name, help, ['pipeline', ...labels])
  const families = {
    objects: counter('haetae_archive_objects_total', 'Objects of the sink s3 by how they became durable', 'how'),
    rows: counter('haetae_archive_records_total', 'Records written to objects of the sink s3'),
    bytes: counter('haetae_archive_bytes_total', 'Bytes of objects of the sink s3 written, compressed'),
    failures: counter(
      'haetae_archive_failures_total',
      'Failed tries of the sink s3 to write the bucket or its spool',
      'cause',
    ),
    spool: metrics.gauge('haetae_archive_spool_bytes', 'Bytes on disk that wait for their object', ['pipeline']),
    flush: metrics.histogram(
      'haetae_archive_flush_seconds',
      'From the end of a range to its last object being durable',
      FLUSH_SECONDS,
      ['pipeline'],
    ),
  }
  return objectMeasures(deps, 's3', 'bucket', families)
}

function objectMeasures(deps: Deps, sink: string, place: string, families: Families): ObjectMeasures {
  const { pipeline, metrics, log } = deps
  const { objects, rows, bytes, refused, failures, spool, flush } = families
  const names = { objects: place, spool: `spool of the ${place}` } as const
  const paused = metrics.gauge(
    'haetae_sink_paused',
    '1 while a destination refuses for a reason that only a person can mend',
    ['pipeline', 'sink'],
  )
  const show = (reason: string | undefined): void => {
    paused.set(reason === undefined ? 0 : 1, { pipeline, sink })
    deps.paused?.(sink, reason)
  }
  show(undefined)
  const failing = new Map<Place, 'away' | 'refused'>()
  return {
    spooled: now => spool.set(now, { pipeline }),
    stored(put) {
      if (put.rows === 0) return
      objects.add({ pipeline, how: 'written' })
      rows.add({ pipeline }, put.rows)
      bytes.add({ pipeline }, put.bytes)
    },
    found: () => objects.add({ pipeline, how: 'found' }),
    refused: count => refused?.add({ pipeline }, count),
    flushed: ms => flush.observe(ms / 1000, { pipeline }),
    failed(where, error) {
      failures.add({ pipeline, cause: causeOf(error) })
      const now = isForAPerson(error) ? 'refused' : 'away'
      if (failing.get(where) === now) return
      failing.set(where, now)
      if (where === 'objects') show(isForAPerson(error) ? `${error.code}: ${error.message}` : undefined)
      const code = isForAPerson(error) ? error.code : 'LAKE_UNWRITABLE'
      log.error(`the ${names[where]} ${now === 'refused' ? 'refuses us' : 'cannot be written'}: ${TRIED_AGAIN}`, {
        code,
        error: error.message.split('\n', 1)[0],
      })
    },
    succeeded(where) {
      if (!failing.delete(where)) return
      if (where === 'objects') show(undefined)
      log.info(`the ${names[where]} can be written again`)
    },
  }
}

const TRIED_AGAIN = 'nothing is lost, and it is tried again until it can'

function causeOf(error: Error): string {
  if (hasCode(error, 'SINK_UNAUTHORISED')) return 'not_allowed'
  if (hasCode(error, 'SINK_MISCONFIGURED')) return 'misconfigured'
  if (error instanceof S3Away) return 'away'
  const { message } = error
  if (/ENOSPC|EDQUOT|No space left|quota|TOPIC_FULL/i.test(message)) return 'no_space'
  if (/EACCES|EPERM|EROFS|Permission denied|Read-only/i.test(message)) return 'not_allowed'
  if (/Out of Memory/i.test(message)) return 'memory'
  return 'other'
}
