import { message } from './message.ts'

export interface BrokerInfo {
  readonly id: number
  readonly host: string
  readonly port: number
}

export interface TopicInfo {
  readonly code: number
  readonly topic: string
  /** By partition index; leader -1 while there is none. */
  readonly partitions: readonly { readonly partition: number; readonly leader: number; readonly replicas: number }[]
}

/** Never lets the broker make a topic. */
export const metadata = message({
  name: 'Metadata',
  key: 3,
  version: 5,
  write: (to, topics: readonly string[]) => void to.array(topics, name => to.string(name)).boolean(false),
  read(from) {
    from.int32() // throttle time
    const brokers = from.array((): BrokerInfo => {
      const broker = { id: from.int32(), host: from.string(), port: from.int32() }
      from.nullableString() // rack
      return broker
    })
    from.nullableString() // cluster id
    const controller = from.int32()
    const topics = from.array((): TopicInfo => {
      const [code, topic] = [from.int16(), from.string()]
      from.boolean() // internal
      const partitions = from.array(() => {
        from.int16() // a code that the leader says, too
        const [partition, leader] = [from.int32(), from.int32()]
        const replicas = from.array(() => from.int32()).length
        from.array(() => from.int32()) // in sync
        from.array(() => from.int32()) // offline
        return { partition, leader, replicas }
      })
      return { code, topic, partitions: partitions.sort((a, b) => a.partition - b.partition) }
    })
    return { brokers, controller, topics }
  },
})

interface NewTopic {
  readonly topic: string
  readonly partitions: number
  readonly replication: number
  readonly settings: Readonly<Record<string, string>>
}

export const createTopics = message({
  name: 'CreateTopics',
  key: 19,
  version: 4,
  write(to, topics: readonly NewTopic[]) {
    to.array(topics, ({ topic, partitions, replication, settings }) => {
      to.string(topic).int32(partitions).int16(replication)
      to.array([], () => undefined)
      to.array(Object.entries(settings), ([name, value]) => to.string(name).string(value))
    })
    to.int32(30_000).boolean(false)
  },
  read(from) {
    from.int32() // throttle time
    return from.array(() => ({ topic: from.string(), code: from.int16(), detail: from.nullableString() }))
  },
})

export const createPartitions = message({
  name: 'CreatePartitions',
  key: 37,
  version: 1,
  write(to, { topic, count }: { readonly topic: string; readonly count: number }) {
    to.array([topic], name =>
      to
        .string(name)
        .int32(count)
        .array(null, () => undefined),
    )
    to.int32(30_000).boolean(false)
  },
  read(from) {
    from.int32() // throttle time
    return from.array(() => ({ topic: from.string(), code: from.int16(), detail: from.nullableString() }))
  },
})

/** A resource of type 2, a topic. */
const TOPIC = 2

export const describeConfigs = message({
  name: 'DescribeConfigs',
  key: 32,
  version: 2,
  write(to, { topics, names }: { readonly topics: readonly string[]; readonly names: readonly string[] }) {
    to.array(topics, topic => {
      to.int8(TOPIC)
        .string(topic)
        .array(names, name => to.string(name))
    })
    to.boolean(false)
  },
  read(from) {
    from.int32() // throttle time
    return from.array(() => {
      const [code, detail] = [from.int16(), from.nullableString()]
      from.int8() // resource type
      const topic = from.string()
      const settings = from.array(() => {
        const setting = { name: from.string(), value: from.nullableString() }
        from.boolean() // read only
        from.int8() // source
        from.boolean() // sensitive
        from.array(() => [from.string(), from.nullableString(), from.int8()]) // synonyms
        return setting
      })
      return { code, detail, topic, settings: new Map(settings.map(({ name, value }) => [name, value ?? ''])) }
    })
  },
})

export const alterConfigs = message({
  name: 'IncrementalAlterConfigs',
  key: 44,
  version: 0,
  write(to, { topic, settings }: { readonly topic: string; readonly settings: Readonly<Record<string, string>> }) {
    to.array([topic], name => {
      to.int8(TOPIC).string(name)
      to.array(Object.entries(settings), ([key, value]) => to.string(key).int8(0).string(value))
    })
    to.boolean(false)
  },
  read(from) {
    from.int32() // throttle time
    return from.array(() => {
      const [code, detail] = [from.int16(), from.nullableString()]
      from.int8() // resource type
      return { code, detail, topic: from.string() }
    })
  },
})
