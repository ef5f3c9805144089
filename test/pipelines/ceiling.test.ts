import { expect, test } from 'vitest'
import { BATCH_BYTES_MAX } from '../../engine/contract.ts'
import { ceilingOf, sayCeiling } from '../../pipelines/ceiling.ts'
import { shippedPipelines } from '../../pipelines/files.ts'
import { parsePipeline } from '../../pipelines/load.ts'
import { loadWithStandIns } from '../../pipelines/offline.ts'
import { readSettings } from '../../pipelines/settings.ts'
import { type Log, silentLog } from '../../platform/log.ts'

const MIB = 1024 ** 2
const HTTP = '{ type: http, accessKey: { env: KEY }, bodyBytesMax: 1048576, inflightBytesMax: 8388608 }'
const LAKE = '{ type: lake, folder: /srv/lake, memoryBytesMax: 134217728 }'

const pipeline = (source: string, sink: string, more = '') =>
  parsePipeline('a.yaml', `pipeline: a\nsource: ${source}\nsinks: [${sink}]\n${more}`, {})

test('a component counts for what its own configuration lets it hold', () => {
  const drop = '{ type: drop }'
  const topic = '{ type: topic, topic: t, kind: waf }'
  expect(ceilingOf([pipeline(topic, drop)]).heldBytesMax).toBe(0)
  expect(ceilingOf([pipeline(HTTP, drop)]).heldBytesMax).toBe(8 * MIB)
  expect(ceilingOf([pipeline(topic, LAKE)]).heldBytesMax).toBe(128 * MIB)
  expect(ceilingOf([pipeline(HTTP, LAKE), pipeline(HTTP, drop)]).heldBytesMax).toBe((8 + 128 + 8) * MIB)
})

test('lake sinks with equal limits share one DuckDB, which counts once; with others each has its own', () => {
  const topic = '{ type: topic, topic: t, kind: waf }'
  const other = (more: string) => LAKE.replace('134217728 }', more)
  expect(ceilingOf([pipeline(topic, LAKE), pipeline(HTTP, LAKE)]).heldBytesMax).toBe((8 + 128) * MIB)
  const folders = [LAKE, LAKE.replace('/srv/lake', '/srv/other')]
  expect(ceilingOf(folders.map(each => pipeline(topic, each))).heldBytesMax).toBe(128 * MIB)
  const apart = [LAKE, other('268435456 }'), other('134217728, threads: 2 }')]
  expect(ceilingOf(apart.map(each => pipeline(topic, each))).heldBytesMax).toBe((128 + 256 + 128) * MIB)
})

test('a byte more that a pipeline may have on its way raises the ceiling by what it costs in memory', () => {
  const of = (bytes: number) => ceilingOf([pipeline(HTTP, LAKE, `residentBytesMax: ${bytes}`)])
  expect(of(4 * MIB).residentBytesMax).toBe(4 * MIB + BATCH_BYTES_MAX)
  expect(of(5 * MIB).ceilingBytes - of(4 * MIB).ceilingBytes).toBeGreaterThanOrEqual(MIB)
})

test('the process says it once, in the bytes that it is made of', () => {
  const said: unknown[] = []
  const log: Log = { ...silentLog, info: (...line) => void said.push(line) }
  const shipped = shippedPipelines().map(file => loadWithStandIns(file, readSettings({})).pipeline)
  sayCeiling(shipped, log)
  const { residentBytesMax, heldBytesMax, ceilingBytes } = ceilingOf(shipped)
  expect(said).toEqual([
    ['memory ceiling', { residentBytesMax, heldBytesMax, ceilingMiB: Math.round(ceilingBytes / MIB) }],
  ])
})
