import { hash } from 'node:crypto'
import type { Incident, TimelineEntry } from '../../platform/incident.ts'
import type { Voice } from './card.ts'
import type { Notice } from './notice.ts'
import { markup } from './text.ts'

const REPLIES_MAX = 12
/** Of these the first few are news, the rest is in the message. */
const ONCE: Partial<Record<TimelineEntry['what'], number>> = {
  hold_created: 1,
  target: 3,
  waf_failed: 3,
  hold_suspended: 3,
}
const MINUTE_MS = 60_000
/** Minutes after which a critical incident that nobody acknowledged is said again, to the first and the second on call. */
const UNANSWERED_MINUTES = [5, 15]

export interface Reply {
  readonly ids: readonly string[]
  readonly text: string
}

/** What a thread is told next; undefined when there is nothing new. Several changes are one reply. */
export function replyFor(
  incident: Incident,
  notice: Notice,
  voice: Voice,
  onCall: readonly string[],
  nowMs: number,
): Reply | undefined {
  const lines: string[] = []
  const ids: string[] = []
  const said = new Set(notice.said)
  const counts = new Map<string, number>()
  for (const entry of incident.timeline) {
    if (!isNews(entry)) continue
    const count = (counts.get(entry.what) ?? 0) + 1
    counts.set(entry.what, count)
    const id = idOf(entry)
    if (said.has(id) || ids.includes(id)) continue
    ids.push(id)
    if (count <= (ONCE[entry.what] ?? Number.POSITIVE_INFINITY)) lines.push(lineOf(entry, voice, nowMs))
  }
  for (const [at, minutes] of UNANSWERED_MINUTES.entries()) {
    const id = `unanswered/${minutes}`
    if (said.has(id) || !isUnanswered(incident, notice, minutes, nowMs)) continue
    ids.push(id)
    const mention = onCall[at] ? `<!subteam^${onCall[at]}> ` : ''
    lines.push(`${mention}*${voice.words.unanswered(String(minutes))}*`)
  }
  if (lines.length === 0) return undefined
  if (notice.replies > REPLIES_MAX) return undefined
  if (notice.replies === REPLIES_MAX) return { ids, text: voice.words.rolledUp }
  return { ids, text: lines.slice(0, 10).join('\n') }
}

/** What is in the message already when it is posted, and no news after that. */
export function saidAtFirst({ timeline }: Incident): string[] {
  return timeline.filter(isNews).map(idOf)
}

function isUnanswered(incident: Incident, { postedMs }: Notice, minutes: number, nowMs: number): boolean {
  if (incident.severity_id < 5 || incident.state === 'closed' || incident.acknowledged) return false
  // Nobody is called for what is made up.
  if (incident.sample || postedMs === undefined) return false
  return nowMs - postedMs >= minutes * MINUTE_MS
}

function isNews({ what, who }: TimelineEntry): boolean {
  // What the system lets go by itself is no news.
  if (what === 'hold_released' || what === 'hold_extended') return who !== undefined && who !== 'haetae'
  return [
    'severity',
    'target',
    'hold_created',
    'hold_suspended',
    'waf_failed',
    'acknowledged',
    'false_positive',
    'closed',
  ].includes(what)
}

function idOf({ time, what, detail }: TimelineEntry): string {
  return hash('sha256', `${time}\n${what}\n${detail ?? ''}`, 'hex').slice(0, 8)
}

function lineOf({ what, detail, who, time }: TimelineEntry, { words, time: local }: Voice, nowMs: number): string {
  const parts = [`*${words.change[what] ?? what}*`]
  if (detail !== undefined) parts.push(markup(detail, 128))
  if (who !== undefined) parts.push(markup(who, 80))
  parts.push(local.minute(time, nowMs))
  return parts.join(' · ')
}
