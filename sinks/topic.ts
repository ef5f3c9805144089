import { z } from 'zod'
import {
  type Deps,
  defineSink,
  type Encoded,
  type Kind,
  kinds,
  logKinds,
  type Rejection,
  type Sink,
  type Verdict,
} from '../engine/contract.ts'
import { asError, hasCode } from '../platform/errors.ts'
import type { Appended, TopicConfig, TopicRecord, Topics } from '../platform/topics/contract.ts'

/** How soon a full topic is asked again, and how late: asking costs nothing, and space that returns is used at once. */
const RETRY_AFTER_MS = 1_000
const RETRY_WITHIN_MS = 2_000
const KIND = '{kind}'
const HOUR_MS = 3_600_000

const config = z.strictObject({
  topic: z
    .string()
    .regex(/^[A-Za-z0-9._-]*(\{kind\})?[A-Za-z0-9._-]*$/, 'letters, digits, . _ - and at most one {kind}')
    .min(1)
    .default(`events.${KIND}`)
    .describe('{kind} becomes waf, guardduty, alert …: a topic for each kind'),
  kinds: z
    .array(z.enum(kinds))
    .min(1)
    .default([...logKinds])
    .describe('Kinds whose topics are made at start; with {kind} in `topic`'),
  only: z
    .array(z.enum(kinds))
    .min(1)
    .optional()
    .describe('Takes these kinds alone and leaves the others to another sink; all of them when left out'),
  partitions: z.int().min(1).max(1024).default(4).describe('Bounds how many consumers share the work of a group'),
  compacted: z.boolean().default(false).describe('Keeps the newest record of each key for ever'),
  retention: z
    .strictObject({
      hours: z.number().positive().default(168),
      bytesMax: z
        .number()
        .int()
        .positive()
        .default(10 * 1024 ** 3),
    })
    .prefault({})
    .describe('What is older or more is deleted, once every registered group has committed it'),
})

export const topic = defineSink({
  type: 'topic',
  summary: 'Appends records as received to a topic, by the key the `key` stage gave them; done when they are durable.',
  config,
  example: `topic: events.{kind}
kinds: [waf]
only: [waf]
partitions: 4
compacted: false
retention: { hours: 168, bytesMax: 10737418240 }
`,
  topicsWritten,
  open: openTopicSink,
})

/** Records of one write that go into one append: same topic, received together. Positions are those of the write. */
interface Group {
  readonly topic: string
  readonly marker: string | undefined
  readonly records: TopicRecord[]
  readonly positions: number[]
  readonly firstId: () => string
}

/** Throws TOPIC_MISMATCH when the topic exists with other settings. */
async function openTopicSink(given: z.output<typeof config>, deps: Deps): Promise<Sink> {
  const topics = await deps.topics()
  const ensured = new Map<string, Promise<void>>()
  const ensure = (name: string): Promise<void> => {
    const known = ensured.get(name)
    if (known) return known
    const ensuring = topics.ensure(topicConfig(name, given))
    ensured.set(name, ensuring)
    ensuring.catch(() => ensured.delete(name))
    return ensuring
  }
  await Promise.all(wantedKinds(given).map(kind => ensure(topicName(given.topic, kind))))
  let failing = false
  let paused: string | undefined
  const pause = (reason: string | undefined): void => {
    if (reason !== paused) deps.paused?.('topic', reason)
    paused = reason
  }
  return {
    wants: 'raw',
    async write(records) {
      const retry: number[] = []
      const reject: Rejection[] = []
      const groups = groupRecords(records, given)
      let refusal: string | undefined
      await Promise.all(
        groups.map(async group => {
          try {
            await ensure(group.topic)
            const appended = await appendGroup(topics, group)
            refusal ??= appended.paused
            retry.push(...appended.retry.map(index => group.positions[index]!))
            for (const { index, reason } of appended.refused ?? []) {
              reject.push({ index: group.positions[index]!, reason })
            }
          } catch (thrown) {
            retry.push(...group.positions)
            if (hasCode(thrown, 'TOPIC_UNAUTHORISED')) refusal ??= asError(thrown).message
            // The first of a row is said; the rest is in the engine's retry counter.
            if (!failing) deps.log.warn('records wait for their topic', describe(thrown, group.topic))
            failing = true
            if (hasCode(thrown, 'TOPIC_FULL')) deps.paused?.('topic', asError(thrown).message)
          }
        }),
      )
      pause(refusal)
      if (retry.length === 0) {
        if (failing) {
          deps.paused?.('topic', undefined)
          deps.log.info('records reach their topic again')
        }
        failing = false
        return reject.length === 0 ? DURABLE : { retry, reject }
      }
      const waits = { retryAfterMs: RETRY_AFTER_MS, retryWithinMs: RETRY_WITHIN_MS }
      return { retry: retry.sort((a, b) => a - b), reject, ...waits }
    },
    close: () => Promise.resolve(),
  }
}

const DURABLE: Verdict = { retry: [], reject: [] }

/**
 * What became of the group. The marker is bound to this very set by its size and first record, so
 * that a source which gave one marker to two sets would see both written.
 */
async function appendGroup(topics: Topics, { topic: name, marker, records, firstId }: Group): Promise<Appended> {
  const exact = marker === undefined ? undefined : `${marker}/${records.length}/${firstId()}`
  return topics.append(name, records, exact)
}

function groupRecords(
  records: readonly Encoded[],
  { topic: template, only }: z.output<typeof config>,
): readonly Group[] {
  const groups = new Map<string, Group>()
  let last: Group | undefined
  let lastKind: Kind | undefined
  for (const [position, { event }] of records.entries()) {
    if (only && !only.includes(event.kind)) continue
    if (!last || event.marker !== last.marker || event.kind !== lastKind) {
      const name = topicName(template, event.kind)
      const id = event.marker === undefined ? name : `${name} ${event.marker}`
      last = groups.get(id)
      if (!last) {
        last = { topic: name, marker: event.marker, records: [], positions: [], firstId: () => event.id }
        groups.set(id, last)
      }
      lastKind = event.kind
    }
    const { key, raw: value, receivedMs: timeMs, replayed } = event
    last.records.push(replayed ? { key, value, timeMs, replayed } : { key, value, timeMs })
    last.positions.push(position)
  }
  return [...groups.values()]
}

function topicName(template: string, kind: Kind): string {
  return template.replace(KIND, kind)
}

function topicsWritten(given: z.output<typeof config>): readonly TopicConfig[] {
  return wantedKinds(given).map(kind => topicConfig(topicName(given.topic, kind), given))
}

/** One topic for each kind, or one for all. */
function wantedKinds({ topic: template, kinds: wanted }: z.output<typeof config>): readonly Kind[] {
  return template.includes(KIND) ? wanted : wanted.slice(0, 1)
}

function topicConfig(name: string, given: z.output<typeof config>): TopicConfig {
  const { partitions, compacted, retention } = given
  return {
    name,
    partitions,
    compacted,
    retention: { ageMsMax: retention.hours * HOUR_MS, bytesMax: retention.bytesMax },
  }
}

function describe(thrown: unknown, name: string): Readonly<Record<string, unknown>> {
  const full = hasCode(thrown, 'TOPIC_FULL')
  return { topic: name, full, error: asError(thrown).message }
}
