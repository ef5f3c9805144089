import { hash } from 'node:crypto'
import { Reader, Writer } from './bytes.ts'
import { byTopic, type PartitionRef, readByTopic } from './messages/message.ts'

/**
 * How partitions are shared, in the format of Kafka's own consumers (ConsumerProtocolSubscription and -Assignment,
 * version 0), so that its tools can show a group.
 */

/**
 * The broker refuses a member that has no protocol in common with the others. Two deployments that read other topics, or
 * do other things with them, under one group name would each lose what the other reads: they get different names.
 */
export function protocolName(reader: string, topics: readonly string[]): string {
  const what = JSON.stringify([reader, [...topics].sort()])
  return `haetae-${hash('sha256', what, 'hex').slice(0, 12)}`
}

export function encodeSubscription(topics: readonly string[]): Buffer {
  const to = new Writer()
  to.int16(0).array(topics, topic => to.string(topic))
  return to.bytes(Buffer.alloc(0)).done()
}

export function encodeAssignment(partitions: readonly PartitionRef[]): Buffer {
  const to = new Writer()
  to.int16(0)
  to.array(byTopic(partitions), ([topic, same]) => to.string(topic).array(same, ({ partition }) => to.int32(partition)))
  return to.bytes(Buffer.alloc(0)).done()
}

export function decodeAssignment(bytes: Buffer): PartitionRef[] {
  if (bytes.length === 0) return []
  const from = new Reader(bytes)
  from.int16() // version
  return readByTopic(from, topic => ({ topic, partition: from.int32() }))
}

/** Partition `i` of every topic goes to member `i mod n`; every member reads the same topics (protocolName). */
export function shareOut(
  members: readonly string[],
  topics: readonly { readonly topic: string; readonly partitions: number }[],
): ReadonlyMap<string, readonly PartitionRef[]> {
  const ordered = [...members].sort()
  const shares = new Map<string, PartitionRef[]>(ordered.map(member => [member, []]))
  for (const { topic, partitions } of topics) {
    for (let partition = 0; partition < partitions; partition++) {
      shares.get(ordered[partition % ordered.length]!)!.push({ topic, partition })
    }
  }
  return shares
}
