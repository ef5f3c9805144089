import { createReadStream, createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Encoded, Origin } from '../../engine/contract.ts'
import { objectName } from '../../platform/lake/tables.ts'
import type { MakeFile } from '../ranges/objects.ts'
import type { Row } from '../ranges/spool.ts'

/** 9999-12-31: the last day with four digits. */
const TIME_MS_MAX = Date.UTC(10_000, 0, 1)
const LINE_FEED = 0x0a
const SPACE = 0x20

/** By the event's own time where a parse stage has set it, else by its arrival, which a repeat has again. */
export function lineOf(format: 'json' | 'raw'): (record: Encoded, origin: Origin) => Row | string {
  return ({ event, json }, origin) => {
    const { id, kind, raw, timeMs } = event
    if (!(timeMs >= 0 && timeMs < TIME_MS_MAX)) return 'time_out_of_range'
    const [day = '', hour = ''] = new Date(timeMs).toISOString().split(/[T:]/, 2)
    return {
      partition: { path: `kind=${kind}/day=${day}/hour=${hour}` },
      timeMs: Math.floor(timeMs),
      json: oneLine(format === 'raw' ? raw : json),
      evidence: { id, kind, origin, raw },
    }
  }
}

/** A line feed in JSON stands between its parts, where a space means the same. Also in what is no JSON it would be two records. */
function oneLine(bytes: Buffer): Buffer {
  if (!bytes.includes(LINE_FEED)) return bytes
  return Buffer.from(bytes.map(byte => (byte === LINE_FEED ? SPACE : byte)))
}

/** As objects of the lake are called, with what they hold at the end. */
export function nameOf(stream: string, lineage: string, first: bigint): string {
  return objectName(stream, lineage, first).replace(/\.parquet$/, '.ndjson.gz')
}

/** In the order of the stream, without time or name in the header of gzip: the same lines give the same bytes. */
export const writeGzip: MakeFile = async ({ jsonPath, count }, file) => {
  await pipeline(createReadStream(jsonPath), createGzip(), createWriteStream(file, { mode: 0o600 }))
  return { written: count, bad: [] }
}
