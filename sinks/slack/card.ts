import type { KnownBlock, MessageAttachment } from '@slack/web-api'
import { ADDRESSES_MAX, type Incident } from '../../platform/incident.ts'
import { cut, escapeMarkup, evidenceUrl, flag, markup, nameOf, plain } from '../../platform/notify/text.ts'
import type { Words } from '../../platform/notify/words.ts'
import type { LocalTime } from './local-time.ts'

/** How things are said: in which language, in whose time, with links to what. */
export interface Voice {
  readonly words: Words
  readonly time: LocalTime
  /** Base of links to the console; empty when there is none. */
  readonly consoleUrl: string
  readonly number: (value: number) => string
}

/** What is posted or put in the place of what was posted. */
export interface Message {
  /** What a notification and a screen reader say. Markup of Slack: escaped. */
  readonly text: string
  readonly attachments: MessageAttachment[]
}

const COLOURS = ['#667085', '#667085', '#175cd3', '#b54708', '#b42318', '#7a0019']
const COLOUR_CLOSED = '#027a48'
const HEADER_CHARS = 150
const RUNBOOK_CHARS = 400
/** Slack takes 2,000 characters as the value of a button. */
const VALUE_CHARS = 1_900

/** The message of an incident: one for as long as it lives, edited in place. `nowMs` says when it was edited. */
export function card(incident: Incident, voice: Voice, nowMs: number): Message {
  const { words } = voice
  const { severity_id, state, kind, sample, runbook } = incident
  const severity = words.severity[severity_id] ?? ''
  const standing = standingOf(incident, words)
  const kindWord = kind === 'campaign' ? `${words.campaign} · ` : ''
  const sampleWord = sample ? ` · ${words.sample}` : ''
  const title = `${severity} · ${kindWord}${incident.title} (${standing})${sampleWord}`
  const blocks: KnownBlock[] = [
    { type: 'header', text: { type: 'plain_text', text: plain(title, HEADER_CHARS), emoji: false } },
    { type: 'section', text: { type: 'mrkdwn', verbatim: true, text: summary(incident, voice, nowMs) } },
    { type: 'section', fields: fields(incident, voice, nowMs) },
  ]
  const example = exampleLine(incident, voice)
  if (example !== '') blocks.push(preformatted([example]))
  if (runbook !== undefined && state === 'open') {
    const text = `${words.runbook}: ${plain(runbook, RUNBOOK_CHARS)}`
    blocks.push({ type: 'context', elements: [{ type: 'plain_text', text, emoji: false }] })
  }
  blocks.push(...actions(incident, voice))
  const footer = [
    `INC-${incident.number}`,
    words.alerts(voice.number(incident.count)),
    words.edited(voice.time.second(nowMs)),
  ]
  blocks.push({ type: 'context', elements: [{ type: 'plain_text', text: footer.join(' · '), emoji: false }] })
  const target = incident.targets[0]
  const line = [
    `[${severity}] ${kindWord}${markup(incident.title, 120)}`,
    ...(target === undefined ? [] : [markup(target, 80)]),
    // What is blocked says how many as well.
    ...(incident.holds.active > 0
      ? []
      : [words.addresses(voice.number(incident.address_count), incident.address_count > ADDRESSES_MAX)]),
    `${blocked(incident, voice, nowMs)} (${standing})${sampleWord}`,
  ]
  return {
    text: line.join(' · '),
    attachments: [{ color: state === 'closed' ? COLOUR_CLOSED : (COLOURS[severity_id] ?? COLOURS[1]!), blocks }],
  }
}

function standingOf({ state, merged_into, quiet_time }: Incident, words: Words): string {
  if (merged_into !== undefined) return words.merged
  return quiet_time === undefined ? words[state] : words.quietOpen
}

