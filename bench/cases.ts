import { statSync } from 'node:fs'
import { geoip } from '../enrichers/geoip.ts'
import { map } from '../pipelines/commands/map.ts'
import { benchIngest } from './http.ts'
import { eachLine } from './input.ts'
import { type Amount, measured, type Sample } from './measure.ts'
import { BenchPipeline, benchDeps, DELIVERIES_MAX, openTopicLog, startServer } from './pipelines.ts'

export interface Files {
  readonly input: string
  readonly warmUp: string
  /** Records in `input`. */
  readonly count: number
}

/** Opens and warms up what is to be measured; the result is the measured run. */
type Prepare = (files: Files) => Promise<() => Promise<Sample>>

export interface Case {
  readonly name: string
  /** Processes side by side, each with its share of the input. */
  readonly workers: 1 | 2
  readonly prepare: Prepare
}

/** What every other case is compared with. */
export const BASELINE = 'JSON.parse'
/** What two processes that share nothing can give on this machine: its processors may share a core, its memory is one. */
export const BASELINE_TWICE = 'JSON.parse, two workers'

const parseLines = lines((chunk, from, to) => JSON.parse(chunk.toString('utf8', from, to)))

/** In the order of the table. */
export const cases: readonly Case[] = [
  { name: 'read only', workers: 1, prepare: lines(() => undefined) },
  { name: BASELINE, workers: 1, prepare: parseLines },
  { name: BASELINE_TWICE, workers: 2, prepare: parseLines },
  { name: 'parse + map', workers: 1, prepare: toNothing(['parse-waf']) },
  { name: '+ GeoIP', workers: 1, prepare: toNothing(['parse-waf', 'geoip']) },
  { name: '+ Sigma rules', workers: 1, prepare: toNothing(['parse-waf', 'geoip'], ['sigma']) },
  { name: 'map to nothing', workers: 1, prepare: toNothing(['parse-waf', 'geoip', 'redact']) },
  { name: 'map to a file', workers: 1, prepare: mapCommand },
  { name: 'map, two workers', workers: 2, prepare: mapCommand },
  { name: 'topic to nothing', workers: 1, prepare: fromTopic('drop') },
  { name: 'topic to lake', workers: 1, prepare: fromTopic('lake') },
  { name: 'to OpenSearch', workers: 1, prepare: toOpenSearch },
  { name: 'HTTP to durable', workers: 1, prepare: ingest },
]

const STAGES = ['parse-waf', 'geoip', 'redact'] as const

function lines(visit: (chunk: Buffer, from: number, to: number) => void): Prepare {
  return ({ input, warmUp }) => {
    eachLine(warmUp, visit)
    return Promise.resolve(() => measured(() => eachLine(input, visit)))
  }
}

/** Serialised, and then forgotten. */
function toNothing(stages: readonly string[], detectors: readonly string[] = []): Prepare {
  return async ({ input, warmUp }) => {
    const pipeline = await BenchPipeline.open(stages, detectors)
    await pipeline.file(warmUp, 'drop', {})
    return () => measured(() => pipeline.file(input, 'drop', {}))
  }
}

/** `haetae map waf FILE > FILE`, with the GeoIP databases already open: what they cost does not depend on the input. */
async function mapCommand({ input, warmUp }: Files): Promise<() => Promise<Sample>> {
  await keepGeoIpOpen()
  const { events } = eachLine(input, () => undefined)
  const run = async (path: string): Promise<Amount> => {
    if ((await map.run(['waf', '--strict', path])) !== 0) throw new Error('map refused a record')
    return { events, bytes: statSync(path).size }
  }
  await run(warmUp)
  return () => measured(() => run(input))
}

async function keepGeoIpOpen(): Promise<void> {
  await geoip.open(geoip.config.parse({}), benchDeps())
}

/** As the pipelines `waf` and `waf-lake` run: from the embedded topic, until the sink has every record. */
function fromTopic(sink: 'drop' | 'lake'): Prepare {
  return async ({ input, warmUp }) => {
    const log = await openTopicLog()
    const config = sink === 'lake' ? { folder: log.lakeFolder } : {}
    const warm = await log.fill('bench.warm-up', warmUp)
    const { events, bytes } = await log.fill('bench.input', input)
    const pipeline = await BenchPipeline.open(['dedupe', ...STAGES])
    await pipeline.topic(log, 'bench.warm-up', warm.events, sink, config)
    return async () => {
      const sample = await measured(async () => {
        await pipeline.topic(log, 'bench.input', events, sink, config)
        return { events, bytes }
      })
      await log.close()
      return sample
    }
  }
}

async function toOpenSearch({ input, warmUp }: Files): Promise<() => Promise<Sample>> {
  const server = await startServer()
  // The records have the day of the generator: no real index would be as old, whenever this runs.
  const config = { url: server.url, retentionDays: 3_650 }
  const pipeline = await BenchPipeline.open(STAGES)
  await pipeline.file(warmUp, 'opensearch', config, DELIVERIES_MAX)
  const before = await server.documents()
  return async () => {
    const sample = await measured(() => pipeline.file(input, 'opensearch', config, DELIVERIES_MAX))
    const stored = (await server.documents()) - before
    server.close()
    if (stored !== sample.events) throw new Error(`OpenSearch got ${stored} of ${sample.events} documents`)
    return sample
  }
}

/** Firehose requests of 500 records into the embedded topic, each answered when flushed (bench/http.ts; its client warms it up). */
function ingest({ count }: Files): Promise<() => Promise<Sample>> {
  const load = { requests: Math.ceil(count / 500), recordsPerRequest: 500, connections: 4, gzip: false }
  return Promise.resolve(async () => {
    const { bodyBytes, ...rest } = await benchIngest(load)
    return { ...rest, bytes: bodyBytes }
  })
}
