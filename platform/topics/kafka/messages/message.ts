import type { Reader, Writer } from '../bytes.ts'

/**
 * One request of the protocol and its answer, in one version that Kafka 2.3 to 4.4 speak and that has no tagged fields.
 * https://kafka.apache.org/protocol#protocol_messages gives each field by field.
 */
export interface Message<Request, Answer> {
  readonly name: string
  readonly key: number
  readonly version: number
  write(to: Writer, request: Request): void
  read(from: Reader): Answer
}

export const message = <Request, Answer>(given: Message<Request, Answer>): Message<Request, Answer> => given

export interface PartitionRef {
  readonly topic: string
  readonly partition: number
}

/** Requests list partitions by topic. */
export function byTopic<T extends PartitionRef>(refs: readonly T[]): readonly (readonly [string, readonly T[]])[] {
  const topics = new Map<string, T[]>()
  for (const ref of refs) {
    const same = topics.get(ref.topic)
    if (same) same.push(ref)
    else topics.set(ref.topic, [ref])
  }
  return [...topics]
}

/** Writes `[topic [partition…]]`. */
export function writeByTopic<T extends PartitionRef>(to: Writer, refs: readonly T[], write: (ref: T) => void): void {
  to.array(byTopic(refs), ([topic, same]) => to.string(topic).array(same, write))
}

/** Reads `[topic [partition…]]` as one flat list. */
export function readByTopic<T>(from: Reader, read: (topic: string) => T): T[] {
  return from
    .array(() => {
      const topic = from.string()
      return from.array(() => read(topic))
    })
    .flat()
}
