import { join } from 'node:path'
import { z } from 'zod'
import { type Deps, defineSink, type Sink } from '../engine/contract.ts'
import { asError, HaetaeError, isForAPerson } from '../platform/errors.ts'
import { openLakeStore } from '../platform/lake/open-store.ts'
import { s3Measures } from './ranges/measures.ts'
import { MadeObjects } from './ranges/objects.ts'
import { RangeSink } from './ranges/sink.ts'
import { lineOf, nameOf, writeGzip } from './s3/lines.ts'

const MIB = 1024 * 1024

const config = z.strictObject({
  bucket: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'a bucket name')
    .describe('It must be there, and take conditional writes (If-None-Match)'),
  prefix: z
    .string()
    .regex(/^$|^[A-Za-z0-9!_.*()=-]+(\/[A-Za-z0-9!_.*()=-]+)*$/, 'names with / between them, in plain letters')
    .default('')
    .describe('Before the keys of all objects'),
  format: z
    .enum(['json', 'raw'])
    .default('json')
    .describe(
      'json: the events, redacted; raw: records as they were received, for which the pipeline must say unredacted',
    ),
  flushMs: z.int().min(10).max(3_600_000).default(60_000).describe('A record is in an object at the latest after this'),
  spoolBytesMax: z
    .int()
    .min(64 * 1024)
    .max(1024 * MIB)
    .default(64 * MIB)
    .describe('Lines of one stream, not compressed; then its objects are written'),
  spoolTotalBytesMax: z
    .int()
    .min(1 * MIB)
    .default(1024 * MIB)
    .describe('On disk, all streams; past it nothing is read. What is rebuilt after a crash comes on top'),
})

/**
 * Lines, gzip, in objects of one kind of record and one hour of its own time:
 * `<prefix>/kind=waf/day=2026-11-24/hour=13/events.waf-3-<lineage>-<first offset>.ndjson.gz`. An object is one range of offsets, which is durable
 * before it is written (docs/decisions/005), and is stored only where nothing is (If-None-Match: *): after a crash the same range becomes the
 * same object, and what is there already is success. Records are acknowledged when all objects of their range are stored.
 */
export const s3 = defineSink({
  type: 's3',
  summary:
    'Objects of gzipped lines on S3, by kind and hour, under names that a repeat has again; events or records as received.',
  config,
  example: `bucket: security-archive
prefix: haetae/events
format: json
flushMs: 60000
spoolBytesMax: 67108864
spoolTotalBytesMax: 1073741824
`,
  open: openS3,
})

/** Rejects with SINK_UNAUTHORISED or SINK_MISCONFIGURED when the bucket refuses us, LAKE_UNWRITABLE when waiting may help. */
async function openS3(given: z.output<typeof config>, deps: Deps): Promise<Sink> {
  const { bucket, prefix, format, ...limits } = given
  const own = join(deps.stateFolder, 's3')
  const spoolFolder = join(own, 'spool')
  const store = await openLakeStore(`s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`, own)
  const objects = new MadeObjects(store, writeGzip, deps.log)
  const shape = { sink: 's3', rowOf: lineOf(format), nameOf, refusesRows: false, measures: s3Measures(deps) } as const
  const sink = new RangeSink(shape, limits, spoolFolder, objects, deps)
  try {
    await sink.prepare()
    await store.prepare(deps.clock.now())
  } catch (cause) {
    await store.close()
    if (isForAPerson(cause)) throw cause
    const message = `${store.location} cannot be reached, or its spool in ${spoolFolder} cannot be written: ${asError(cause).message}`
    throw new HaetaeError('LAKE_UNWRITABLE', message, { cause })
  }
  return {
    ...(format === 'raw' ? { wants: 'raw' as const } : {}),
    write: (records, signal) => sink.write(records, signal),
    drain: () => sink.drain(),
    async close() {
      sink.stop()
      await sink.close()
      await objects.forget()
      await store.close()
    },
  }
}
