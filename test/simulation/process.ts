import { join } from 'node:path'
import type { DeadLetter, Deps, Detector, Event, Sink, Source, StreamState } from '../../engine/contract.ts'
import { type NamedSink, type Plan, run } from '../../engine/pipeline.ts'
import type { NamedStage } from '../../engine/stages.ts'
import { type DeadLetterStore, writeDeadLetters } from '../../engine/write.ts'
import { dedupe } from '../../enrichers/dedupe.ts'
import { backoffMs, writeBackoff } from '../../platform/backoff.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import type { Topics } from '../../platform/topics/contract.ts'
import { topic as topicSink } from '../../sinks/topic.ts'
import { topic as topicSource } from '../../sources/topic.ts'
import { countingDetector } from '../support/counting-detector.ts'
import { alertSink, deadLetterOfLife, searchSink, spoolingSink } from './destinations.ts'
import { LakeSink } from './lake.ts'
import { Life } from './life.ts'
import type { Plant } from './plants.ts'
import { realLakeSink } from './real-lake.ts'
import { SimTopics } from './topics.ts'
import type { World } from './world.ts'

export const TOPIC = 'events.waf'
const PARTITIONS = 2

/** What a record asks for in its `fate`: a stage that throws, refuses, drops, or (in the sink) a refusal. */
const stages: readonly NamedStage[] = [
  {
    name: 'parse',
    stage: {
      apply: (batch, reject) =>
        batch.filter(event => {
          const { n, fate } = JSON.parse(event.raw.toString()) as { n: number; fate: string }
          if (fate === 'poison') throw new Error('simulated: poison')
          if (fate === 'bad') reject(event, 'bad')
          event.body = bodyOf(event, n, fate)
          return fate !== 'bad'
        }),
    },
  },
  { name: 'filter', stage: { apply: batch => batch.filter(event => !event.raw.includes('"fate":"dull"')) } },
]

/** As much of a WAF event as the sinks look at, and where it was read. */
function bodyOf({ id, origin, timeMs }: Event, n: number, fate: string): OcsfEvent {
  return {
    class_uid: 4002,
    time: timeMs,
    count: n,
    activity_name: fate,
    message: `${origin?.stream}@${origin?.position}`,
    cloud: { provider: 'AWS', region: n % 2 === 0 ? 'eu-central-1' : 'us-east-1' },
    metadata: { uid: id, version: '1.8.0', product: { name: 'WAF', vendor_name: 'AWS' } },
  }
}

const keyStage: NamedStage = {
  name: 'key',
  stage: {
    apply(batch) {
      for (const event of batch) event.key = (JSON.parse(event.raw.toString()) as { client: string }).client
      return batch
    },
  },
}

async function dedupeStage(deps: Deps): Promise<NamedStage> {
  return { name: 'dedupe', stage: await dedupe.open(dedupe.config.parse({}), deps) }
}

/** One process of the system over the simulated world: the production engine, sources and topic sink, fake ends. */
export class SimProcess {
  readonly life: Life
  readonly #world: World
  readonly #stop = new AbortController()
  #pipelines: Promise<void>[] = []

  constructor(world: World, machine: string, serial: number) {
    this.#world = world
    this.life = new Life(machine, serial)
  }

  /** Resolves when the process ended by itself: stopped, or because one of its pipelines failed. */
  async run(names: readonly string[]): Promise<void> {
    const starting = names.map(name => this.#pipeline(name))
    this.#pipelines = starting.map(async pipeline => {
      try {
        await pipeline
      } catch {
        // As pipelines/process.ts: a process with half its pipelines is restarted as a whole.
        this.#world.happened('pipeline failed')
        this.#stop.abort()
      }
    })
    await Promise.all(this.#pipelines)
    this.life.kill()
  }

  stop(): void {
    this.#stop.abort()
  }

