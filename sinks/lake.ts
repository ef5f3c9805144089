import { join } from 'node:path'
import { z } from 'zod'
import { type Deps, defineSink, type Sink } from '../engine/contract.ts'
import { asError, HaetaeError, isForAPerson } from '../platform/errors.ts'
import { instanceKey, openDuckDb } from '../platform/lake/duckdb.ts'
import { openLakeStore } from '../platform/lake/open-store.ts'
import { objectName } from '../platform/lake/tables.ts'
import { isS3Location } from '../platform/s3.ts'
import { writeParquet } from './lake/parquet.ts'
import { rowOf } from './lake/rows.ts'
import { lakeMeasures } from './ranges/measures.ts'
import { MadeObjects } from './ranges/objects.ts'
import { type ObjectShape, RangeSink } from './ranges/sink.ts'

const MIB = 1024 * 1024

const config = z.strictObject({
  folder: z
    .string()
    .min(1)
    .describe(
      'Of the lake: a path, made when it is not there, or `s3://bucket/prefix` (credentials and Region as AWS programs find them)',
    ),
  flushMs: z.int().min(10).max(3_600_000).default(60_000).describe('A record is in an object at the latest after this'),
  spoolBytesMax: z
    .int()
    .min(64 * 1024)
    .max(1024 * MIB)
    .default(256 * MIB)
    .describe('JSON of one stream; then its objects are written'),
  spoolTotalBytesMax: z
    .int()
    .min(1 * MIB)
    .default(2048 * MIB)
    .describe('On disk, all streams; past it nothing is read. What is rebuilt after a crash comes on top'),
  memoryBytesMax: z
    .int()
    .min(96 * MIB)
    .default(128 * MIB)
    .describe("DuckDB's memory limit, shared by the lakes of one process"),
  threads: z.int().min(1).max(16).default(1).describe('Of DuckDB'),
})

export const lake = defineSink({
  type: 'lake',
  summary:
    'Parquet objects by class, region, account and day, in a folder or on S3, for DuckDB, Athena and `haetae lake query`.',
  config,
  heldBytesMax: settings => settings.memoryBytesMax,
  heldTogether: instanceKey,
  example: `folder: /var/lib/haetae/lake
flushMs: 60000
spoolBytesMax: 268435456
spoolTotalBytesMax: 2147483648
memoryBytesMax: 134217728
threads: 1
`,
  open: openLake,
})

/**
 * Rejects with CONFIG_INVALID when DuckDB could not name the folder, SINK_UNAUTHORISED or SINK_MISCONFIGURED when the bucket refuses us,
 * LAKE_UNWRITABLE when waiting may help.
 */
async function openLake(options: z.output<typeof config>, deps: Deps): Promise<Sink> {
  const { folder, memoryBytesMax, threads, ...limits } = options
  const own = join(deps.stateFolder, 'lake')
  const [spoolFolder, workFolder, tempFolder] = ['spool', 'work', 'duckdb'].map(name => join(own, name)) as [
    string,
    string,
    string,
  ]
  for (const path of isS3Location(folder) ? [own] : [folder, own]) {
    // DuckDB takes a file name with these for a pattern, and there is no way to escape them.
    if (!/[*?[\]{}]/.test(path)) continue
    throw new HaetaeError(
      'CONFIG_INVALID',
      `${path}: neither the lake nor the state can be in a folder with any of *?[]{} in its name`,
    )
  }
  const store = await openLakeStore(folder, own)
  const tempBytesMax = 4 * limits.spoolBytesMax
  const db = await openDuckDb({ memoryBytesMax, threads, tempFolder, tempBytesMax })
  const objects = new MadeObjects(store, (split, file) => writeParquet(db, split, file, workFolder), deps.log)
  const sink = new RangeSink(lakeShape(deps), limits, spoolFolder, objects, deps)
  try {
    await sink.prepare()
    await store.prepare(deps.clock.now())
  } catch (cause) {
    await db.close()
    await store.close()
    if (isForAPerson(cause)) throw cause
    const what = isS3Location(folder) ? 'cannot be reached or' : 'or'
    throw new HaetaeError(
      'LAKE_UNWRITABLE',
      `the lake in ${folder} ${what} its spool in ${spoolFolder} cannot be written: ${asError(cause).message}; give this user the right to, or make room`,
      { cause },
    )
  }
  return {
    write: (records, signal) => sink.write(records, signal),
    drain: () => sink.drain(),
    async close() {
      sink.stop()
      await db.close()
      await sink.close()
      await objects.forget()
      await store.close()
    },
  }
}

export function lakeShape(deps: Deps): ObjectShape {
  return { sink: 'lake', rowOf, nameOf: objectName, refusesRows: true, measures: lakeMeasures(deps) }
}
