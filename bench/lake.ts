/**
 * The lake sink alone, one range after the other: encoded documents into the spool, the spool into a Parquet object.
 * `node bench/lake.ts [ranges]` prints what each half costs, the peak of resident memory and how long the event loop stood still.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Deps, Encoded } from '../engine/contract.ts'
import { RecordEvent } from '../engine/event.ts'
import { parseWaf } from '../enrichers/parse-waf.ts'
import { systemClock } from '../platform/clock.ts'
import { createLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import { lake } from '../sinks/lake.ts'
import { generateWaf } from './generate/waf.ts'
import { cpuPerMillion, measured, type Sample } from './measure.ts'

const MIB = 1024 * 1024
const DIFFERENT = 4_000
const BATCH = 500
const HOUR_MS = 3_600_000
const STREAM = 'bench/0'

function depsIn(stateFolder: string): Deps {
  return {
    pipeline: 'bench',
    log: createLog('warn'),
    metrics: createMetrics(),
    clock: systemClock,
    stateFolder,
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
}

async function wafDocuments(deps: Deps): Promise<Encoded[]> {
  const stage = await parseWaf.open({}, deps)
  // The middle of a day: every document belongs into one object.
  const startMs = Math.floor((Date.now() - 24 * HOUR_MS) / (24 * HOUR_MS)) * 24 * HOUR_MS + 12 * HOUR_MS
  const texts = generateWaf({ seed: 7, count: DIFFERENT, startMs, durationMs: HOUR_MS })
  const parsed = await stage.apply(
    Array.from(texts, text => new RecordEvent('waf', Buffer.from(text), startMs)),
    (_, reason) => {
      throw new Error(`the generator made a record that is refused: ${reason}`)
    },
  )
  return parsed.map(event => ({ event, json: event.encode?.() ?? Buffer.from(JSON.stringify(event.body)) }))
}

function at(position: bigint, { event, json }: Encoded): Encoded {
  const moved = new RecordEvent('waf', event.raw, event.timeMs, { stream: STREAM, position })
  moved.body = event.body
  return { event: moved, json }
}

/** A batch of the next positions; documents come round again and again. */
function* batches(documents: readonly Encoded[], bytesMax: number, from: bigint): Generator<Encoded[]> {
  let position = from
  for (let bytes = 0; bytes < bytesMax; ) {
    const batch = Array.from({ length: BATCH }, () => at(position, documents[Number(position++) % documents.length]!))
    yield batch
    for (const { json } of batch) bytes += json.length + 1
  }
}

async function main(): Promise<void> {
  const ranges = Number(process.argv[2] ?? 3)
  const folder = mkdtempSync(join(tmpdir(), 'haetae-bench-lake-'))
  const deps = depsIn(folder)
  const documents = await wafDocuments(deps)
  const options = lake.config.parse({ folder: join(folder, 'lake'), flushMs: HOUR_MS, spoolBytesMax: 1024 * MIB })
  const sink = await lake.open(options, deps)
  const signal = new AbortController().signal
  const startMiB = process.memoryUsage.rss() / MIB
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  let position = 0n
  for (let range = 0; range < ranges; range++) {
    const later: Promise<void>[] = []
    let bytes = 0
    const spool = await measured(async () => {
      const first = position
      for (const batch of batches(documents, 256 * MIB, first)) {
        const verdict = await sink.write(batch, signal)
        if (verdict.later) later.push(verdict.later)
        position += BigInt(batch.length)
        for (const { json } of batch) bytes += json.length + 1
      }
      return { events: Number(position - first), bytes }
    })
    const objects = await measured(async () => {
      sink.drain?.()
      await Promise.all(later)
      return { events: spool.events, bytes }
    })
    console.log(`${text('spool', spool)}; ${text('objects', objects)}`)
  }
  delay.disable()
  const peakMiB = process.resourceUsage().maxRSS / 1024
  await sink.close()
  const stored = readdirSync(join(folder, 'lake'), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.parquet'))
    .reduce((sum, name) => sum + statSync(join(folder, 'lake', name)).size, 0)
  console.log(
    `resident: ${startMiB.toFixed(0)} MiB at the start, at most ${peakMiB.toFixed(0)} MiB; event loop stood still for at most ${(delay.max / 1e6).toFixed(0)} ms; ${(stored / Number(position)).toFixed(0)} bytes a row in Parquet`,
  )
  rmSync(folder, { recursive: true, force: true })
}

function text(name: string, sample: Sample): string {
  const perSecond = Math.round(sample.events / sample.seconds).toLocaleString('en')
  const each = Math.round(sample.bytes / sample.events)
  return `${name}: ${perSecond} rows/s of ${each} bytes, ${cpuPerMillion(sample).toFixed(1)} CPU s per million`
}

await main()
