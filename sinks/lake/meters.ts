import type { Deps } from '../../engine/contract.ts'

export interface LakeMeters {
  /** Bytes on disk that wait for their object. */
  spooled(bytes: number): void
  stored(put: { readonly rows: number; readonly bytes: number }): void
  /** An object that an earlier process had written. */
  found(): void
  refused(rows: number): void
  flushed(ms: number): void
  /** The lake or the spool cannot be written. Said once, until it works again. */
  failed(error: Error): void
  succeeded(): void
}

export function lakeMeters({ pipeline, metrics, log }: Deps): LakeMeters {
  const counter = (name: string, help: string, ...labels: string[]) =>
    metrics.counter(name, help, ['pipeline', ...labels])
  const objects = counter('haetae_lake_objects_total', 'Lake objects by how they became durable', 'how')
  const rows = counter('haetae_lake_rows_total', 'Rows written to lake objects')
  const bytes = counter('haetae_lake_bytes_total', 'Bytes of lake objects written')
  const refused = counter('haetae_lake_rows_refused_total', 'Rows that could not be stored and went to the dead letter')
  const failures = counter('haetae_lake_failures_total', 'Failed tries to write the lake or its spool', 'cause')
  const spool = metrics.gauge('haetae_lake_spool_bytes', 'Bytes on disk that wait for their lake object', ['pipeline'])
  const flush = metrics.histogram(
    'haetae_lake_flush_seconds',
    'From the end of a range to its last object being durable',
    [0.1, 0.5, 1, 2, 5, 10, 30, 60, 300],
    ['pipeline'],
  )
  let failing = false
  return {
    spooled: now => spool.set(now, { pipeline }),
    stored(put) {
      if (put.rows === 0) return
      objects.add({ pipeline, how: 'written' })
      rows.add({ pipeline }, put.rows)
      bytes.add({ pipeline }, put.bytes)
    },
    found: () => objects.add({ pipeline, how: 'found' }),
    refused: count => refused.add({ pipeline }, count),
    flushed: ms => flush.observe(ms / 1000, { pipeline }),
    failed(error) {
      failures.add({ pipeline, cause: causeOf(error) })
      if (failing) return
      failing = true
      log.error('the lake cannot be written: nothing is lost, and it is tried again until it can', {
        code: 'LAKE_UNWRITABLE',
        error: error.message.split('\n', 1)[0],
      })
    },
    succeeded() {
      if (failing) log.info('the lake can be written again')
      failing = false
    },
  }
}

function causeOf({ message }: Error): string {
  if (/ENOSPC|EDQUOT|No space left|quota|TOPIC_FULL/i.test(message)) return 'no_space'
  if (/EACCES|EPERM|EROFS|Permission denied|Read-only/i.test(message)) return 'not_allowed'
  if (/Out of Memory/i.test(message)) return 'memory'
  return 'other'
}
