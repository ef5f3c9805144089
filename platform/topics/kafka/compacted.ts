import type { Clock } from '../../clock.ts'
import type { FetchedRecord } from '../contract.ts'
import { placeOf } from '../place.ts'
import { decodeBatch, splitBatches } from './batch.ts'
import type { Cluster } from './cluster.ts'
import { check } from './failures.ts'
import type { PartitionRef } from './messages/message.ts'
import { EARLIEST, fetch, LATEST } from './messages/records.ts'
import { offsetsAt, patiently } from './offsets.ts'

const BYTES_MAX = 4 * 1024 * 1024

/** The newest record of each key, partition by partition, up to where each ended when it began. Throws a KafkaFailure. */
export async function* newestRecords(
  cluster: Cluster,
  clock: Clock,
  topic: string,
  partitions: number,
): AsyncGenerator<FetchedRecord & { readonly partition: number }> {
  const refs = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }))
  const ends = await patiently(clock, () => offsetsAt(cluster, LATEST, refs))
  const starts = await patiently(clock, () => offsetsAt(cluster, EARLIEST, refs))
  for (const ref of refs) {
    const { partition } = ref
    const place = placeOf(ref)
    const newest = new Map<string, FetchedRecord>()
    const end = ends.get(place)!
    for (let offset = starts.get(place)!; offset < end; ) {
      const batches = await patiently(clock, () => fetchFrom(cluster, topic, partition, offset))
      for (const batch of splitBatches(batches)) {
        for (const record of decodeBatch(batch, offset)) {
          if (record.offset >= end || record.key === undefined) continue
          // The newest comes last, also in the order of the map.
          newest.delete(record.key)
          newest.set(record.key, record)
        }
        offset = batch.lastOffset + 1n
      }
    }
    for (const record of newest.values()) if (record.value !== null) yield { ...record, partition }
  }
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
