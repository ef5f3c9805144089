import { z } from 'zod'
import { type Deps, defineSink, type Encoded, type Sink, type Verdict } from '../engine/contract.ts'
import { OwnedPartition } from '../engine/owned-partition.ts'
import { asError, HaetaeError } from '../platform/errors.ts'
import { type Incident, readIncident } from '../platform/incident.ts'
import { readNotified } from '../platform/notify/notice.ts'
import { slackIdOf } from '../platform/notify/text.ts'
import { languages, wordsOf } from '../platform/notify/words.ts'
import { responseTopic } from '../platform/response/topics.ts'
import { readSecret, secretRef } from '../platform/secret.ts'
import type { SlackAccess } from '../platform/slack.ts'
import type { TopicConfig } from '../platform/topics/contract.ts'
import { type AuditNews, answerTo, isCritical, newsOf, readAudit } from './slack/bulletin.ts'
import type { Voice } from './slack/card.ts'
import { SlackCalls } from './slack/client.ts'
import { Lane } from './slack/lane.ts'
import { localTime } from './slack/local-time.ts'
import { channelRecordOf, Runner } from './slack/runner.ts'

/** Later than that nobody waits for an answer to what he pressed. */
const ANSWER_MS = 5 * 60_000
const channelId = z.string().regex(/^[CG][A-Z0-9]{5,20}$/, 'the id of a channel, such as C0123456789, not its name')
const groupId = z.union([
  z.literal(''),
  z.string().regex(/^S[A-Z0-9]{5,20}$/, 'the id of a user group, such as S0123456789'),
])

const config = z.strictObject({
  token: secretRef.describe('Bot token, xoxb-…; what it must be allowed is in docs/slack.md'),
  channels: z
    .strictObject({
      alerts: channelId.describe('Where incidents of high and medium severity go'),
      critical: z
        .union([z.literal(''), channelId])
        .default('')
        .describe('Where critical ones go, and that blocking fails or was wrong; empty: to `alerts`'),
      ops: z
        .union([z.literal(''), channelId])
        .default('')
        .describe('Where news of the pipeline itself go; empty: to `alerts`'),
    })
    .describe('Channel ids; the bot must be a member'),
  language: z.enum(languages).default('ko').describe('Of everything Haetae says'),
  timeZone: z
    .string()
    .default('Asia/Seoul')
    .refine(isTimeZone, 'a time zone such as Asia/Seoul')
    .describe('Of every time in a message, and of the quiet hours'),
  quietHours: z
    .union([z.literal(''), z.string().regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/)])
    .default('22:00-08:00')
    .describe('Medium incidents of these hours are one message in the morning; empty: none'),
  onCall: z
    .array(groupId)
    .max(2)
    .default([])
    .describe('User groups mentioned when a critical incident is not acknowledged for 5, and 15 minutes'),
  consoleUrl: z
    .union([z.literal(''), z.url()])
    .default('')
    .describe('Base of the button to the evidence; empty: no button'),
  topic: z
    .string()
    .min(1)
    .default('incidents')
    .describe('Read whole at start; who reads its partition 0 writes to Slack'),
  notifiedTopic: z
    .string()
    .min(1)
    .default('notified')
    .describe('Compacted; which message in Slack belongs to which incident'),
  auditTopic: z.string().min(1).default('audit').describe('Made at start too, as it is read beside the incidents'),
  apiUrl: z.url().default('https://slack.com/api/').describe('Of Slack, or of a proxy'),
  timeoutMs: z.int().min(100).max(60_000).default(10_000).describe('For one call'),
})
type Config = z.output<typeof config>

export const slack = defineSink({
  type: 'slack',
  summary:
    'Keeps one Slack message for each incident, edited in place, within a budget for each channel; floods become one message',
  config,
  example: `token: { env: SLACK_BOT_TOKEN }
channels: { alerts: C0123456789, critical: C9876543210, ops: C5555555555 }
language: ko
timeZone: Asia/Seoul
quietHours: 22:00-08:00
onCall: [S0123456789]
consoleUrl: https://console.example.com
topic: incidents
notifiedTopic: notified
auditTopic: audit
apiUrl: https://slack.com/api/
timeoutMs: 10000
`,
  topicsWritten: slackTopics,
  open: (given, deps) => openSlack(given, deps),
})

