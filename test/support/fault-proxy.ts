import { once } from 'node:events'
import { createServer, type IncomingMessage, request as requestTo, type ServerResponse } from 'node:http'
import { Random } from './random.ts'

/** What befalls a request: refused with 503 SlowDown; cut before it is carried out, or after, so that only the answer is lost; late. */
type Fault = 'slow_down' | 'reset' | 'lost_answer' | 'delay'

export interface FaultProxy {
  readonly url: string
  /** How often each befell a request so far. */
  readonly counts: Readonly<Record<Fault | 'passed', number>>
  /** Chance of each fault for one request; empty means none. */
  chances: Partial<Record<Fault, number>>
  /** Nothing befalls a GET or a HEAD. */
  readsPass: boolean
  /** Of a request that is late. */
  delayMsMax: number
  stop(): Promise<void>
}

const DELAY_MS_MAX = 300

/**
 * An HTTP proxy on 127.0.0.1 that does to requests what networks and services do; the same seed, the same order of faults.
 * `passes` is told of the pieces of each body that is sent on.
 */
export async function startFaultProxy(
  target: string,
  seed: number,
  passes?: (request: IncomingMessage) => void,
): Promise<FaultProxy> {
  const random = new Random(seed)
  const { hostname, port } = new URL(target)
  const counts: Record<Fault | 'passed', number> = { slow_down: 0, reset: 0, lost_answer: 0, delay: 0, passed: 0 }
  const server = createServer((request, response) => void handle(request, response))
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    response.writeContinue()
    void handle(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const proxy: FaultProxy = {
    url: `http://127.0.0.1:${address.port}`,
    counts,
    chances: {},
    readsPass: false,
    delayMsMax: DELAY_MS_MAX,
    async stop() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return proxy

  function draw(): Fault | undefined {
    for (const fault of ['slow_down', 'reset', 'lost_answer', 'delay'] as const) {
      if (random.chance(proxy.chances[fault] ?? 0)) return fault
    }
    return undefined
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const fault = proxy.readsPass && isRead ? undefined : draw()
    counts[fault ?? 'passed']++
    if (fault === 'slow_down') {
      request.resume()
      const body =
        '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
      response.writeHead(503, { 'content-type': 'application/xml' }).end(body)
      return
    }
    if (fault === 'reset') return void request.socket.resetAndDestroy()
    if (fault === 'delay') await new Promise(resolve => setTimeout(resolve, random.int(1, proxy.delayMsMax)))
    const { expect: _, ...headers } = request.headers
    // The signature covers the host name that the client saw, so that stays as it is.
    const onward = requestTo({ hostname, port, method: request.method, path: request.url, headers }, answer => {
      if (fault === 'lost_answer') {
        answer.resume().on('close', () => request.socket.resetAndDestroy())
        return
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
      answer.on('error', () => request.socket.destroy())
    })
    onward.on('error', () => request.socket.destroy())
    request.on('error', () => onward.destroy())
    passes?.(request)
    request.pipe(onward)
  }
}
