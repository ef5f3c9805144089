import { z } from 'zod'
import { type Deps, defineSink, type Encoded, type Sink, type Verdict } from '../engine/contract.ts'
import { OwnedPartition } from '../engine/owned-partition.ts'
import { type Backoff, backoffMs } from '../platform/backoff.ts'
import { asError, HaetaeError, isForAPerson } from '../platform/errors.ts'
import { type Incident, readIncident } from '../platform/incident.ts'
import { readNotified } from '../platform/notify/notice.ts'
import { evidenceUrl } from '../platform/notify/text.ts'
import { languages, type Words, wordsOf } from '../platform/notify/words.ts'
import { responseTopic } from '../platform/response/topics.ts'
import { readSecret, secretRef } from '../platform/secret.ts'
import type { TopicConfig, Topics } from '../platform/topics/contract.ts'
import { jsonOf, pagerDutyOf, send } from './escalate/call.ts'
import { type Due, type Sent, sentSchema, Watch } from './escalate/watch.ts'

const MINUTE_MS = 60_000
const PASS_MS = 5_000
const backoff: Backoff = { firstMs: 5_000, maxMs: 60_000 }

const config = z
  .strictObject({
    url: secretRef.describe('Where calls are posted, https://…; a secret, as whoever knows it may post there'),
    format: z
      .enum(['json', 'pagerduty'])
      .default('json')
      .describe("`json`: our own, for any receiver; `pagerduty`: PagerDuty's Events API v2"),
    routingKey: secretRef.optional().describe('Of the PagerDuty service; needed for it, and for nothing else'),
    unacknowledgedMinutes: z
      .number()
      .positive()
      .max(1_440)
      .default(15)
      .describe('A critical incident that nobody acknowledged for so long is a call'),
    slackMinutes: z
      .number()
      .positive()
      .max(1_440)
      .default(2)
      .describe('One that is not in Slack after so long is, too: Slack is down, or not set up'),
    language: z.enum(languages).default('ko').describe('Of the line that people read'),
    consoleUrl: z
      .union([z.literal(''), z.url()])
      .default('')
      .describe('Base of the link to the evidence; empty: no link'),
    topic: z.string().min(1).default('incidents').describe('Read whole at start; who reads its partition 0 calls'),
    notifiedTopic: z.string().min(1).default('notified').describe('Of the sink `slack`; made at start'),
    escalatedTopic: z.string().min(1).default('escalated').describe('Compacted; what was sent'),
    timeoutMs: z.int().min(100).max(60_000).default(10_000).describe('For one call'),
  })
  .refine(({ format, routingKey }) => format !== 'pagerduty' || routingKey !== undefined, {
    path: ['routingKey'],
    message: 'is needed for the format pagerduty',
  })
type Config = z.output<typeof config>

export const escalate = defineSink({
  type: 'escalate',
  summary:
    'Calls somebody beside Slack, by a web hook, for critical incidents that nobody acknowledged or that did not reach Slack',
  config,
  example: `url: { env: HAETAE_ESCALATION_URL }
format: pagerduty
routingKey: { env: HAETAE_ESCALATION_KEY }
unacknowledgedMinutes: 15
slackMinutes: 2
language: ko
consoleUrl: https://console.example.com
topic: incidents
notifiedTopic: notified
escalatedTopic: escalated
timeoutMs: 10000
`,
  topicsWritten: escalateTopics,
  open: openEscalate,
})

function escalateTopics({ notifiedTopic, escalatedTopic }: Config): readonly TopicConfig[] {
  return [responseTopic(notifiedTopic, true), responseTopic(escalatedTopic, true)]
}

/** Throws SECRET_MISSING, and CONFIG_INVALID when the address is none. */
async function openEscalate(given: Config, deps: Deps): Promise<Sink> {
  const topics = await deps.topics()
  for (const each of escalateTopics(given)) await topics.ensure(each)
  const address = readSecret(given.url)
  if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol))
    throw new HaetaeError('CONFIG_INVALID', 'escalate: url names a secret that is no http(s) address')
  const routingKey = given.format === 'pagerduty' && given.routingKey ? readSecret(given.routingKey) : ''
  return new EscalateSink(given, deps, topics, address, routingKey)
}

interface Owned {
  readonly watch: Watch
  readonly stop: AbortController
  readonly running: Promise<void>
}

/** What is in Slack and what was sent stand on compacted topics; a write only says which incidents there are. */
class EscalateSink implements Sink {
  readonly wants = 'raw'
  readonly #config: Config
  readonly #deps: Deps
  readonly #topics: Topics
  readonly #address: string
  readonly #routingKey: string
  readonly #words: Words
  readonly #partition: OwnedPartition<Owned>