function slackTopics({ notifiedTopic, auditTopic }: Config): readonly TopicConfig[] {
  return [responseTopic(notifiedTopic, true), responseTopic(auditTopic, false)]
}

/** `fetch` takes the place of the network in tests. Throws SECRET_MISSING. */
export async function openSlack(given: Config, deps: Deps, fetch?: SlackAccess['fetch']): Promise<Sink> {
  const topics = await deps.topics()
  for (const each of slackTopics(given)) await topics.ensure(each)
  return new SlackSink(given, deps, {
    token: readSecret(given.token),
    apiUrl: given.apiUrl,
    timeoutMs: given.timeoutMs,
    fetch,
  })
}

export function voiceOf({
  language,
  timeZone,
  quietHours,
  consoleUrl,
}: Pick<Config, 'language' | 'timeZone' | 'quietHours' | 'consoleUrl'>): Voice {
  const numbers = new Intl.NumberFormat(language)
  return {
    words: wordsOf[language],
    time: localTime(timeZone, quietHours),
    consoleUrl,
    number: value => numbers.format(value),
  }
}

/** One for each channel; several of them may be the same. */
interface Lanes {
  readonly all: readonly Lane[]
  readonly alerts: Lane
  readonly critical: Lane
  readonly ops: Lane
}

/** What runs while this process has the partition. */
interface Owned {
  readonly lanes: Lanes
  /** Heard something that is not durable yet. */
  readonly unkept: Set<Lane>
  readonly stop: AbortController
  /** Aborts when another process has the partition: nothing more is kept for it. */
  readonly lost: AbortController
  readonly running: Promise<unknown>
}

/**
 * The compacted topics are the truth: `incidents` says what should be in Slack, `notified` what is. A write only tells the lanes
 * that something changed, so that Slack being slow or down holds nothing back and only the newest state is ever sent.
 */
class SlackSink implements Sink {
  readonly wants = 'raw'
  readonly #config: Config
  readonly #deps: Deps
  readonly #calls: SlackCalls
  readonly #voice: Voice
  readonly #partition: OwnedPartition<Owned>

