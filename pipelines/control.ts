import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { z } from 'zod'
import { asError, HaetaeError, systemCodeOf } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { socketPath } from '../platform/topics/socket.ts'

/** What became of new configuration in one process. */
const reloaded = z.object({
  pid: z.int(),
  pipelines: z.array(z.string()),
  /** The files as they are now can be run. */
  valid: z.boolean(),
  /** What runs is what the files say. */
  applied: z.boolean(),
  /** Of what runs now. */
  revision: z.string(),
  /** For people: what was done, or which line is wrong. */
  message: z.string(),
})
export type Reloaded = z.output<typeof reloaded>

const answered = z.union([z.object({ reloaded: z.array(reloaded) }), z.object({ error: z.string() })])

/** A process that is asked to reload drains its pipelines first. */
const ANSWER_MS_MAX = 10 * 60_000
const QUESTION_BYTES_MAX = 1_024
const ANSWER_BYTES_MAX = 1024 * 1024
const CONNECTIONS_MAX = 8
const RELOAD = 'reload\n'

export interface Control {
  close(): Promise<void>
}

/**
 * Takes requests of people on this machine: a socket of mode 0600 in `<state>/control`, one for each process, as on Kafka several may
 * share a state folder. Whoever may read the state may ask. Throws LISTEN_FAILED.
 */
export async function serveControl(
  stateFolder: string,
  reload: () => Promise<readonly Reloaded[]>,
  log: Log,
): Promise<Control> {
  const folder = join(stateFolder, 'control')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const name = `${process.pid}-${randomBytes(4).toString('hex')}.sock`
  const address = socketPath(folder, name)
  const connections = new Set<Socket>()
  const server = createServer(socket => {
    connections.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => connections.delete(socket))
    void answer(socket, reload)
  })
  server.maxConnections = CONNECTIONS_MAX
  await new Promise<void>((resolve, reject) => {
    server.once('error', cause => {
      reject(new HaetaeError('LISTEN_FAILED', `${address.path}: the control socket cannot be opened`, { cause }))
    })
    server.listen({ path: address.path, exclusive: true }, resolve)
  })
  chmodSync(join(folder, name), 0o600)
  server.on('error', error => log.error('the control socket failed', { error: error.message }))
  return {
    async close() {
      for (const socket of connections) socket.destroy()
      await new Promise<void>(resolve => server.close(() => resolve()))
      rmSync(join(folder, name), { force: true })
      address.close()
    },
  }
}

async function answer(socket: Socket, reload: () => Promise<readonly Reloaded[]>): Promise<void> {
  try {
    const asked = await readLine(socket, QUESTION_BYTES_MAX)
    if (`${asked}\n` !== RELOAD) throw new Error('the one request is: reload')
    const given: z.output<typeof answered> = { reloaded: [...(await reload())] }
    socket.end(`${JSON.stringify(given)}\n`)
  } catch (thrown) {
    socket.end(`${JSON.stringify({ error: asError(thrown).message })}\n`)
  }
}

/** Asks every process with this state folder, one after the other. A socket that a dead process left is removed. */
export async function askReload(stateFolder: string): Promise<readonly Reloaded[]> {
  const folder = join(stateFolder, 'control')
  const answers: Reloaded[] = []
  for (const name of namesIn(folder)) {
    const address = socketPath(folder, name)
    try {
      const given = answered.parse(JSON.parse(await ask(address.path)))
      if ('error' in given) throw new HaetaeError('CONFIG_INVALID', given.error)
      answers.push(...given.reloaded)
    } catch (thrown) {
      if (systemCodeOf(thrown) !== 'ECONNREFUSED') throw thrown
      rmSync(join(folder, name), { force: true })
    } finally {
      address.close()
    }
  }
  return answers
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter(name => name.endsWith('.sock'))
      .sort()
  } catch (thrown) {
    if (systemCodeOf(thrown) === 'ENOENT') return []
    throw thrown
  }
}

async function ask(path: string): Promise<string> {
  const socket = createConnection(path)
  socket.setTimeout(ANSWER_MS_MAX, () =>
    socket.destroy(new Error(`${path}: no answer within ${ANSWER_MS_MAX / 1000} s`)),
  )
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    socket.write(RELOAD)
    return await readLine(socket, ANSWER_BYTES_MAX)
  } finally {
    socket.destroy()
  }
}

/** The first line, without its end. */
async function readLine(socket: Socket, bytesMax: number): Promise<string> {
  let text = ''
  for await (const chunk of socket.setEncoding('utf8').iterator({ destroyOnReturn: false }) as AsyncIterable<string>) {
    text += chunk
    const end = text.indexOf('\n')
    if (end >= 0) return text.slice(0, end)
    if (text.length > bytesMax) throw new Error(`a line is longer than ${bytesMax} bytes`)
  }
  throw new Error('the connection ended before an answer')
}
