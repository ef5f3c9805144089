import { createReadStream } from 'node:fs'
import type { Writable } from 'node:stream'
import { map } from '../pipelines/commands/map.ts'
import { type Spread, spread } from './measure.ts'

/** Resident memory of `haetae map waf -` while an input that has no end for it passes through. */
export interface MemoryResult {
  readonly events: number
  readonly peakMiB: number
  /** Of each quarter of the run: flat when memory does not depend on how much went through. */
  readonly quarters: readonly Spread[]
}

const SAMPLE_MS = 100
const MIB = 1024 * 1024

/** In the measured process: maps what comes on standard input until its end. */
export async function mapMemory(events: number): Promise<MemoryResult> {
  const samples: number[] = []
  const timer = setInterval(() => samples.push(process.memoryUsage.rss() / MIB), SAMPLE_MS)
  const code = await map.run(['waf', '--strict', '-'])
  clearInterval(timer)
  if (code !== 0) throw new Error('map refused a record')
  return { events, peakMiB: process.resourceUsage().maxRSS / 1024, quarters: quarters(samples) }
}

/** Throws for fewer than four samples. */
export function quarters(samples: readonly number[]): Spread[] {
  const bound = (quarter: number): number => Math.round((samples.length * quarter) / 4)
  return [0, 1, 2, 3].map(quarter => spread(samples.slice(bound(quarter), bound(quarter + 1))))
}

/** Writes the file again and again, as one input. */
export async function pour(path: string, times: number, into: Writable): Promise<void> {
  for (let time = 0; time < times; time++) {
    for await (const chunk of createReadStream(path, { highWaterMark: MIB })) {
      if (!into.write(chunk)) await new Promise(resolve => into.once('drain', resolve))
    }
  }
  into.end()
}

export function memoryText({ events, peakMiB, quarters: parts }: MemoryResult): string {
  const medians = parts.map(({ median }) => Math.round(median)).join(', ')
  return `memory of map over ${events.toLocaleString('en')} records: at most ${Math.round(peakMiB)} MiB resident; median of each quarter of the run: ${medians} MiB`
}
