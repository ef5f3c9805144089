import type { AddressInfo, Server } from 'node:net'
import { asError, HaetaeError } from './errors.ts'

/** Resolves with the port once the server listens. Throws LISTEN_FAILED, which names who wanted to and, with `hint`, what to do. */
export async function listen(server: Server, host: string, port: number, who: string, hint?: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(port, host, resolve)
  try {
    await promise
  } catch (cause) {
    const said = `${who}: cannot listen on ${host}:${port}: ${asError(cause).message}`
    throw new HaetaeError('LISTEN_FAILED', hint === undefined ? said : `${said}: ${hint}`, { cause })
  }
  server.removeListener('error', reject)
  return (server.address() as AddressInfo).port
}
