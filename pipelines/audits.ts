import { z } from 'zod'
import type { AuditRecord } from '../platform/response/audit.ts'
import type { Settings } from './settings.ts'
import { type AskedTopics, withAsked } from './topics/ask.ts'

const AUDIT = 'audit'
/** Read at once, from the end backwards: few enough to be held, many enough that a question takes few answers. */
const WINDOW = 2_000n

/** What every audit record has; the rest is as it was written. */
const auditShape = z.looseObject({
  metadata: z.looseObject({ uid: z.string() }),
  time: z.number(),
  what: z.string(),
  who: z.string(),
})

export interface AuditQuery {
  readonly isWanted: (audit: AuditRecord) => boolean
  /** What is older is not looked at. */
  readonly sinceMs: number
  readonly limit: number
}

/**
 * The newest audit records that are wanted, newest first, each once: from the process that has the log, or from Kafka. The topic keeps them for 30 days;
 * what is older is in the lake. None before any pipeline has made the topic.
 */
export function readAudits(settings: Settings, query: AuditQuery): Promise<readonly AuditRecord[]> {
  return withAsked(settings, asked => newest(asked, query))
}

async function newest(asked: AskedTopics, { isWanted, sinceMs, limit }: AuditQuery): Promise<readonly AuditRecord[]> {
  const found = new Map<string, AuditRecord>()
  for (const { topic, partition, start, end } of await asked.partitions()) {
    if (topic !== AUDIT) continue
    for (let to = end; to > start && found.size < limit; ) {
      const from = to - WINDOW > start ? to - WINDOW : start
      const records = await asked.recordsBetween(topic, partition, from, to)
      const audits = records.flatMap(({ value }) => auditOf(value)).reverse()
      for (const audit of audits) {
        const isNew = audit.time >= sinceMs && isWanted(audit) && !found.has(audit.metadata.uid)
        if (isNew && found.size < limit) found.set(audit.metadata.uid, audit)
      }
      // Records come nearly in the order of their time: told again after a death, an older one may stand behind newer ones.
      if (audits.length > 0 && audits.every(({ time }) => time < sinceMs)) break
      to = from
    }
  }
  return [...found.values()].sort((left, right) => right.time - left.time)
}

/** Nothing for what is no audit record: whoever wrote it, it is not what was asked for. */
function auditOf(value: Buffer | null): readonly AuditRecord[] {
  try {
    const parsed = auditShape.safeParse(JSON.parse(String(value)))
    return parsed.success ? [parsed.data as unknown as AuditRecord] : []
  } catch {
    return []
  }
}