  constructor(given: Config, deps: Deps, options: SlackAccess) {
    this.#config = given
    this.#deps = deps
    this.#voice = voiceOf(given)
    const counter = deps.metrics.counter('haetae_slack_calls_total', 'Calls of the Slack API', ['method', 'outcome'])
    this.#calls = new SlackCalls(options, (method, outcome) => counter.add({ method, outcome }))
    this.#partition = new OwnedPartition(deps.positions, `${given.topic}/0`, {
      restore: isLost => this.#restore(isLost),
      end: ({ stop, lost, running }, why) => {
        if (why === 'lost') lost.abort()
        stop.abort()
        return running
      },
      failed: thrown => this.#failed(thrown),
    })
  }

  write(records: readonly Encoded[]): Promise<Verdict> {
    return this.#partition.write(records, async ({ lanes, unkept, lost }, reject) => {
      for (const [index, { event }] of records.entries()) {
        const audit = event.kind === 'audit' ? readAudit(event.raw) : undefined
        const incident = audit ? undefined : readIncident(event.raw)
        if (incident) this.#put(lanes, incident)
        else if (audit) for (const lane of this.#hear(lanes, audit)) unkept.add(lane)
        else if (event.kind !== 'audit') reject.push({ index, reason: 'not_incident: no incident of this version' })
      }
      // Before the records are taken for read: nothing else remembers them.
      for (const lane of unkept) {
        await this.#keep(...channelRecordOf(lane), lost.signal)
        unkept.delete(lane)
      }
    })
  }

  close(): Promise<void> {
    return this.#partition.leave()
  }

  /** To where its message is, else to where one of its severity belongs. */
  #put({ all, alerts, critical }: Lanes, incident: Incident): void {
    const noticed = all.find(({ notices }) => notices.has(incident.uid))
    const lane = noticed ?? (incident.severity_id === 5 ? critical : alerts)
    for (const other of all) if (other !== lane) other.incidents.delete(incident.uid)
    lane.put(incident, this.#deps.clock.now())
  }

  /** Lanes that have something new to keep. */
  #hear(lanes: Lanes, audit: AuditNews): Lane[] {
    const nowMs = this.#deps.clock.now()
    const { words } = this.#voice
    const about = lanes.all.find(({ incidents }) => incidents.has(audit.incident_uid ?? ''))
    const incident = about?.incidents.get(audit.incident_uid ?? '')
    const answer = answerTo(audit, incident, words)
    const user = slackIdOf(audit.who)
    // Whoever pressed does not wait for what happened long ago.
    if (answer !== undefined && user !== undefined && nowMs - audit.time < ANSWER_MS)
      (about ?? lanes.alerts).whisper(user, answer)
    const news = newsOf(audit, words, incident)
    if (!news) return []
    const lane = isCritical(news.kind) ? lanes.critical : lanes.ops
    return lane.hear(news, audit, nowMs) ? [lane] : []
  }

  async #restore(isLost: () => boolean): Promise<Owned> {
    const { channels, topic, notifiedTopic, onCall } = this.#config
    const topics = await this.#deps.topics()
    const names = {
      alerts: channels.alerts,
      critical: channels.critical || channels.alerts,
      ops: channels.ops || channels.alerts,
    }
    const known = new Map([...new Set(Object.values(names))].map(name => [name, new Lane(name, this.#voice, onCall)]))
    const all = [...known.values()]
    const lanes: Lanes = {
      all,
      alerts: known.get(names.alerts)!,
      critical: known.get(names.critical)!,
      ops: known.get(names.ops)!,
    }
    for await (const { key, value } of topics.readCompacted(notifiedTopic)) {
      const read = value ? readNotified(value) : undefined
      if (!read) {
        const message = `${notifiedTopic} holds under ${key ?? 'no key'} what this version cannot read: nothing is posted, so that nothing is posted twice`
        throw new HaetaeError('TOPIC_CORRUPT', message)
      }
      const { notice, channel } = read
      const lane = known.get((notice ?? channel)?.channel ?? '')
      if (notice) lane?.notices.set(notice.incident, notice)
      if (channel) lane?.rounds.push(...channel.rounds)
      if (channel) lane?.bulletins.push(...channel.bulletins)
    }
    for await (const { value } of topics.readCompacted(topic)) {
      const incident = value ? readIncident(value) : undefined
      if (incident) this.#put(lanes, incident)
    }
    const stop = new AbortController()
    if (isLost()) stop.abort()
    const lost = new AbortController()
    const running = Promise.all(all.map(lane => this.#runner(lane, lost.signal).run(stop.signal)))
    return { lanes, unkept: new Set(), stop, lost, running }
  }

  #runner(lane: Lane, lost: AbortSignal): Runner {
    const { clock, log, paused } = this.#deps
    return new Runner({
      lane,
      calls: this.#calls,
      clock,
      log,
      random: () => 0.5,
      keep: (key, value) => this.#keep(key, value, lost),
      paused: reason => paused?.(`slack ${lane.channel}`, reason),
    })
  }

  async #keep(key: string, value: unknown, lost: AbortSignal): Promise<void> {
    const { notifiedTopic, topic } = this.#config
    if (lost.aborted)
      throw new HaetaeError('STREAM_REVOKED', `${topic} belongs to another process now: it writes to Slack`)
    const bytes = value === null ? null : Buffer.from(JSON.stringify(value))
    const topics = await this.#deps.topics()
    const { retry } = await topics.append(notifiedTopic, [{ key, value: bytes, timeMs: this.#deps.clock.now() }])
    if (retry.length > 0) throw new HaetaeError('TOPIC_UNREACHABLE', `${notifiedTopic} did not take a record yet`)
  }

  #failed(thrown: unknown): void {
    this.#deps.log.warn('what is in Slack cannot be read yet', { error: asError(thrown).message })
  }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
