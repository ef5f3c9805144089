import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { output } from 'zod'
import { asError, HaetaeError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { EmbeddedLog } from './embedded-log.ts'
import {
  ANSWER_BYTES_MAX,
  type answers,
  LINE_BYTES_MAX,
  type Request,
  request,
  type SentRecord,
  sent,
} from './protocol.ts'
import { SOCKET_FILE, socketPath } from './socket.ts'

export interface OwnerServer {
  close(): Promise<void>
}

const CONNECTIONS_MAX = 16

/** Answers the CLI on `topics.sock`, mode 0600. The folder's lock is held, so a socket that is there is a dead one. */
export async function serveOwner(topics: EmbeddedLog, folder: string, log: Log): Promise<OwnerServer> {
  const address = socketPath(folder)
  rmSync(join(folder, SOCKET_FILE), { force: true })
  const connections = new Set<Socket>()
  const server = createServer(socket => {
    connections.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => connections.delete(socket))
    void answerLines(socket, topics)
  })
  server.maxConnections = CONNECTIONS_MAX
  await listen(server, address.path)
  chmodSync(join(folder, SOCKET_FILE), 0o600)
  server.on('error', error => log.error('the socket of the topic log failed', { error: error.message }))
  return {
    async close() {
      for (const socket of connections) socket.destroy()
      await new Promise<void>(resolve => server.close(() => resolve()))
      rmSync(join(folder, SOCKET_FILE), { force: true })
      address.close()
    },
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error): void => {
      reject(new HaetaeError('LISTEN_FAILED', `${path}: the socket of the topic log cannot be opened`, { cause }))
    }
    server.once('error', failed)
    server.listen(path, () => {
      server.off('error', failed)
      resolve()
    })
  })
}

/** One request at a time for each connection. Never rejects. */
async function answerLines(socket: Socket, topics: EmbeddedLog): Promise<void> {
  let rest: Buffer = Buffer.alloc(0)
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      rest = Buffer.concat([rest, chunk])
      for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
        const line = rest.toString('utf8', 0, end)
        rest = rest.subarray(end + 1)
        socket.write(`${JSON.stringify(await answer(line, topics))}\n`)
      }
      if (rest.length > LINE_BYTES_MAX) break
    }
  } catch {
    // The other side went away in the middle of a request.
  }
  socket.destroy()
}

async function answer(line: string, topics: EmbeddedLog): Promise<unknown> {
  try {
    return { result: await perform(request.parse(JSON.parse(line)), topics) }
  } catch (thrown) {
    const error = asError(thrown)
    const code = error instanceof HaetaeError ? error.code : 'USAGE'
    return { error: { code, message: error.message } }
  }
}

async function perform(asked: Request, topics: EmbeddedLog): Promise<unknown> {
  switch (asked.op) {
    case 'append': {
      const records = asked.records.map(({ key, value, timeMs, replayed = false }) => {
        return { key, value: value === null ? null : Buffer.from(value, 'base64'), timeMs, replayed }
      })
      const { repeated } = await topics.append(asked.topic, records, asked.marker)
      return { repeated }
    }
    case 'lag':
      return (await topics.lag()).map(lag => ({ ...lag, committed: String(lag.committed), end: String(lag.end) }))
    case 'describe': {
      const partitions = topics.describe().map(state => {
        return { ...state, start: String(state.start), end: String(state.end) }
      })
      return { pid: process.pid, full: topics.full, partitions }
    }
    case 'compacted':
      return newestOf(topics, asked)
    case 'records': {
      const { topic, partition, from, to } = asked
      const range = [BigInt(from), BigInt(to)] as const
      const { records, next } = await topics.recordsBetween(topic, partition, ...range, ANSWER_BYTES_MAX)
      return { records: records.map(sent), next: String(next) }
    }
    case 'forget':
      await topics.forgetGroup(asked.group)
      return {}
    case 'move':
      // Its pipeline would go on with what it has read already: a sink that keeps ranges must not see them change.
      if (topics.isRead(asked.group)) {
        throw new HaetaeError(
          'TOPIC_MISMATCH',
          `the group ${asked.group} is being read: stop its pipeline before it is moved`,
        )
      }
      await topics.moveGroup(asked.group, asked.topic, asked.partition, BigInt(asked.offset))
      return {}
  }
}

/** A part of the newest records: as many as fit into an answer. */
async function newestOf(
  topics: EmbeddedLog,
  { topic, skip }: Extract<Request, { op: 'compacted' }>,
): Promise<output<(typeof answers)['compacted']>> {
  const records: SentRecord[] = []
  let at = 0
  let bytes = 0
  for await (const record of topics.readCompacted(topic)) {
    if (at++ < skip) continue
    if (bytes > ANSWER_BYTES_MAX) return { records, more: true }
    records.push(sent(record))
    bytes += record.value?.length ?? 0
  }
  return { records, more: false }
}
