/**
 * Kafka in, the whole WAF pipeline, and out to nothing, OpenSearch and S3, beside the same work from a file:
 * `npm run bench:kafka -- [--records N] [--rounds N] [--client NAME] [--only NAME]…` starts a Kafka and an S3 server and this.
 * With servers of your own: `HAETAE_KAFKA_BROKERS=… HAETAE_LAKE=s3://… node bench/kafka-pipeline.ts`. Makes topics of its own.
 * What is measured are the consuming (or producing) processes alone, in CPU time: docs/performance.md says how to read it.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { benchInput, eachLine } from './input.ts'
import {
  type ChildOrder,
  fillTopic,
  type Measured,
  memberChild,
  openBenchKafka,
  type WorkerMessage,
} from './kafka-worker.ts'
import { cpuPerMillion, spread, together } from './measure.ts'
import { startServer } from './pipelines.ts'

interface KafkaCase {
  readonly name: string
  readonly order: Omit<ChildOrder, 'topic' | 'group' | 'input' | 'warmUp' | 'client'>
  readonly workers: number
}

const FILE = 'file to nothing'
const nothing = { sinkType: 'drop', sinkConfig: {} }

function casesOf(lake: string | undefined, openSearch: string): readonly KafkaCase[] {
  const search = { sinkType: 'opensearch', sinkConfig: { url: openSearch, retentionDays: 3_650 } }
  const all: KafkaCase[] = [
    { name: FILE, order: { from: 'file', ...nothing }, workers: 1 },
    { name: 'produce', order: { from: 'produce', ...nothing }, workers: 1 },
    { name: 'Kafka to nothing', order: { from: 'kafka', ...nothing }, workers: 1 },
    { name: 'Kafka to nothing, two workers', order: { from: 'kafka', ...nothing }, workers: 2 },
    { name: 'Kafka to OpenSearch', order: { from: 'kafka', ...search }, workers: 1 },
  ]
  // The prefix of each run is new: an object that is there already would cost nothing.
  if (lake === undefined) return all
  const sinkConfig = { folder: `${lake}/bench-${process.pid}`, flushMs: 10_000 }
  return [...all, { name: 'Kafka to S3', order: { from: 'kafka', sinkType: 'lake', sinkConfig }, workers: 1 }]
}

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '200000' },
    rounds: { type: 'string', default: '3' },
    client: { type: 'string', default: 'kafkajs' },
    only: { type: 'string', multiple: true, default: [] },
    order: { type: 'string' },
  },
})

/** One round of one case: `workers` processes that begin together. */
async function measure(
  { order, workers }: KafkaCase,
  given: Omit<ChildOrder, keyof KafkaCase['order']>,
): Promise<Measured> {
  const children = Array.from({ length: workers }, () => {
    const text = JSON.stringify({ ...given, ...order })
    const env = { HAETAE_LOG_LEVEL: 'error', ...process.env }
    return fork(fileURLToPath(import.meta.url), ['--order', text], { env })
  })
  const messages = (is: WorkerMessage['is']): Promise<WorkerMessage[]> =>
    Promise.all(
      children.map(
        child =>
          new Promise<WorkerMessage>((resolve, reject) => {
            const listen = (message: unknown): void => {
              if ((message as WorkerMessage).is !== is) return
              child.off('message', listen)
              resolve(message as WorkerMessage)
            }
            child.on('message', listen)
            child.once('exit', code => reject(new Error(`a measured process ended with code ${code}`)))
          }),
      ),
    )
  try {
    await messages('ready')
    const done = messages('sample')
    for (const child of children) child.send('go')
    if (order.from === 'kafka') {
      await caughtUp(given.topic, given.group)
      for (const child of children) child.send('stop')
    }
    const samples = (await done).flatMap(message => (message.is === 'sample' ? [message.sample] : []))
    const seconds = Math.max(...samples.map(sample => sample.seconds))
    return { ...together(samples, seconds), residentMiBMax: Math.max(...samples.map(each => each.residentMiBMax)) }
  } finally {
    for (const child of children) child.kill()
  }
}

/** Until the group has committed everything. */
async function caughtUp(topic: string, group: string): Promise<void> {
  const kafka = await openBenchKafka(values.client)
  try {
    for (;;) {
      const lags = (await kafka.lagOf([topic])).filter(lag => lag.group === group)
      if (lags.length > 0 && lags.every(({ committed, end }) => committed === end)) return
      await new Promise(resolve => setTimeout(resolve, 200))
    }
  } finally {
    await kafka.close()
  }
}

async function main(): Promise<void> {
  const records = Number(values.records)
  const input = benchInput(records)
  const { events } = eachLine(input.whole, () => undefined)
  const topic = `bench-waf-${process.pid}`
  await fillTopic(values.client, topic, input.whole)
  const server = await startServer()
  const lake = process.env['HAETAE_LAKE']
  const cases = casesOf(lake?.startsWith('s3://') ? lake : undefined, server.url).filter(
    ({ name }) => values.only.length === 0 || name === FILE || values.only.includes(name),
  )
  const results = new Map<string, Measured[]>(cases.map(({ name }) => [name, []]))
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const [at, each] of cases.entries()) {
      process.stderr.write(`round ${round} of ${values.rounds}: ${each.name}\n`)
      const group = `${topic}-${round}-${at}`
      const { client } = values
      const sample = await measure(each, { topic, group, input: input.whole, warmUp: input.warmUp, client })
      if (sample.events < events) throw new Error(`${each.name}: ${sample.events} of ${events} events`)
      results.get(each.name)!.push(sample)
    }
  }
  server.close()
  print(results, records)
}

function print(results: ReadonlyMap<string, readonly Measured[]>, records: number): void {
  const file = results.get(FILE)!
  console.log(`${records.toLocaleString('en')} records, ${values.client}, rounds: ${file.length}; median (least–most)`)
  console.log('| case | events per CPU second | events/s | CPU s per million | times the file, same round | most MiB |')
  console.log('| --- | --- | --- | --- | --- | --- |')
  for (const [name, samples] of results) {
    const cell = (of: (sample: Measured, round: number) => number, digits: number): string => {
      const { min, median, max } = spread(samples.map(of))
      const text = (value: number): string =>
        value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
      return `${text(median)} (${text(min)}–${text(max)})`
    }
    const columns = [
      name,
      cell(({ events, cpuSeconds }) => events / cpuSeconds, 0),
      cell(({ events, seconds }) => events / seconds, 0),
      cell(cpuPerMillion, 1),
      name === FILE ? '1' : cell((sample, round) => cpuPerMillion(sample) / cpuPerMillion(file[round]!), 2),
      String(Math.round(Math.max(...samples.map(({ residentMiBMax }) => residentMiBMax)))),
    ]
    console.log(`| ${columns.join(' | ')} |`)
  }
}

if (values.order === undefined) await main()
else await memberChild(JSON.parse(values.order) as ChildOrder)
