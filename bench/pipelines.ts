import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { detectors } from '../detections/index.ts'
import type { Deps, Detector, Sink, Source } from '../engine/contract.ts'
import { run } from '../engine/pipeline.ts'
import type { NamedStage } from '../engine/stages.ts'
import { stages } from '../enrichers/index.ts'
import { openByType } from '../pipelines/compose.ts'
import { offlineDeps } from '../pipelines/offline.ts'
import { readSettings } from '../pipelines/settings.ts'
import type { Topics } from '../platform/topics/contract.ts'
import { openEmbedded } from '../platform/topics/embedded.ts'
import { sinks } from '../sinks/index.ts'
import { sources } from '../sources/index.ts'
import { eachLine } from './input.ts'
import type { Amount } from './measure.ts'
import type { ServerMessage } from './opensearch-server.ts'

const SET_RECORDS = 500

/** As in the pipelines of the program: enough for a sink to fill its requests. */
export const DELIVERIES_MAX = 32
/** For sinks that answer at once. */
const FEW_DELIVERIES = 4

/** Who reads what, and where it goes. */
export interface Membership {
  readonly topic: string
  readonly group: string
  readonly sinkType: string
  readonly sinkConfig: object
}

/** The components of `map`, of the lake and of OpenSearch, as the program opens them: through their types, by the engine. */
export class BenchPipeline {
  readonly #stages: readonly NamedStage[]
  readonly #detectors: readonly Detector[]
  readonly #deps: Deps

  private constructor(opened: readonly NamedStage[], detectors: readonly Detector[], deps: Deps) {
    this.#stages = opened
    this.#detectors = detectors
    this.#deps = deps
  }

  static async open(names: readonly string[], detectorNames: readonly string[] = []): Promise<BenchPipeline> {
    const deps = benchDeps()
    const opening: Detector[] = []
    for (const name of detectorNames) opening.push(await openByType(detectors, name, {}, deps))
    const opened: NamedStage[] = []
    for (const name of names) opened.push({ name, stage: await openByType(stages, name, {}, deps) })
    return new BenchPipeline(opened, opening, deps)
  }