  async #pipeline(name: string): Promise<void> {
    const { plant } = this.#world
    const real = new SimTopics(this.#world, this.life)
    const topics = plant?.topics?.(real) ?? real
    const deadLetter = this.#deadLetter(name)
    const deps = this.#deps(name, topics, deadLetter)
    const source = name === 'ingest' ? this.#world.client.source(this.life) : await this.#topicSource(name, deps)
    const ownDeps = { ...deps, positions: source.positions ?? deps.positions }
    const detectors = name === 'count' ? [{ name: 'counting', detector: countingDetector() }] : []
    source.keepState?.(
      detectors.map(({ name: own, detector }) => ({ name: own, state: changedState(plant, detector) })),
    )
    const sinks = await this.#sinks(name, ownDeps)
    const alertSinks = name === 'count' ? [{ name: 'alerts', sink: alertSink(this.#world, this.life) }] : []
    const plan: Plan = {
      name,
      source: plant?.source?.(name, source) ?? source,
      stages: name === 'ingest' ? [keyStage] : [...stages, ...(name === 'lake' ? [await dedupeStage(ownDeps)] : [])],
      detectors,
      sinks: sinks.map(each => ({ name: each.name, sink: plant?.sink?.(each.name, each.sink) ?? each.sink })),
      alertSinks,
      deadLetter,
      deliveriesMax: this.#world.random.int(1, 6),
      residentBytesMax: 1024 * 1024,
      drainMs: 3000,
    }
    const random = this.#world.random.fork().next
    await run(plan, { log: silentLog, metrics: deps.metrics, clock: deps.clock, random }, this.#stop.signal)
  }

  async #topicSource(name: string, deps: Deps): Promise<Source> {
    const recordsMax = this.#world.random.int(1, 20)
    const state = name === 'count' ? { state: 'detect.state', snapshotMs: 2_000 } : {}
    const config = topicSource.config.parse({ topic: TOPIC, kind: 'waf', commitMs: 500, recordsMax, ...state })
    const source = await this.#opened(() => topicSource.open(config, deps))
    return {
      ...(source.positions ? { positions: source.positions } : {}),
      keepState: detectors => source.keepState?.(detectors),
      close: () => source.close(),
      read: async signal => {
        const delivery = await source.read(signal)
        return delivery && this.#world.watched(name, delivery)
      },
    }
  }

  async #sinks(name: string, deps: Deps): Promise<NamedSink[]> {
    const [world, life] = [this.#world, this.life]
    if (name === 'waf') {
      return [
        { name: 'search', sink: searchSink(world, life) },
        { name: 'archive', sink: spoolingSink(world, life) },
      ]
    }
    if (name === 'count') return []
    if (name === 'lake') {
      const sink = world.realLake ? await realLakeSink(world, life, deps) : new LakeSink(world, life, deps)
      return [{ name: 'lake', sink }]
    }
    const config = topicSink.config.parse({ topic: TOPIC, kinds: ['waf'], partitions: PARTITIONS })
    const sink: Sink = await this.#opened(() => topicSink.open(config, deps))
    return [{ name: 'topic', sink }]
  }

  /** As pipelines/compose.ts: what is not there yet is waited for. */
  async #opened<C>(open: () => Promise<C>): Promise<C> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await open()
      } catch (thrown) {
        if (this.#stop.signal.aborted) throw thrown
        const clock = this.#world.time.clock(this.life)
        await clock.wait(backoffMs(writeBackoff, attempt, this.#world.random.next), this.#stop.signal)
      }
    }
  }

  #deadLetter(name: string): DeadLetterStore {
    const letters = this.#world.deadLetters(name)
    const store = deadLetterOfLife(this.#world, this.life, letters)
    return this.#world.plant?.deadLetter?.(store) ?? store
  }

  #deps(name: string, topics: Topics, store: DeadLetterStore): Deps {
    const clock = this.#world.time.clock(this.life)
    const { signal } = this.#stop
    const random = this.#world.random.fork().next
    return {
      pipeline: name,
      log: silentLog,
      metrics: createMetrics(),
      clock,
      stateFolder: join(this.#world.folder, this.life.machine, name),
      topics: () => Promise.resolve(topics),
      positions: {
        note: () => undefined,
        committed: () => undefined,
        setNote: () => Promise.reject(new Error('no positions here')),
        onRevoked: () => undefined,
      },
      deadLetter: (letters: readonly DeadLetter[]) =>
        writeDeadLetters(store, letters, { clock, log: silentLog, random, backoff: writeBackoff, signal }),
    }
  }
}

/** A bug in what is kept, where one is planted. */
function changedState(plant: Plant | undefined, { state }: Detector): StreamState {
  return plant?.state?.(state!) ?? state!
}
