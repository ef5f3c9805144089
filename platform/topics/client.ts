import { createConnection, type Socket } from 'node:net'
import type { output } from 'zod'
import { type ErrorCode, errorCodes, HaetaeError } from '../errors.ts'
import type { GroupLag, TopicRecord } from './contract.ts'
import type { PartitionState } from './embedded-log.ts'
import { APPEND_BYTES_MAX, answers, type Request, reply, type SentRecord, sent } from './protocol.ts'
import { socketPath } from './socket.ts'

interface Description {
  readonly pid: number
  readonly full: boolean
  readonly partitions: readonly PartitionState[]
}

/** What another process can ask of the owner of a topic log. Errors are those of the owner. */
export interface TopicsClient {
  /** Resolves when durable. A long list is sent in parts: after an error a first part may be there. */
  append(topic: string, records: readonly TopicRecord[]): Promise<void>
  /** The newest record of each key of a compacted topic. One that changes meanwhile may come twice or not at all. */
  readCompacted(topic: string): AsyncIterable<TopicRecord>
  /** Records of a partition from `from` until before `to`, those that are still there. */
  recordsBetween(topic: string, partition: number, from: bigint, to: bigint): Promise<readonly TopicRecord[]>
  lag(): Promise<readonly GroupLag[]>
  describe(): Promise<Description>
  forgetGroup(group: string): Promise<void>
  /** Rejects with TOPIC_MISMATCH while the group is being read. */
  moveGroup(group: string, topic: string, partition: number, offset: bigint): Promise<void>
  close(): void
}

/** undefined when no process owns the log in this folder. */
export async function connectOwner(folder: string): Promise<TopicsClient | undefined> {
  const socket = await connect(folder)
  if (!socket) return undefined
  const ask = asker(socket)
  return {
    async append(topic, records) {
      for (const part of parts(records)) await ask({ op: 'append', topic, records: part })
    },
    async *readCompacted(topic) {
      for (let skip = 0, more = true; more; ) {
        const answer = await ask({ op: 'compacted', topic, skip })
        yield* answer.records.map(received)
        skip += answer.records.length
        more = answer.more
      }
    },
    async recordsBetween(topic, partition, from, to) {
      const records: TopicRecord[] = []
      for (let at = from; at < to; ) {
        const answer = await ask({ op: 'records', topic, partition, from: String(at), to: String(to) })
        records.push(...answer.records.map(received))
        at = BigInt(answer.next)
      }
      return records
    },
    async lag() {
      const lags = await ask({ op: 'lag' })
      return lags.map(lag => ({ ...lag, committed: BigInt(lag.committed), end: BigInt(lag.end) }))
    },
    async describe() {
      const { pid, full, partitions } = await ask({ op: 'describe' })
      return {
        pid,
        full,
        partitions: partitions.map(state => ({ ...state, start: BigInt(state.start), end: BigInt(state.end) })),
      }
    },
    async forgetGroup(group) {
      await ask({ op: 'forget', group })
    },
    async moveGroup(group, topic, partition, offset) {
      await ask({ op: 'move', group, topic, partition, offset: String(offset) })
    },
    close: () => socket.destroy(),
  }
}

function received({ key, value, timeMs }: SentRecord): TopicRecord {
  return { key, value: value === null ? null : Buffer.from(value, 'base64'), timeMs }
}

function connect(folder: string): Promise<Socket | undefined> {
  let address: ReturnType<typeof socketPath>
  try {
    address = socketPath(folder)
  } catch (error) {
    if (error instanceof HaetaeError) return Promise.reject(error)
    return Promise.resolve(undefined) // The folder does not exist: nobody owns it.
  }
  return new Promise((resolve, reject) => {
    const socket = createConnection(address.path)
    const settle = (then: () => void): void => {
      address.close()
      then()
    }
    socket.once('connect', () => settle(() => resolve(socket)))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const nobody = error.code === 'ENOENT' || error.code === 'ECONNREFUSED'
      settle(() => (nobody ? resolve(undefined) : reject(error)))
    })
  })
}

/** Sends requests one after another and gives each its answer. */
function asker(socket: Socket) {
  const waiting: { readonly resolve: (line: string) => void; readonly reject: (error: Error) => void }[] = []
  let rest = ''
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) waiting.shift()?.resolve(line)
  })
  socket.on('error', () => socket.destroy())
  const gone = () =>
    new HaetaeError('TOPIC_CLOSED', 'the owner of the topic log went away before it answered: try again')
  socket.on('close', () => {
    for (const { reject } of waiting.splice(0)) reject(gone())
  })
  return async <Op extends Request['op']>(asked: Request & { op: Op }): Promise<output<(typeof answers)[Op]>> => {
    if (socket.destroyed) throw gone()
    const line = await new Promise<string>((resolve, reject) => {
      waiting.push({ resolve, reject })
      socket.write(`${JSON.stringify(asked)}\n`)
    })
    const said = reply.parse(JSON.parse(line))
    if ('error' in said) throw new HaetaeError(knownCode(said.error.code), said.error.message)
    return answers[asked.op as Op].parse(said.result) as output<(typeof answers)[Op]>
  }
}

function knownCode(code: string): ErrorCode {
  return Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'USAGE'
}

function* parts(records: readonly TopicRecord[]): Generator<SentRecord[]> {
  let part: SentRecord[] = []
  let bytes = 0
  for (const record of records) {
    const size = (record.value?.length ?? 0) + (record.key?.length ?? 0)
    if (part.length > 0 && bytes + size > APPEND_BYTES_MAX) {
      yield part
      part = []
      bytes = 0
    }
    part.push(sent(record))
    bytes += size
  }
  if (part.length > 0) yield part
}
