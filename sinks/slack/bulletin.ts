import { z } from 'zod'
import type { Incident } from '../../platform/incident.ts'
import { BULLETINS_MAX, type Bulletin, type BulletinKind, LINES_MAX, SEEN_MAX } from '../../platform/notify/notice.ts'
import { markup, nameOf } from '../../platform/notify/text.ts'
import type { Words } from '../../platform/notify/words.ts'

/** What only gathers is over after so long without more of it; what comes later is another message. */
const GATHER_MS = 10 * 60_000
/** The end of an older one was lost, as with the process that would have told it: what comes now is told anew. */
const OPEN_MS_MAX = 6 * 3_600_000

const word = z.string().max(600).optional().catch(undefined)
const auditShape = z.object({
  metadata: z.object({ uid: z.string().min(1).max(64) }),
  time: z.int().min(0),
  what: z.string().max(64),
  target: word,
  who: z.string().max(300).catch('haetae'),
  reason: word,
  skip_reason: word,
  incident_uid: word,
  place: word,
  dry_run: z.boolean().catch(false),
})
/** Of an audit record (topic `audit`), what may be said in Slack. */
export type AuditNews = z.output<typeof auditShape>

export function readAudit(json: Buffer): AuditNews | undefined {
  try {
    return auditShape.safeParse(JSON.parse(json.toString('utf8'))).data
  } catch {
    return undefined
  }
}

export interface News {
  readonly kind: BulletinKind
  readonly subject: string
  readonly does: 'begin' | 'end' | 'gather'
  readonly line: string
}

/** Where a kind of bulletin goes: what keeps attackers in or customers out is critical, the rest is of the pipeline's own. */
export function isCritical(kind: BulletinKind): boolean {
  return kind !== 'operator' && kind !== 'pipeline'
}

/** Undefined for what is told elsewhere, or is no news. `incident`: what it is about. */
export function newsOf(audit: AuditNews, words: Words, incident: Incident | undefined): News | undefined {
  const { what, target = '', reason = '', skip_reason: skip = '', place = '' } = audit
  const who = nameOf(audit.who)
  switch (what) {
    case 'budget_tripped': {
      const limit = (['minute', 'hour', 'network'] as const).find(each => each === skip)
      return { kind: 'budget', subject: '', does: 'begin', line: limit ? words.limits[limit] : reason }
    }
    case 'budget_resumed':
      return { kind: 'budget', subject: '', does: 'end', line: `${who}: ${reason}` }
    case 'waf_failed':
      return { kind: 'waf', subject: place, does: 'begin', line: reason.replace(/^IP sets in \S+: /, '') }
    case 'waf_recovered':
      return { kind: 'waf', subject: place, does: 'end', line: reason }
    case 'hold_refused':
      return skip === 'ledger_full'
        ? { kind: 'ledger', subject: '', does: 'gather', line: `${target}: ${reason}` }
        : undefined
    case 'key_disabled':
    case 'key_failed':
    case 'key_refused':
      if (skip === 'sample') return undefined
      return {
        kind: 'keys',
        subject: '',
        does: 'gather',
        line: `${target}: ${words.keys[what]} · ${skip === '' || skip === 'waiting' ? reason : `${skip}, ${reason}`}`,
      }
    case 'hold_released':
      if (who === 'haetae' || (reason !== 'customer' && reason !== 'false_positive')) return undefined
      return { kind: 'customer', subject: '', does: 'gather', line: `${target} · ${words.reasons[reason]} · ${who}` }
    case 'incident_false_positive':
      if (!incident || incident.holds.total === 0) return undefined
      return {
        kind: 'customer',
        subject: '',
        does: 'gather',
        line: `INC-${incident.number} · ${incident.title} · ${who}`,
      }
    case 'hold_suspended':
      return { kind: 'operator', subject: '', does: 'gather', line: `${target}: ${reason}` }
    case 'pipeline_paused':
      return { kind: 'pipeline', subject: target, does: 'begin', line: reason }
    case 'pipeline_resumed':
      return { kind: 'pipeline', subject: target, does: 'end', line: reason }
    default:
      return undefined
  }
}

/** What whoever pressed a button is told alone, because it did nothing; undefined when it did, or is seen anyway. */
export function answerTo(audit: AuditNews, incident: Incident | undefined, words: Words): string | undefined {
  const { what, target = '', who, time, skip_reason: skip = '', reason = '' } = audit
  if (what === 'hold_refused') {
    const isOver = skip === 'nothing_held' || skip === 'over'
    return markup(isOver ? words.expired(target) : words.notDone(target, `${skip}: ${reason}`), 300)
  }
  if (what !== 'incident_acknowledged' && what !== 'incident_false_positive') return undefined
  if (!incident) return words.expired('')
  const mark = what === 'incident_acknowledged' ? incident.acknowledged : incident.false_positive
  const isAnother = mark !== undefined && (mark.by !== who || mark.time !== time)
  return isAnother ? words.already(markup(nameOf(mark.by), 80)) : undefined
}

/**
 * Takes what an audit record says into the bulletins of a channel: into the one that is open for it, else into a new one. The same
 * record twice changes nothing. True when something changed.
 */
export function takeNews(
  bulletins: Bulletin[],
  news: News,
  { metadata: { uid }, time, dry_run: dryRun }: AuditNews,
): boolean {
  const { kind, subject, does, line } = news
  const same = bulletins.filter(each => each.kind === kind && each.subject === subject)
  if (same.some(({ seen }) => seen.includes(uid))) return false
  let open = same.find(({ endMs }) => endMs === undefined)
  if (open && does !== 'end' && time - open.lastMs > OPEN_MS_MAX) {
    open.endMs = time
    open = undefined
  }
  if (!open) {
    // The end of what was never told is no news.
    if (does === 'end') return false
    open = {
      kind,
      subject,
      fromMs: time,
      lastMs: time,
      count: 0,
      lines: [],
      seen: [],
      dryRun,
      state: 'posting',
      sinceMs: 0,
    }
    bulletins.push(open)
    if (bulletins.length > BULLETINS_MAX) bulletins.splice(oldestOf(bulletins), 1)
  }
  open.count++
  open.lastMs = Math.max(open.lastMs, time)
  open.lines = [...open.lines, { time, text: line.slice(0, 600) }].slice(-LINES_MAX)
  open.seen = [...open.seen, uid].slice(-SEEN_MAX)
  if (does === 'end') open.endMs = time
  return true
}

/** What gathers and got nothing more is over. True when one is. */
export function endGathering(bulletins: readonly Bulletin[], words: Words, nowMs: number): boolean {
  const over = bulletins.filter(({ kind, endMs, lastMs }) => {
    return words.bulletins[kind].over === undefined && endMs === undefined && nowMs - lastMs > GATHER_MS
  })
  for (const each of over) each.endMs = nowMs
  return over.length > 0
}

function oldestOf(bulletins: readonly Bulletin[]): number {
  return Math.max(
    0,
    bulletins.findIndex(({ endMs }) => endMs !== undefined),
  )
}
