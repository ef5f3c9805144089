import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../../clock.ts'
import { HaetaeError } from '../../errors.ts'
import type { FetchedRecord } from '../contract.ts'
import { placeOf } from '../place.ts'
import { decodeBatch, splitBatches } from './batch.ts'
import type { Cluster } from './cluster.ts'
import { check, KafkaFailure } from './failures.ts'
import type { PartitionRef } from './messages/message.ts'
import { EARLIEST, fetch, LATEST } from './messages/records.ts'
import { offsetsAt, patiently } from './offsets.ts'

const BYTES_MAX = 4 * 1024 * 1024
/** Each is shorter than the one before. Kafka's cleaner leaves alone what is still written to, so already the third has nothing to find. */
const ROUNDS_MAX = 8

/** One partition as it is read here. */
export interface CompactedLog {
  /** For errors. */
  readonly place: string
  /** The offset after the last record, as of now. */
  end(): Promise<bigint>
  /** The records from one offset to before another, as far as compaction left them. Values are parts of larger buffers. */
  scan(from: bigint, end: bigint): AsyncIterable<FetchedRecord>
}

/**
 * The newest record of each key that is wanted, as of the begin or later. Reads a partition twice: what it
 * keeps are keys and offsets, not values. Throws a KafkaFailure, and TOPIC_CORRUPT for what cannot be read: without it, an older record
 * of a key would pass as its newest.
 */
export async function* newestRecords(
  cluster: Cluster,
  clock: Clock,
  topic: string,
  partitions: number,
  wants: (key: string) => boolean,
): AsyncGenerator<FetchedRecord & { readonly partition: number }> {
  const refs = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }))
  const starts = await patiently(clock, () => offsetsAt(cluster, EARLIEST, refs))
  for (const ref of refs) {
    const { partition } = ref
    const place = placeOf(ref)
    const log: CompactedLog = {
      place,
      end: async () => (await patiently(clock, () => offsetsAt(cluster, LATEST, [ref]))).get(place)!,
      async *scan(from, end) {
        for (let offset = from; offset < end; ) {
          const batches = await patiently(clock, () => fetchFrom(cluster, topic, partition, offset))
          for (const batch of splitBatches(batches)) {
            for (const record of decodeBatch(batch, offset)) if (record.offset < end) yield record
            offset = batch.lastOffset + 1n
            // Promises alone would let no timer pass before the fetched bytes are used up, and the heartbeats of our groups are timers.
            await nextTurn()
          }
        }
      },
    }
    for await (const record of newestOf(log, starts.get(place)!, wants)) yield { ...record, partition }
  }
}

/** Of one partition. Exported for its test. */
export async function* newestOf(
  log: CompactedLog,
  start: bigint,
  wants: (key: string) => boolean,
): AsyncGenerator<FetchedRecord> {
  /** The records with a wanted key. */
  async function* readable(from: bigint, to: bigint): AsyncGenerator<FetchedRecord & { readonly key: string }> {
    for await (const record of log.scan(from, to)) {
      const { key } = record
      if (record.refused !== undefined && (key === undefined || wants(key))) throw corrupt(log.place, record)
      if (key !== undefined && wants(key)) yield { ...record, key }
    }
  }
  const newest = new Map<string, bigint>()
  let end = start
  // What was rewritten meanwhile may be gone before it is read, and its successor stands behind the end: until nothing was written.
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const from = end
    end = await log.end()
    if (end === from) break
    for await (const { key, value, offset } of readable(from, end)) {
      if (value === null) newest.delete(key)
      else newest.set(key, offset)
    }
  }
  for await (const record of readable(start, end)) {
    if (newest.get(record.key) !== record.offset) continue
    newest.delete(record.key)
    yield record
  }
  // What is left was compacted away between the two passes, as there is a newer one behind the end. They are few.
  for (let round = 0; newest.size > 0; round++) {
    if (round === ROUNDS_MAX) {
      throw new KafkaFailure('COMPACTED_MEANWHILE', 'again', `${log.place} is rewritten faster than it can be read`)
    }
    const from = end
    end = await log.end()
    // Deleted, and the deletion is gone, too.
    if (end === from) return
    const later = new Map<string, FetchedRecord>()
    for await (const record of readable(from, end)) {
      if (!newest.has(record.key)) continue
      later.set(record.key, { ...record, value: record.value && Buffer.from(record.value) })
    }
    for (const [key, record] of later) {
      newest.delete(key)
      if (record.value !== null) yield record
    }
  }
}

function corrupt(place: string, { offset, refused = '' }: FetchedRecord): HaetaeError {
  return new HaetaeError(
    'TOPIC_CORRUPT',
    `${place}, offset ${offset} cannot be read (${refused}): without it, what is older would pass as the newest; upgrade Haetae when ` +
      'a later version wrote it, otherwise restore the topic from a copy',
  )
}

/** Records of a partition from `from` until before `to`, those that are still there. Throws a KafkaFailure. */
export async function recordsBetween(
  cluster: Cluster,
  clock: Clock,
  { topic, partition }: PartitionRef,
  from: bigint,
  to: bigint,
): Promise<readonly FetchedRecord[]> {
  const place = placeOf({ topic, partition })
  const starts = await patiently(clock, () => offsetsAt(cluster, EARLIEST, [{ topic, partition }]))
  const ends = await patiently(clock, () => offsetsAt(cluster, LATEST, [{ topic, partition }]))
  const end = ends.get(place)! < to ? ends.get(place)! : to
  const records: FetchedRecord[] = []
  for (let offset = starts.get(place)! > from ? starts.get(place)! : from; offset < end; ) {
    const batches = await patiently(clock, () => fetchFrom(cluster, topic, partition, offset))
    for (const batch of splitBatches(batches)) {
      records.push(...decodeBatch(batch, offset).filter(record => record.offset < end))
      offset = batch.lastOffset + 1n
    }
  }
  return records
}

async function fetchFrom(cluster: Cluster, topic: string, partition: number, offset: bigint): Promise<Buffer> {
  await cluster.refresh([topic])
  const node = cluster.leader(topic, partition)
  const request = {
    waitMs: 500,
    bytesMax: BYTES_MAX,
    partitionBytesMax: BYTES_MAX,
    partitions: [{ topic, partition, offset }],
  }
  const { code, partitions } = await cluster.send(node, 'compacted', fetch, request)
  check(code)
  const [answer] = partitions
  check(answer?.code ?? -1, placeOf({ topic, partition }))
  return answer!.batches
}
