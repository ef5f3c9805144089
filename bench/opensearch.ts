/**
 * The OpenSearch sink alone: encoded documents in, bulk requests out to a process that stores nothing, so that only the
 * sink's own work is counted. `node bench/opensearch.ts [documents]` prints it.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Deps, Encoded, Sink } from '../engine/contract.ts'
import { RecordEvent } from '../engine/event.ts'
import { parseWaf } from '../enrichers/parse-waf.ts'
import { systemClock } from '../platform/clock.ts'
import { createLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import { opensearch } from '../sinks/opensearch.ts'
import { generateWaf } from './generate/waf.ts'
import type { ServerMessage } from './opensearch-server.ts'

const DIFFERENT = 20_000
const HOUR_MS = 3_600_000
/** Deliveries that the engine keeps open at once. */
const DELIVERIES = 32

const deps: Deps = {
  pipeline: 'bench',
  log: createLog('warn'),
  metrics: createMetrics(),
  clock: systemClock,
  stateFolder: tmpdir(),
  topics: () => Promise.reject(new Error('not in this benchmark')),
  positions: {
    note: () => undefined,
    committed: () => undefined,
    setNote: () => Promise.resolve(),
    onAssigned: () => undefined,
    onRevoked: () => undefined,
  },
  deadLetter: () => Promise.reject(new Error('the benchmark has no bad records')),
}

async function wafDocuments(): Promise<Encoded[]> {
  const stage = await parseWaf.open({}, deps)
  const startMs = Date.now() - HOUR_MS
  const texts = generateWaf({ seed: 7, count: DIFFERENT, startMs, durationMs: HOUR_MS })
  const events = Array.from(texts, text => new RecordEvent('waf', Buffer.from(text), startMs))
  const parsed = await stage.apply(events, (_, reason) => {
    throw new Error(`the generator made a record that is refused: ${reason}`)
  })
  return parsed.map(event => ({ event, json: event.encode?.() ?? Buffer.from(JSON.stringify(event.body)) }))
}

/** Writes `count` documents in deliveries of `size`, DELIVERIES of them at once. */
async function writeAll(sink: Sink, documents: readonly Encoded[], count: number, size: number): Promise<void> {
  const signal = new AbortController().signal
  let next = 0
  const deliver = async (): Promise<void> => {
    while (next < count) {
      const from = next % (documents.length - size)
      next += size
      const { retry, reject } = await sink.write(documents.slice(from, from + size), signal)
      if (retry.length + reject.length > 0) throw new Error('the benchmark server refused a document')
    }
  }
  await Promise.all(Array.from({ length: DELIVERIES }, deliver))
}

async function main(): Promise<void> {
  const count = Number(process.argv[2] ?? 500_000)
  const documents = await wafDocuments()
  const bytesEach = documents.reduce((sum, { json }) => sum + json.length, 0) / documents.length
  const server = fork(fileURLToPath(new URL('opensearch-server.ts', import.meta.url)))
  const [message] = (await once(server, 'message')) as [ServerMessage]
  if (!('url' in message)) throw new Error('the server did not say where it listens')
  const sink = await opensearch.open(opensearch.config.parse({ url: message.url }), deps)
  await writeAll(sink, documents, 50_000, 500)
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  await writeAll(sink, documents, count, 500)
  const seconds = (performance.now() - startMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const rate = Math.round(count / seconds).toLocaleString('en')
  const perMillion = ((user + system) / count).toFixed(1)
  const megabytes = Math.round((count * bytesEach) / seconds / 1e6)
  console.log(`sink to nothing: ${rate} documents/s, ${megabytes} MB/s, ${perMillion} CPU s per million`)
  await sink.close()
  server.disconnect()
}

await main()