  /** Reads a file to its end. Throws when a record is rejected. */
  async file(path: string, sinkType: string, sinkConfig: object, deliveriesMax = FEW_DELIVERIES): Promise<Amount> {
    const source = await openByType(sources, 'file', { path, kind: 'waf' }, this.#deps)
    const sink = await openByType(sinks, sinkType, sinkConfig, this.#deps)
    const events = await this.#run(source, sink, this.#deps, undefined, deliveriesMax)
    return { events, bytes: statSync(path).size }
  }

  /** Reads `count` records from a topic, and returns once the sink has made them durable. */
  async topic(log: TopicLog, name: string, count: number, sinkType: string, sinkConfig: object): Promise<number> {
    const deps = { ...this.#deps, topics: () => Promise.resolve(log.topics) }
    const source = await openByType(sources, 'topic', { topic: name, kind: 'waf', group: `${name}-bench` }, deps)
    const positions = source.positions ?? deps.positions
    const sink = await openByType(sinks, sinkType, sinkConfig, { ...deps, positions })
    return this.#run(source, sink, deps, count, DELIVERIES_MAX)
  }

  /**
   * Reads as one of the members of a group until `stop` aborts. `joined` is awaited once the member has partitions and before it reads;
   * `settled` is told the size of each batch, in raw bytes too, when all of it is durable. Throws when a record is rejected.
   */
  async member(
    topics: Topics,
    { topic, group, sinkType, sinkConfig }: Membership,
    joined: () => Promise<void>,
    settled: (amount: Amount) => void,
    stop: AbortSignal,
  ): Promise<void> {
    const deps = { ...this.#deps, topics: () => Promise.resolve(topics) }
    const source = await openByType(sources, 'topic', { topic, kind: 'waf', group }, deps)
    const positions = source.positions ?? deps.positions
    const sink = await openByType(sinks, sinkType, sinkConfig, { ...deps, positions })
    await joined()
    const deliveriesMax = sinkType === 'drop' ? FEW_DELIVERIES : DELIVERIES_MAX
    await this.#run(source, sink, deps, undefined, deliveriesMax, settled, stop)
  }

  async #run(
    source: Source,
    sink: Sink,
    deps: Deps,
    count: number | undefined,
    deliveriesMax: number,
    settled: (amount: Amount) => void = () => undefined,
    stop = new AbortController().signal,
  ): Promise<number> {
    let acked = 0
    let read = 0
    const counted: Source = {
      ...(source.positions ? { positions: source.positions } : {}),
      async read(signal) {
        // The end of the input, as a file has one: the sink is then asked to wait for nothing more.
        if (count !== undefined && read >= count) return undefined
        const delivery = await source.read(signal)
        if (!delivery) return undefined
        const { batch, ack, nack } = delivery
        const { length } = batch
        read += length
        const bytes = batch.reduce((sum, { raw }) => sum + raw.length, 0)
        const countedAck = (): void => {
          acked += length
          ack()
          settled({ events: length, bytes })
        }
        // `countedAck` must not know `delivery`: it lives until the lake is written, long after the batch.
        return { batch, ack: countedAck, nack }
      },
      close: () => source.close(),
    }
    const plan = {
      name: 'bench',
      source: counted,
      // Without `close`: a stage serves several runs.
      stages: this.#stages.map(({ name, stage }): NamedStage => {
        return { name, stage: { apply: (batch, reject) => stage.apply(batch, reject) } }
      }),
      detectors: this.#detectors.map(detector => ({ name: 'bench', detector })),
      sinks: [{ name: 'sink', sink }],
      alertSinks: [],
      deadLetter: {
        write: (letters: readonly { readonly reason: string }[]) =>
          Promise.reject(new Error(`the benchmark has no bad records: ${letters[0]?.reason}`)),
      },
      deliveriesMax,
      residentBytesMax: 64 * 1024 * 1024,
      drainMs: 120_000,
    }
    await run(plan, deps, stop)
    if (acked !== read || (count !== undefined && acked < count)) throw new Error(`${acked} of ${read} were stored`)
    return acked
  }
}

export function benchDeps(): Deps {
  return offlineDeps('bench', readSettings())
}

export type TopicLog = Awaited<ReturnType<typeof openTopicLog>>

/** An embedded log in a folder of its own, which goes with `close`. */
export async function openTopicLog() {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-bench-'))
  const { clock, log, metrics } = benchDeps()
  const topics = await openEmbedded({ folder: join(folder, 'topics'), clock, log, metrics })
  return {
    topics,
    lakeFolder: join(folder, 'lake'),
    /** Appends the records of a file to a new topic. */
    async fill(name: string, path: string): Promise<Amount> {
      const retention = { ageMsMax: 86_400_000, bytesMax: 1024 ** 4 }
      await topics.ensure({ name, partitions: 4, compacted: false, retention })
      const lines: Buffer[] = []
      const amount = eachLine(path, (chunk, from, to) => lines.push(Buffer.from(chunk.subarray(from, to))))
      for (let at = 0; at < lines.length; at += SET_RECORDS) {
        const set = lines.slice(at, at + SET_RECORDS)
        await topics.append(
          name,
          set.map(value => ({ key: undefined, value, timeMs: Date.now() })),
        )
      }
      return amount
    },
    async close(): Promise<void> {
      await topics.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Starts bench/opensearch-server.ts. */
export async function startServer() {
  const child = fork(fileURLToPath(new URL('opensearch-server.ts', import.meta.url)))
  const first = await nextMessage(child)
  if (!('url' in first)) throw new Error('the OpenSearch-speaking process did not say where it listens')
  return {
    url: first.url,
    /** How many documents it has answered for. */
    async documents(): Promise<number> {
      const answer = nextMessage(child)
      child.send('count')
      const message = await answer
      return 'documents' in message ? message.documents : 0
    },
    close: () => child.disconnect(),
  }
}

function nextMessage(child: ChildProcess): Promise<ServerMessage> {
  return new Promise((resolve, reject) => {
    child.once('message', message => resolve(message as ServerMessage))
    child.once('exit', code => reject(new Error(`the OpenSearch-speaking process ended with code ${code}`)))
  })
}
