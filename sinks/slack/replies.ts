import { hash } from 'node:crypto'
import { type Incident, isUnseen, type TimelineEntry } from '../../platform/incident.ts'
import type { Notice } from '../../platform/notify/notice.ts'
import { flag, markup, nameOf } from '../../platform/notify/text.ts'
import { resolvedLine, type Voice } from './card.ts'

const REPLIES_MAX = 12
/** Of these the first few are news, the rest is in the message. */
const ONCE: Partial<Record<TimelineEntry['what'], number>> = {
  hold_created: 1,
  target: 3,
  waf_failed: 3,
  hold_suspended: 3,
}
const MINUTE_MS = 60_000
/** How long a reply waits to say how long an unblock took. */
const TOOK_MS = 10_000
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
    if (isMeasured(entry, nowMs)) continue
    ids.push(id)
    if (count <= (ONCE[entry.what] ?? Number.POSITIVE_INFINITY)) lines.push(lineOf(entry, incident, voice, nowMs))
  }
  const calls = callsFor(incident, notice, voice, onCall, nowMs)
  // Whoever is on call is called, however much was said before.
  if (calls.lines.length > 0)
    return { ids: [...ids, ...calls.ids], text: [...lines.slice(0, 10), ...calls.lines].join('\n') }
  if (lines.length === 0 || notice.replies > REPLIES_MAX) return undefined
  if (notice.replies === REPLIES_MAX) return { ids, text: voice.words.rolledUp }
  return { ids, text: lines.slice(0, 10).join('\n') }
}

/** A reply about it waits to say how long it took. */
export function isMeasured({ asked_time, took_ms, time }: TimelineEntry, nowMs: number): boolean {
  return asked_time !== undefined && took_ms === undefined && nowMs - time < TOOK_MS
}

/** Mentions of those on call, of a critical incident that nobody has acknowledged. */
function callsFor(
  incident: Incident,
  { said, postedMs }: Notice,
  { words }: Voice,
  onCall: readonly string[],
  nowMs: number,
): { readonly ids: string[]; readonly lines: string[] } {
  const sinceMs = incident.critical_time ?? postedMs
  const due = UNANSWERED_MINUTES.flatMap((minutes, at) => {
    const id = `unanswered/${minutes}`
    const isDue = isUnseen(incident) && incident.state === 'open' && nowMs - (sinceMs ?? nowMs) >= minutes * MINUTE_MS
    return isDue && !said.includes(id) ? [{ id, minutes, group: onCall[at] }] : []
  })
  return {
    ids: due.map(({ id }) => id),
    lines: due.map(({ minutes, group }) => {
      return `${group ? `<!subteam^${group}> ` : ''}*${words.unanswered(String(minutes))}*`
    }),
  }
}

/** What is in the message already when it is posted, and no news after that. */
export function saidAtFirst({ timeline }: Incident): string[] {
  return timeline.filter(isNews).map(idOf)
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
    'snoozed',
    'quiet',
    'closed',
  ].includes(what)
}

function idOf({ time, what, detail }: TimelineEntry): string {
  return hash('sha256', `${time}\n${what}\n${detail ?? ''}`, 'hex').slice(0, 8)
}

function lineOf(entry: TimelineEntry, incident: Incident, voice: Voice, nowMs: number): string {
  const { what, detail, who, time, took_ms } = entry
  const { words, time: local, number } = voice
  const parts = [`*${words.change[what] ?? what}*`]
  if (what === 'closed') parts.push(resolvedLine(incident, voice, nowMs))
  if (detail !== undefined) parts.push(markup(detail, 128))
  if (what === 'hold_created') parts.push(...whereabouts(incident, voice, nowMs))
  if (who !== undefined && who !== 'haetae') parts.push(markup(nameOf(who), 80))
  if (took_ms !== undefined) parts.push(words.took(number(Math.ceil(took_ms / 100) / 10)))
  parts.push(local.minute(time, nowMs))
  return parts.join(' · ')
}

/** Of an address that is blocked: country, network, until when. What many do comes from many places: those are in the message. */
function whereabouts({ kind, countries, networks, holds }: Incident, { words, time }: Voice, nowMs: number): string[] {
  const country = kind === 'actor' ? countries[0]?.name : undefined
  const network = kind === 'actor' ? networks[0]?.name : undefined
  return [
    ...(country === undefined ? [] : [markup(`${flag(country)} ${country}`.trim(), 20)]),
    ...(network === undefined ? [] : [markup(network, 80)]),
    ...(holds.until === undefined ? [] : [words.expires(time.minute(holds.until, nowMs))]),
  ]
}
