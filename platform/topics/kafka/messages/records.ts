import type { Reader } from '../bytes.ts'
import { message, type PartitionRef, readByTopic, writeByTopic } from './message.ts'

interface ProduceRequest extends PartitionRef {
  /** One record batch. */
  readonly batch: Buffer
  readonly timeoutMs: number
}

interface Produced extends PartitionRef {
  readonly code: number
  readonly baseOffset: bigint
}

/** One partition a request; acks=-1: every replica in sync has it. */
export const produce = message({
  name: 'Produce',
  key: 0,
  version: 7,
  write(to, { topic, partition, batch, timeoutMs }: ProduceRequest) {
    to.string(null).int16(-1).int32(timeoutMs)
    to.array([topic], name => to.string(name).array([partition], index => to.int32(index).bytes(batch)))
  },
  read: from =>
    readByTopic(from, (topic): Produced => {
      const produced = { topic, partition: from.int32(), code: from.int16(), baseOffset: from.int64() }
      from.int64() // log append time
      from.int64() // log start offset
      return produced
    }),
})

export interface FetchRequest {
  readonly waitMs: number
  readonly bytesMax: number
  readonly partitionBytesMax: number
  readonly partitions: readonly (PartitionRef & { readonly offset: bigint })[]
}

export interface FetchedPartition extends PartitionRef {
  readonly code: number
  readonly highWatermark: bigint
  readonly logStart: bigint
  /** Record batches, the last one perhaps cut off. A view over the answer. */
  readonly batches: Buffer
}

/** Reads what is not committed to a transaction, too: nothing here writes transactions. */
export const fetch = message({
  name: 'Fetch',
  key: 1,
  version: 11,
  write(to, { waitMs, bytesMax, partitionBytesMax, partitions }: FetchRequest) {
    to.int32(-1).int32(waitMs).int32(1).int32(bytesMax).int8(0)
    to.int32(0).int32(-1) // no fetch session
    writeByTopic(to, partitions, ({ partition, offset }) => {
      to.int32(partition).int32(-1).int64(offset).int64(-1n).int32(partitionBytesMax)
    })
    to.array([], () => undefined).string('')
  },
  read(from): { readonly code: number; readonly partitions: readonly FetchedPartition[] } {
    from.int32() // throttle time
    const code = from.int16()
    from.int32() // session
    return { code, partitions: readByTopic(from, topic => readFetched(from, topic)) }
  },
})

function readFetched(from: Reader, topic: string): FetchedPartition {
  const [partition, code, highWatermark] = [from.int32(), from.int16(), from.int64()]
  from.int64() // last stable offset
  const logStart = from.int64()
  from.array(() => [from.int64(), from.int64()]) // aborted transactions
  from.int32() // preferred replica
  return { topic, partition, code, highWatermark, logStart, batches: from.bytes() }
}

export const EARLIEST = -2n
export const LATEST = -1n

interface ListOffsetsRequest {
  /** EARLIEST or LATEST. */
  readonly at: bigint
  readonly partitions: readonly PartitionRef[]
}

export const listOffsets = message({
  name: 'ListOffsets',
  key: 2,
  version: 2,
  write(to, { at, partitions }: ListOffsetsRequest) {
    to.int32(-1).int8(0)
    writeByTopic(to, partitions, ({ partition }) => to.int32(partition).int64(at))
  },
  read(from) {
    from.int32() // throttle time
    return readByTopic(from, topic => {
      const [partition, code] = [from.int32(), from.int16()]
      from.int64() // time
      return { topic, partition, code, offset: from.int64() }
    })
  },
})