function summary(incident: Incident, voice: Voice, nowMs: number): string {
  const { words, number } = voice
  // What was done comes first; as many addresses as are blocked need not be counted again.
  const parts = [
    `*${blocked(incident, voice, nowMs)}*`,
    words.alerts(number(incident.count)),
    ...(incident.holds.active === incident.address_count
      ? []
      : [words.addresses(number(incident.address_count), incident.address_count > ADDRESSES_MAX)]),
  ]
  const { state, merged_into, acknowledged, false_positive, snoozed, helpful, holds } = incident
  const who = (by: string): string => markup(nameOf(by), 80)
  if ((holds.waiting ?? 0) > 0) parts.push(words.waitingForWaf(number(holds.waiting ?? 0)))
  if (holds.slowest_ms !== undefined) parts.push(words.slowest(number(Math.ceil(holds.slowest_ms / 100) / 10)))
  if (state === 'closed') parts.push(words.duration(number(minutesOf(incident))))
  if (merged_into !== undefined) parts.push(words.mergedInto)
  if (acknowledged) parts.push(words.acknowledgedBy(who(acknowledged.by)))
  if (false_positive) parts.push(words.falsePositiveBy(who(false_positive.by)))
  else if (state === 'closed' && merged_into === undefined) parts.push(words.noFalsePositive)
  if (snoozed && state === 'open') parts.push(words.snoozedBy(who(snoozed.by), voice.time.minute(snoozed.until, nowMs)))
  if (helpful) parts.push(words.helpfulBy(who(helpful.by), helpful.yes))
  return parts.join(' — ')
}

/** What a thread is told when it is over: for how long, how much, and what was done. */
export function resolvedLine(incident: Incident, voice: Voice, nowMs: number): string {
  const { words, number } = voice
  return [
    words.duration(number(minutesOf(incident))),
    words.alerts(number(incident.count)),
    words.addresses(number(incident.address_count), incident.address_count > ADDRESSES_MAX),
    blocked(incident, voice, nowMs),
    incident.false_positive
      ? words.falsePositiveBy(markup(nameOf(incident.false_positive.by), 80))
      : words.noFalsePositive,
  ].join(' · ')
}

function minutesOf({ first_seen_time, last_seen_time }: Incident): number {
  return Math.max(1, Math.round((last_seen_time - first_seen_time) / 60_000))
}

function blocked({ holds }: Incident, { words, number, time }: Voice, nowMs: number): string {
  if (holds.active > 0) {
    return escapeMarkup(
      words.blocking(number(holds.active), holds.until === undefined ? undefined : time.minute(holds.until, nowMs)),
    )
  }
  return holds.total > 0 ? words.blockedBefore(number(holds.total)) : words.notBlocking
}

/** In plain text: a host name is what the client sent. */
function fields(incident: Incident, { words, time, number }: Voice, nowMs: number) {
  const { targets, countries, networks, rules, first_seen_time, last_seen_time } = incident
  const top = countries.toSorted((a, b) => b.count - a.count).slice(0, 3)
  const network = networks.toSorted((a, b) => b.count - a.count)[0]
  const from = [
    ...top.map(({ name, count }) => `${flag(name)} ${name} ${number(count)}`.trim()),
    ...(network ? [network.name] : []),
    ...(incident.kind === 'actor' && incident.actor ? [incident.actor.value] : []),
  ]
  const rows: readonly (readonly [string, string])[] = [
    [words.target, listed(targets, 3, words, number)],
    [words.from, from.join(' · ')],
    [words.times, `${time.minute(first_seen_time, nowMs)} / ${time.minute(last_seen_time, nowMs)}`],
    [
      words.rules,
      listed(
        rules.toSorted((a, b) => b.count - a.count).map(({ title }) => title),
        3,
        words,
        number,
      ),
    ],
  ]
  return rows.map(([label, value]) => {
    return { type: 'plain_text' as const, text: `${label}\n${plain(value === '' ? '–' : value, 400)}`, emoji: false }
  })
}

