import { z } from 'zod'
import { type Deps, defineSink, type Encoded, type Rejection, type Sink, type Verdict } from '../engine/contract.ts'
import { asError } from '../platform/errors.ts'
import { responseTopic } from '../platform/response/topics.ts'
import type { TopicConfig } from '../platform/topics/contract.ts'
import { Turns } from '../platform/turns.ts'
import { alertFacts } from './incidents/alert.ts'
import { auditFacts } from './incidents/audit.ts'
import { IncidentBook } from './incidents/book.ts'
import { Seen } from './incidents/seen.ts'
import { IncidentStore } from './incidents/store.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const RETRY_AFTER_MS = 1_000
/** How often quiet incidents are looked for. */
const PASS_MS = 1_000
/** What is written as one record stays well below the 1 MiB that brokers take. */
const SLICE_BYTES = 384 * 1024

const config = z.strictObject({
  topic: z.string().min(1).default('incidents').describe('Compacted; one partition'),
  stateTopic: z.string().min(1).default('incidents.state').describe('Compacted; nobody else reads it'),
  alerts: z
    .string()
    .min(1)
    .default('alerts')
    .describe('Who reads partition 0 of this topic owns the incidents; every other process stands by'),
  auditTopic: z.string().min(1).default('audit').describe('Made at start too, as it is read beside the alerts'),
  keepAliveMinutes: z.number().positive().default(10).describe('Quiet for so long, and an incident is closed'),
  durationHoursMax: z.number().positive().default(6).describe('Then it is closed, and goes on in a successor'),
  unseenHoursMax: z
    .number()
    .positive()
    .default(72)
    .describe('A critical one stays open, though quiet, until somebody acknowledges it, but no longer than this'),
  campaignActors: z
    .int()
    .min(2)
    .max(20)
    .default(5)
    .describe('So many actors who do the same become one incident, the campaign'),
  openMax: z
    .int()
    .min(10)
    .max(5_000)
    .default(1_000)
    .describe('Open at once; what would open one more is counted in one for the rest'),
  closedHours: z.number().positive().default(168).describe('Closed ones stay on the topic for so long'),
  closedMax: z.int().min(10).max(5_000).default(1_000).describe('And at most so many'),
})
type Config = z.output<typeof config>

export const incidents = defineSink({
  type: 'incidents',
  summary:
    'Groups alerts to incidents, each alert counted once, and keeps them on a compacted topic; reads audit records too',
  config,
  example: `topic: incidents
stateTopic: incidents.state
alerts: alerts
auditTopic: audit
keepAliveMinutes: 10
durationHoursMax: 6
unseenHoursMax: 72
campaignActors: 5
openMax: 1000
closedHours: 168
closedMax: 1000
`,
  topicsWritten: incidentTopics,
  async open(given, deps) {
    const topics = await deps.topics()
    for (const each of incidentTopics(given)) await topics.ensure(each)
    return new IncidentSink(given, deps, new IncidentStore(topics, { incidents: given.topic, state: given.stateTopic }))
  },
})

function incidentTopics({ topic, stateTopic, auditTopic }: Config): readonly TopicConfig[] {
  return [responseTopic(topic, true), responseTopic(stateTopic, true), responseTopic(auditTopic, false)]
}

interface Owned {
  readonly book: IncidentBook
  readonly seen: Seen
}

class IncidentSink implements Sink {
  readonly #config: Config
  readonly #deps: Deps
  readonly #store: IncidentStore
  /** While this process owns the incidents: what is known, or on its way. */
  #owned: Promise<Owned> | undefined
  /** The partition went to another process: what is still written here is read again there. */
  #isLost = false
  /** Writes and passes take turns. */
  readonly #turns = new Turns()
  readonly #stop = new AbortController()
  readonly #passing: Promise<void>
  #failing = false
  readonly #meters: Meters

  constructor(given: Config, deps: Deps, store: IncidentStore) {
    this.#config = given
    this.#deps = deps
    this.#store = store
    this.#meters = metersOf(deps)
    const owner = `${given.alerts}/0`
    deps.positions.onAssigned(streams => {
      if (!streams.includes(owner)) return
      this.#isLost = false
      void this.#turns.take(() => this.#own()).catch(thrown => this.#failed(thrown))
    })
    deps.positions.onRevoked(streams => {
      if (!streams.includes(owner)) return
      this.#isLost = true
      this.#owned = undefined
    })
    this.#passing = this.#pass()
  }

