import { message, type PartitionRef, readByTopic, writeByTopic } from './message.ts'

export const findCoordinator = message({
  name: 'FindCoordinator',
  key: 10,
  version: 2,
  write: (to, group: string) => void to.string(group).int8(0),
  read(from) {
    from.int32() // throttle time
    const [code, detail, id] = [from.int16(), from.nullableString(), from.int32()]
    return { code, detail, id, host: from.string(), port: from.int32() }
  },
})

interface JoinRequest {
  readonly group: string
  readonly sessionMs: number
  readonly rebalanceMs: number
  /** Empty at first; the broker gives one. */
  readonly member: string
  /** Members agree on a protocol by its name; no name in common: INCONSISTENT_GROUP_PROTOCOL. */
  readonly protocol: string
  readonly subscription: Buffer
}

export const joinGroup = message({
  name: 'JoinGroup',
  key: 11,
  version: 5,
  write(to, { group, sessionMs, rebalanceMs, member, protocol, subscription }: JoinRequest) {
    to.string(group).int32(sessionMs).int32(rebalanceMs).string(member).string(null).string('consumer')
    to.array([protocol], name => to.string(name).bytes(subscription))
  },
  read(from) {
    from.int32() // throttle time
    const [code, generation] = [from.int16(), from.int32()]
    from.string() // protocol
    const [leader, member] = [from.string(), from.string()]
    const members = from.array(() => {
      const id = from.string()
      from.nullableString() // instance
      return { id, subscription: from.bytes() }
    })
    return { code, generation, leader, member, members }
  },
})

/** Of a member in a generation: what the broker fences by. */
export interface Membership {
  readonly group: string
  readonly generation: number
  readonly member: string
}

interface SyncRequest extends Membership {
  /** By the leader for everybody; empty from the others. */
  readonly assignments: readonly { readonly member: string; readonly assignment: Buffer }[]
}

export const syncGroup = message({
  name: 'SyncGroup',
  key: 14,
  version: 3,
  write(to, { group, generation, member, assignments }: SyncRequest) {
    to.string(group).int32(generation).string(member).string(null)
    to.array(assignments, each => to.string(each.member).bytes(each.assignment))
  },
  read(from) {
    from.int32() // throttle time
    return { code: from.int16(), assignment: from.bytes() }
  },
})

export const heartbeat = message({
  name: 'Heartbeat',
  key: 12,
  version: 3,
  write: (to, { group, generation, member }: Membership) =>
    void to.string(group).int32(generation).string(member).string(null),
  read(from) {
    from.int32() // throttle time
    return { code: from.int16() }
  },
})

export const leaveGroup = message({
  name: 'LeaveGroup',
  key: 13,
  version: 2,
  write: (to, { group, member }: Membership) => void to.string(group).string(member),
  read(from) {
    from.int32() // throttle time
    return { code: from.int16() }
  },
})

interface CommitRequest extends Membership {
  readonly positions: readonly (PartitionRef & { readonly offset: bigint; readonly note: string | undefined })[]
}

export const offsetCommit = message({
  name: 'OffsetCommit',
  key: 8,
  version: 5,
  write(to, { group, generation, member, positions }: CommitRequest) {
    to.string(group).int32(generation).string(member)
    writeByTopic(to, positions, ({ partition, offset, note }) => {
      to.int32(partition)
        .int64(offset)
        .string(note ?? '')
    })
  },
  read(from) {
    from.int32() // throttle time
    return readByTopic(from, topic => ({ topic, partition: from.int32(), code: from.int16() }))
  },
})

interface CommittedPosition extends PartitionRef {
  readonly code: number
  /** -1: none. */
  readonly offset: bigint
  readonly note: string | undefined
}

export const offsetFetch = message({
  name: 'OffsetFetch',
  key: 9,
  version: 4,
  /** `partitions` null: all that the group has. */
  write(to, { group, partitions }: { readonly group: string; readonly partitions: readonly PartitionRef[] | null }) {
    to.string(group)
    if (partitions) writeByTopic(to, partitions, ({ partition }) => to.int32(partition))
    else to.int32(-1)
  },
  read(from) {
    from.int32() // throttle time
    const positions = readByTopic(from, (topic): CommittedPosition => {
      const [partition, offset, note] = [from.int32(), from.int64(), from.nullableString()]
      return { topic, partition, offset, note: note || undefined, code: from.int16() }
    })
    return { positions, code: from.int16() }
  },
})

export const deleteGroups = message({
  name: 'DeleteGroups',
  key: 42,
  version: 1,
  write: (to, groups: readonly string[]) => void to.array(groups, group => to.string(group)),
  read(from) {
    from.int32() // throttle time
    return from.array(() => ({ group: from.string(), code: from.int16() }))
  },
})

export const listGroups = message({
  name: 'ListGroups',
  key: 16,
  version: 2,
  write: (_to, _request: undefined) => undefined,
  read(from) {
    from.int32() // throttle time
    const code = from.int16()
    return { code, groups: from.array(() => ({ group: from.string(), protocolType: from.string() })) }
  },
})
