import { closeSync, existsSync, mkdirSync, openSync, readSync, renameSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { generateLabelledWaf } from './generate/waf.ts'
import { generateWaf, ndjson } from './generate.ts'

/** Files of made-up WAF records, the same on every machine. */
export interface Input {
  /** Everything. */
  readonly whole: string
  /** The same records in two files, for two workers. */
  readonly halves: readonly [string, string]
  /** Other records, so that what is warm before the clock starts is the code and not the data. */
  readonly warmUp: string
  /** Beginning of the names of files that the measured processes may write. */
  readonly output: string
}

const folder = fileURLToPath(new URL('data/', import.meta.url))
const WARM_UP_RECORDS = 20_000
const SEED = 20_261_124
const START_MS = Date.UTC(2026, 10, 22, 15)
const DAY_MS = 86_400_000
const READ_BYTES = 1024 * 1024
const LINE_FEED = 0x0a

/** Makes what is not there yet. */
export function benchInput(count: number): Input {
  mkdirSync(folder, { recursive: true })
  const path = (name: string): string => `${folder}${name}.ndjson`
  const half = Math.floor(count / 2)
  const input: Input = {
    whole: path(`waf-${count}`),
    halves: [path(`waf-${count}-first`), path(`waf-${count}-second`)],
    warmUp: path('waf-warm-up'),
    output: path('output'),
  }
  make(input.whole, records(SEED, count))
  if (!input.halves.every(each => existsSync(each))) {
    const all = [...records(SEED, count)]
    make(input.halves[0], all.slice(0, half))
    make(input.halves[1], all.slice(half))
  }
  make(input.warmUp, records(SEED + 1, WARM_UP_RECORDS))
  return input
}

/** Records of which more or fewer belong to attacks: `odds` multiplies the generator's own. Made anew, as it is told how many they are. */
export function hostileInput(count: number, odds: number): { readonly path: string; readonly hostilePercent: number } {
  mkdirSync(folder, { recursive: true })
  const path = `${folder}waf-${count}-odds-${odds}.ndjson`
  const all = [...generateLabelledWaf({ seed: SEED, count, startMs: START_MS, durationMs: DAY_MS, attackOdds: odds })]
  make(
    path,
    all.map(({ record }) => record),
  )
  return { path, hostilePercent: (100 * all.filter(({ hostile }) => hostile).length) / count }
}

function records(seed: number, count: number): Iterable<string> {
  return generateWaf({ seed, count, startMs: START_MS, durationMs: DAY_MS })
}

function make(path: string, lines: Iterable<string>): void {
  if (existsSync(path)) return
  // A run that is broken off leaves no file that looks complete.
  const partial = `${path}.partial`
  const file = openSync(partial, 'w')
  for (const chunk of ndjson(lines)) writeSync(file, chunk)
  closeSync(file)
  renameSync(partial, path)
}

/** Each line of a file: `visit` gets the memory it lies in, which is used again, and where. Returns how many lines and bytes. */
export function eachLine(
  path: string,
  visit: (chunk: Buffer, from: number, to: number) => void,
): { readonly events: number; readonly bytes: number } {
  const file = openSync(path, 'r')
  const space = Buffer.allocUnsafeSlow(READ_BYTES)
  let events = 0
  let bytes = 0
  let kept = 0
  for (;;) {
    const read = readSync(file, space, kept, space.length - kept, null)
    if (kept === space.length) throw new Error(`${path} has a line of more than ${READ_BYTES} bytes`)
    if (read === 0) break
    bytes += read
    const end = kept + read
    let from = 0
    for (let to = space.indexOf(LINE_FEED, from); to >= 0 && to < end; to = space.indexOf(LINE_FEED, from)) {
      visit(space, from, to)
      events++
      from = to + 1
    }
    space.copyWithin(0, from, end)
    kept = end - from
  }
  closeSync(file)
  return { events, bytes }
}
