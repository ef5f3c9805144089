import type { Clock } from '../../clock.ts'
import { placeOf } from '../place.ts'
import type { Requests } from './cluster.ts'
import { asFailure, check } from './failures.ts'
import { offsetFetch } from './messages/groups.ts'
import type { PartitionRef } from './messages/message.ts'
import { listOffsets } from './messages/records.ts'
import { pauseMs } from './pause.ts'

const PATIENCE_MS = 15_000

/** Repeats what fails for a reason that passes, for a while. */
export async function patiently<T>(clock: Clock, work: () => Promise<T>, limitMs = PATIENCE_MS): Promise<T> {
  const untilMs = clock.monotonicMs() + limitMs
  for (let attempt = 0; ; attempt++) {
    try {
      return await work()
    } catch (thrown) {
      const wait = pauseMs(attempt)
      if (asFailure(thrown).cure !== 'again' || clock.monotonicMs() + wait > untilMs) throw thrown
      await clock.wait(wait)
    }
  }
}

/** The first offset (EARLIEST) or the one after the last (LATEST), by place. */
export async function offsetsAt(
  cluster: Requests,
  at: bigint,
  partitions: readonly PartitionRef[],
): Promise<ReadonlyMap<string, bigint>> {
  const topics = [...new Set(partitions.map(({ topic }) => topic))]
  if (topics.length === 0) return new Map()
  await cluster.refresh(topics)
  const byLeader = new Map<number, PartitionRef[]>()
  // A broker refuses to be asked for a partition twice.
  for (const ref of new Map(partitions.map(each => [placeOf(each), each])).values()) {
    const leader = cluster.leader(ref.topic, ref.partition)
    byLeader.set(leader, [...(byLeader.get(leader) ?? []), ref])
  }
  const answers = await Promise.all(
    [...byLeader].map(([node, refs]) => cluster.send(node, 'lookup', listOffsets, { at, partitions: refs })),
  )
  const found = new Map<string, bigint>()
  for (const { code, offset, ...ref } of answers.flat()) {
    check(code, placeOf(ref))
    found.set(placeOf(ref), offset)
  }
  return found
}

export interface Committed {
  readonly offset: bigint
  readonly note: string | undefined
}

/** What a group has committed, by place. */
export async function committedBy(
  cluster: Requests,
  group: string,
): Promise<ReadonlyMap<string, Committed & PartitionRef>> {
  const node = await cluster.coordinator(group)
  const { code, positions } = await cluster.send(node, 'lookup', offsetFetch, { group, partitions: null })
  check(code, group)
  const found = new Map<string, Committed & PartitionRef>()
  for (const { code: own, topic, partition, offset, note } of positions) {
    check(own, `${group} ${placeOf({ topic, partition })}`)
    if (offset >= 0n) found.set(placeOf({ topic, partition }), { topic, partition, offset, note })
  }
  return found
}
