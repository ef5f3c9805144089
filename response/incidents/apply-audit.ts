import type { Incident, TimelineEntry } from '../../platform/incident.ts'
import type { AuditFacts } from './audit.ts'
import { note } from './fold.ts'

/** Longest that nothing is said of an incident because somebody asked for it. */
const SNOOZE_MS = 3_600_000

/** What a person said, or the ledger did, as an incident tells it. How many addresses are blocked is counted elsewhere. */
export function applyAudit(record: Incident, fact: AuditFacts): void {
  const { what, timeMs: time, who, target, reason, latencyMs, untilMs } = fact
  const by = who ?? 'unknown'
  switch (what) {
    case 'incident_acknowledged':
    case 'incident_false_positive': {
      const mark = what === 'incident_acknowledged' ? 'acknowledged' : 'false_positive'
      // The first word counts: pressing twice changes nothing.
      if (record[mark]) return
      record[mark] = { by, time }
      note(record, { time, what: mark, who: by })
      return
    }
    case 'incident_snoozed': {
      const until = Math.min(untilMs ?? time + SNOOZE_MS, time + SNOOZE_MS)
      // A critical one cannot be silenced, and a press that comes again says nothing new.
      if (record.severity_id === 5 || (record.snoozed && record.snoozed.until >= until)) return
      record.snoozed = { by, time, until }
      note(record, { time, what: 'snoozed', who: by })
      return
    }
    case 'incident_helpful':
    case 'incident_not_helpful':
      if (record.helpful) return
      record.helpful = { by, time, yes: what === 'incident_helpful' }
      note(record, { time, what: record.helpful.yes ? 'helpful' : 'not_helpful', who: by })
      return
    case 'waf_written':
      if (latencyMs !== undefined) record.holds.slowest_ms = Math.max(record.holds.slowest_ms ?? 0, latencyMs)
      return
    case 'waf_removed': {
      const released = releaseOf(record, target)
      if (released?.asked_time !== undefined) released.took_ms = Math.max(0, time - released.asked_time)
      return
    }
    case 'hold_created':
    case 'hold_extended':
    case 'hold_released':
    case 'hold_expired':
    case 'hold_refused':
    case 'hold_suspended':
    case 'waf_failed': {
      const detail = [target, reason]
        .filter(each => each !== undefined)
        .join(': ')
        .slice(0, 128)
      const asked = what === 'hold_released' && who !== 'haetae' && latencyMs !== undefined
      note(record, {
        time,
        what,
        ...(detail === '' ? {} : { detail }),
        ...(who === undefined ? {} : { who }),
        ...(asked ? { asked_time: time - latencyMs } : {}),
      })
    }
  }
}

/** What a person asked for of this address, and nobody has said yet how long it took. */
export function releaseOf({ timeline }: Incident, target: string | undefined): TimelineEntry | undefined {
  return timeline.findLast(
    ({ what, detail, asked_time, took_ms }) =>
      what === 'hold_released' &&
      asked_time !== undefined &&
      took_ms === undefined &&
      detail?.split(': ')[0] === target,
  )
}
