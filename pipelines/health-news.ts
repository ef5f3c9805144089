import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { type AuditRecord, auditRecord } from '../platform/response/audit.ts'
import type { Topics } from '../platform/topics/contract.ts'
import type { Health } from './health.ts'

const LOOK_EVERY_MS = 5_000
/** What mends itself sooner need not be known. */
const TOLD_AFTER_MS = 60_000
const TOPIC = 'audit'

/**
 * Tells in the topic `audit`, and so in Slack, that a pipeline waits for a person or failed, and that it goes on. What cannot be told,
 * as the topic itself is away, stands on the status page all the same, and is tried again.
 */
export async function tellHealth(
  health: Pick<Health, 'pipelines'>,
  topics: () => Promise<Pick<Topics, 'append'>>,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  /** Pipelines that do not run: since when, and whether it was told. */
  const troubled = new Map<string, { readonly sinceMs: number; told: boolean }>()
  const append = async (record: AuditRecord): Promise<boolean> => {
    try {
      const value = Buffer.from(JSON.stringify(record))
      const { retry } = await (await topics()).append(TOPIC, [{ key: record.target ?? '', value, timeMs: record.time }])
      return retry.length === 0
    } catch (thrown) {
      log.debug('that a pipeline waits for a person cannot be told yet', { error: String(thrown) })
      return false
    }
  }
  while (!signal.aborted) {
    for (const { name, state, detail } of health.pipelines) {
      const nowMs = clock.now()
      const say = (what: 'pipeline_paused' | 'pipeline_resumed', reason: string): AuditRecord =>
        auditRecord([name, nowMs], { time: nowMs, what, target: name, who: 'haetae', reason, dry_run: false })
      const known = troubled.get(name)
      if (state === 'paused' || state === 'failed') {
        const trouble = known ?? { sinceMs: nowMs, told: false }
        troubled.set(name, trouble)
        if (trouble.told || nowMs - trouble.sinceMs < TOLD_AFTER_MS) continue
        trouble.told = await append(say('pipeline_paused', (detail ?? state).slice(0, 500)))
      } else if (known && state === 'running') {
        if (!known.told || (await append(say('pipeline_resumed', 'it goes on')))) troubled.delete(name)
      }
    }
    await clock.wait(LOOK_EVERY_MS, signal)
  }
}