  constructor(given: Config, deps: Deps, topics: Topics, address: string, routingKey: string) {
    this.#config = given
    this.#deps = deps
    this.#topics = topics
    this.#address = address
    this.#routingKey = routingKey
    this.#words = wordsOf[given.language]
    this.#partition = new OwnedPartition(deps.positions, `${given.topic}/0`, {
      restore: isLost => this.#restore(isLost),
      end: ({ stop, running }) => {
        stop.abort()
        return running
      },
      failed: thrown => this.#failed(thrown),
    })
  }

  write(records: readonly Encoded[]): Promise<Verdict> {
    return this.#partition.write(records, ({ watch }, reject) => {
      for (const [index, { event }] of records.entries()) {
        const incident = readIncident(event.raw)
        if (incident) watch.put(incident)
        else reject.push({ index, reason: 'not_incident: no incident of this version' })
      }
    })
  }

  close(): Promise<void> {
    return this.#partition.leave()
  }

  async #restore(isLost: () => boolean): Promise<Owned> {
    const { unacknowledgedMinutes, slackMinutes, topic, escalatedTopic } = this.#config
    const sent: Sent[] = []
    for await (const { key, value } of this.#topics.readCompacted(escalatedTopic)) {
      const { data } = sentSchema.safeParse(JSON.parse(String(value)))
      if (!data)
        throw new HaetaeError(
          'TOPIC_CORRUPT',
          `${escalatedTopic} holds under ${key ?? 'no key'} what this version cannot read`,
        )
      sent.push(data)
    }
    const patience = { unacknowledgedMs: unacknowledgedMinutes * MINUTE_MS, slackMs: slackMinutes * MINUTE_MS }
    const watch = new Watch(patience, sent)
    for await (const { value } of this.#topics.readCompacted(topic)) {
      const incident = value ? readIncident(value) : undefined
      if (incident) watch.put(incident)
    }
    const stop = new AbortController()
    if (isLost()) stop.abort()
    return { watch, stop, running: this.#run(watch, stop.signal) }
  }

  async #run(watch: Watch, signal: AbortSignal): Promise<void> {
    const { clock, log, paused } = this.#deps
    let failures = 0
    while (!signal.aborted) {
      try {
        const due = await this.#due(watch)
        if (due) await this.#call(watch, due, signal)
        else for (const uid of watch.forget()) await this.#keep(uid, null)
        if (failures > 0 && due) {
          log.info('escalations are taken again')
          paused?.('escalate', undefined)
        }
        if (due) failures = 0
        else await clock.wait(PASS_MS, signal)
      } catch (thrown) {
        if (signal.aborted) return
        const error = asError(thrown)
        if (failures === 0) log.error('an escalation could not be sent', { error: error.message })
        if (isForAPerson(thrown)) paused?.('escalate', error.message)
        await clock.wait(
          backoffMs(backoff, failures++, () => 0.5),
          signal,
        )
      }
    }
  }

  async #due(watch: Watch): Promise<Due | undefined> {
    const nowMs = this.#deps.clock.now()
    const isInSlack = watch.asksSlack(nowMs) ? await this.#inSlack() : () => true
    return watch.next(nowMs, isInSlack)
  }

  /** What the sink `slack` has posted: a message of its own, or of the storm in which it is counted. */
  async #inSlack(): Promise<(incident: Incident) => boolean> {
    const uids = new Set<string>()
    const storms: { readonly fromMs: number; readonly endMs: number }[] = []
    for await (const { value } of this.#topics.readCompacted(this.#config.notifiedTopic)) {
      const { notice, channel } = (value && readNotified(value)) || {}
      if (notice?.state === 'posted') uids.add(notice.incident)
      for (const { kind, state, fromMs, endMs = Number.POSITIVE_INFINITY } of channel?.rounds ?? [])
        if (kind === 'critical' && state === 'posted') storms.push({ fromMs, endMs })
    }
    return ({ uid, opened_time }) =>
      uids.has(uid) || storms.some(({ fromMs, endMs }) => opened_time >= fromMs && opened_time <= endMs)
  }

  /** At least once: a death between the call and its note sends it again, under the same id. */
  async #call(watch: Watch, due: Due, signal: AbortSignal): Promise<void> {
    const { clock, metrics } = this.#deps
    const { format, consoleUrl, timeoutMs } = this.#config
    const nowMs = clock.now()
    const call = { ...due, timeMs: nowMs }
    const url = evidenceUrl(consoleUrl, due.incident.uid)
    const body =
      format === 'pagerduty' ? pagerDutyOf(call, this.#words, url, this.#routingKey) : jsonOf(call, this.#words, url)
    const counter = metrics.counter('haetae_escalations_total', 'Calls beside Slack, by what became of them', [
      'reason',
      'outcome',
    ])
    try {
      await send(this.#address, body, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]))
      counter.add({ reason: due.reason, outcome: 'taken' })
    } catch (thrown) {
      counter.add({ reason: due.reason, outcome: 'failed' })
      throw thrown
    }
    if (due.reason !== 'over') watch.spend(nowMs)
    await this.#keep(due.incident.uid, watch.done(due, nowMs))
  }

  async #keep(key: string, value: Sent | null): Promise<void> {
    const { escalatedTopic } = this.#config
    const bytes = value === null ? null : Buffer.from(JSON.stringify(value))
    const { retry } = await this.#topics.append(escalatedTopic, [{ key, value: bytes, timeMs: this.#deps.clock.now() }])
    if (retry.length > 0) throw new HaetaeError('TOPIC_UNREACHABLE', `${escalatedTopic} did not take a record yet`)
  }

  #failed(thrown: unknown): void {
    this.#deps.log.warn('critical incidents cannot be watched yet', { error: asError(thrown).message })
  }
}