  write(records: readonly Encoded[]): Promise<Verdict> {
    return this.#turns.take(async () => {
      const reject: Rejection[] = []
      // A delivery is tried again even after its partition was taken away: it must not make us its owner once more.
      if (this.#isLost) return { retry: [], reject }
      try {
        const owned = await this.#own()
        if (this.#isLost) return { retry: [], reject }
        for (const [index, record] of records.entries()) {
          if (!this.#take(owned, record))
            reject.push({ index, reason: 'not_alert: neither an alert nor an audit record' })
          if (owned.book.changedBytes > SLICE_BYTES) await this.#commit(owned)
        }
        await this.#commit(owned)
        this.#failing = false
        return { retry: [], reject }
      } catch (thrown) {
        if (this.#isLost) return { retry: [], reject }
        this.#failed(thrown)
        return { retry: records.map((_, index) => index), reject: [], retryAfterMs: RETRY_AFTER_MS }
      }
    })
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#passing
    await this.#turns.ended()
  }

  /** False when the record is not ours to understand. */
  #take({ book, seen }: Owned, { event }: Encoded): boolean {
    const nowMs = this.#deps.clock.now()
    if (event.kind === 'audit') {
      const fact = auditFacts(event.body)
      if (fact && seen.add(fact.uid)) book.audit(fact, nowMs)
      return true
    }
    const alert = alertFacts(event.body)
    if (!alert) return false
    const isNew = seen.add(alert.uid)
    this.#meters.alerts.add({ seen: isNew ? 'first' : 'again' })
    if (isNew) book.alert(alert, nowMs)
    return true
  }

  #own(): Promise<Owned> {
    this.#owned ??= this.#restore()
    const owned = this.#owned
    owned.catch(() => {
      if (this.#owned === owned) this.#owned = undefined
    })
    return owned
  }

  async #restore(): Promise<Owned> {
    const { keepAliveMinutes, durationHoursMax, unseenHoursMax, campaignActors, openMax, closedHours, closedMax } =
      this.#config
    const restored = await this.#store.restore(this.#deps.clock.now())
    const grouping = {
      keepAliveMs: keepAliveMinutes * MINUTE_MS,
      durationMsMax: durationHoursMax * HOUR_MS,
      unseenMsMax: unseenHoursMax * HOUR_MS,
      campaignActors,
      openMax,
      closedKeepMs: closedHours * HOUR_MS,
      closedMax,
    }
    const book = new IncidentBook(grouping, restored)
    this.#deps.log.info('incidents restored', { open: book.openCount, known: restored.incidents.length })
    return { book, seen: new Seen(restored.chunks) }
  }

  async #commit({ book, seen }: Owned): Promise<void> {
    await this.#store.commit(book, seen, this.#deps.clock.now())
    this.#meters.open.set(book.openCount)
  }

  async #pass(): Promise<void> {
    const { clock } = this.#deps
    while (!this.#stop.signal.aborted) {
      await clock.wait(PASS_MS, this.#stop.signal)
      if (this.#stop.signal.aborted || !this.#owned) continue
      await this.#turns
        .take(async () => {
          const owned = await this.#owned
          if (!owned) return
          owned.book.pass(clock.now())
          if (owned.book.isChanged) await this.#commit(owned)
        })
        .catch(thrown => this.#failed(thrown))
    }
  }

  #failed(thrown: unknown): void {
    // The first of a row is said.
    if (!this.#failing) this.#deps.log.warn('incidents cannot be kept yet', { error: asError(thrown).message })
    this.#failing = true
  }
}

type Meters = ReturnType<typeof metersOf>

function metersOf({ metrics }: Deps) {
  return {
    alerts: metrics.counter('haetae_incident_alerts_total', 'Alerts taken in, and those that came again', ['seen']),
    open: metrics.gauge('haetae_incidents_open', 'Incidents that are open'),
  }
}