function listed(all: readonly string[], max: number, words: Words, number: Voice['number']): string {
  const shown = all.slice(0, max).map(each => cut(each, 100))
  const rest = all.length - shown.length
  return shown.join(', ') + (rest > 0 ? ` ${words.others(number(rest))}` : '')
}

function exampleLine({ example, addresses, count }: Incident, { words, number }: Voice): string {
  if (!example) return ''
  const { method, path, user_agent, rule } = example
  const parts = [
    [method, path].filter(Boolean).join(' '),
    user_agent && `UA=${user_agent}`,
    rule && `rule=${rule}`,
    addresses.length > 1 && `${addresses.slice(0, 5).join(' ')}${addresses.length > 5 ? ' …' : ''}`,
  ]
  if (count > 1) parts.push(`(${words.example(number(count))})`)
  return parts.filter(Boolean).join('  ')
}

/** Lines in which Slack reads no markup. */
export function preformatted(lines: readonly string[], charsMax = 1_000): KnownBlock {
  const element = { type: 'text' as const, text: lines.map(line => plain(line, charsMax)).join('\n') }
  return { type: 'rich_text', elements: [{ type: 'rich_text_preformatted', elements: [element] }] }
}

/** What can be pressed. Addresses travel in the value, so that whoever answers needs no memory of the incident. */
function actions(incident: Incident, { words, consoleUrl }: Voice): KnownBlock[] {
  const { uid, state, holds } = incident
  if (incident.merged_into !== undefined) return []
  const plainText = (text: string) => ({ type: 'plain_text' as const, text, emoji: false })
  const elements = []
  if (!incident.acknowledged && state === 'open') {
    elements.push({
      type: 'button' as const,
      action_id: 'acknowledge',
      style: 'primary' as const,
      text: plainText(words.acknowledge),
      value: buttonValue(incident, 0),
    })
  }
  const url = evidenceUrl(consoleUrl, uid)
  if (url !== undefined) {
    elements.push({ type: 'button' as const, action_id: 'evidence', text: plainText(words.evidence), url })
  }
  if (holds.active > 0) {
    const value = buttonValue(incident, VALUE_CHARS)
    elements.push({
      type: 'button' as const,
      action_id: 'unblock',
      style: 'danger' as const,
      text: plainText(words.unblock),
      value,
    })
    elements.push({ type: 'button' as const, action_id: 'extend', text: plainText(words.more.extend), value })
  }
  if (incident.severity_id < 5 && state === 'open' && !incident.snoozed) {
    const value = buttonValue(incident, 0)
    elements.push({ type: 'button' as const, action_id: 'snooze', text: plainText(words.more.snooze), value })
  }
  if (!incident.false_positive) {
    const value = buttonValue(incident, 0)
    elements.push({
      type: 'button' as const,
      action_id: 'false_positive',
      text: plainText(words.more.falsePositive),
      value,
    })
  }
  const blocks: KnownBlock[] = elements.length === 0 ? [] : [{ type: 'actions', elements }]
  if (state !== 'closed' || incident.helpful) return blocks
  const answers = (['helpful', 'not_helpful'] as const).map(action_id => {
    const text = plainText(action_id === 'helpful' ? words.yes : words.no)
    return { type: 'button' as const, action_id, text, value: buttonValue(incident, 0) }
  })
  return [...blocks, { type: 'section', text: plainText(words.wasItHelpful) }, { type: 'actions', elements: answers }]
}

/** `{"i":uid,"n":number,"a":[blocked addresses that fit],"t":of how many}`: of a network that is held as one, the network. */
function buttonValue({ uid, number, holds, addresses }: Incident, charsMax: number): string {
  const fitting: string[] = []
  let chars = 90
  for (const target of holds.targets ?? addresses) {
    chars += target.length + 3
    if (chars > charsMax) break
    fitting.push(target)
  }
  return JSON.stringify({ i: uid, n: number, a: fitting, t: holds.active })
}
