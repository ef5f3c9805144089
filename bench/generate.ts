/**
 * Made-up security logs that look real: `node bench/generate.ts --count 100000 --seed 7 > waf.ndjson`.
 * `--sample` writes the sample that `npm start` replays (pipelines/sample/waf.ndjson.gz).
 */
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createGzip, constants as zlib } from 'node:zlib'
import { generateWaf, type WafOptions } from './generate/waf.ts'

export { generateWaf, type WafOptions }

const DAY_MS = 86_400_000
/** Midnight in Korea, so that hours of the day mean what they say. */
const DEFAULT_START_MS = Date.UTC(2026, 10, 22, 15)
const CHUNK_CHARS = 1 << 18

/** The bundled sample: one day, small enough for the repository. Its times are moved when it is replayed (pipelines/sample.ts). */
export const sampleOptions: WafOptions = {
  seed: 20_261_124,
  count: 4500,
  startMs: DEFAULT_START_MS,
  durationMs: DAY_MS,
  people: 900,
  attackOdds: 2,
}
export const samplePath = fileURLToPath(new URL('../pipelines/sample/waf.ndjson.gz', import.meta.url))

/** Records as NDJSON in chunks of about a quarter megabyte. */
export function* ndjson(records: Iterable<string>): Generator<string> {
  let chunk = ''
  for (const record of records) {
    chunk += `${record}\n`
    if (chunk.length >= CHUNK_CHARS) {
      yield chunk
      chunk = ''
    }
  }
  if (chunk) yield chunk
}

async function writeAll(records: Iterable<string>, out: NodeJS.WritableStream): Promise<void> {
  for (const chunk of ndjson(records)) {
    if (!out.write(chunk)) await once(out, 'drain')
  }
}

function wholeNumber(text: string, name: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} must be a whole number, not ${text}`)
  return value
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      kind: { type: 'string', default: 'waf' },
      count: { type: 'string', default: '10000' },
      seed: { type: 'string', default: '1' },
      start: { type: 'string', default: new Date(DEFAULT_START_MS).toISOString() },
      hours: { type: 'string', default: '24' },
      people: { type: 'string', default: '20000' },
      'repeats-per-million': { type: 'string', default: '0' },
      sample: { type: 'boolean', default: false },
    },
  })
  if (values.kind !== 'waf') throw new Error(`--kind ${values.kind}: only waf can be generated`)
  if (values.sample) {
    const file = createWriteStream(samplePath)
    const gzip = createGzip({ level: zlib.Z_BEST_COMPRESSION })
    gzip.pipe(file)
    await writeAll(generateWaf(sampleOptions), gzip)
    gzip.end()
    await once(file, 'close')
    return
  }
  const startMs = Date.parse(values.start)
  if (Number.isNaN(startMs)) throw new Error(`--start must be an ISO 8601 time, not ${values.start}`)
  const options: WafOptions = {
    seed: wholeNumber(values.seed, 'seed'),
    count: wholeNumber(values.count, 'count'),
    startMs,
    durationMs: wholeNumber(values.hours, 'hours') * 3_600_000,
    people: wholeNumber(values.people, 'people'),
    repeatsPerMillion: wholeNumber(values['repeats-per-million'], 'repeats-per-million'),
  }
  await writeAll(generateWaf(options), process.stdout)
}

if (import.meta.main) {
  // A reader that has seen enough (head) closes the pipe; that is no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  await main()
}
