/** The bundled day of made-up WAF traffic (bench/generate.ts makes it), moved so that it ends now. */
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { HaetaeError } from '../platform/errors.ts'

const inflate = promisify(gunzip)
const FILE = new URL('./sample/waf.ndjson.gz', import.meta.url)
/** Several times the sample's size. */
const INFLATED_BYTES_MAX = 64 * 1024 * 1024
const TIMESTAMP = /^\{"timestamp":(\d{13}),/
/** In every record, so that the sample can be told from real traffic in every store. */
export const SAMPLE_LABEL = 'haetae:sample'
const LABEL = `{"name":"${SAMPLE_LABEL}"}`

/**
 * The sample's records in their order, each one JSON object. The latest has the time `nowMs`, the others keep their distance to
 * it. Only the top-level `timestamp` and `labels` differ from the file, so the ids of two replays differ.
 */
export async function* sampleRecords(nowMs: number): AsyncGenerator<Buffer> {
  const text = (await inflate(await readFile(FILE), { maxOutputLength: INFLATED_BYTES_MAX })).toString()
  const lines = text.split('\n').filter(line => line !== '')
  const shiftMs = Math.floor(nowMs) - lines.reduce((latest, line) => Math.max(latest, timeOf(line)), 0)
  for (const line of lines) yield Buffer.from(labelled(moved(line, shiftMs)))
}

function timeOf(line: string): number {
  const found = TIMESTAMP.exec(line)
  if (!found)
    throw new HaetaeError('SOURCE_UNREADABLE', `${FILE.pathname} holds a line that is no generated WAF record`)
  return Number(found[1])
}

function moved(line: string, shiftMs: number): string {
  return line.replace(TIMESTAMP, `{"timestamp":${timeOf(line) + shiftMs},`)
}

/** Inside a JSON string a quote is escaped, so what is searched for is the key itself; no other object of a record has it. */
function labelled(line: string): string {
  const key = ',"labels":['
  const at = line.indexOf(key)
  if (at < 0) return `${line.slice(0, -1)}${key}${LABEL}]}`
  const inside = at + key.length
  return `${line.slice(0, inside)}${LABEL},${line.slice(inside)}`
}
