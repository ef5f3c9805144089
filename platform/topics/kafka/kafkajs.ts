import { createRequire } from 'node:module'
import { isIP } from 'node:net'
import { asError } from '../../errors.ts'
import { connectionFailure, KafkaFailure } from './failures.ts'
import { type Channel, CLIENT_ID, CONNECT_MS_MAX, type OpenTransport, type Security } from './transport.ts'

/**
 * Transport on the connection of kafkajs 2.2.4. It is not part of the public interface of kafkajs; the version is pinned
 * and the library is not developed any more, so it stays as it is. The public producer and consumer are not used: they
 * lose acknowledged records when a leader dies, see docs/decisions/009-kafka-clients.md.
 */
const require = createRequire(import.meta.url)
const Connection = require('kafkajs/src/network/connection') as new (options: object) => KafkaJsConnection
const socketFactory = require('kafkajs/src/network/socketFactory') as () => unknown

interface KafkaJsConnection {
  readonly socket?: { destroy(): void }
  readonly requestQueue: { scheduleCheckPendingRequests(): void }
  connect(): Promise<void>
  isConnected(): boolean
  authenticate(): Promise<void>
  setVersions(versions: object): void
  setSupportAuthenticationProtocol(supported: boolean): void
  send(sent: object): Promise<Buffer>
  rejectRequests(error: Error): void
  disconnect(): Promise<void>
}

/** What a broker of Kafka 1.0 or later understands of SASL: kafkajs wants to be told. */
const SASL_VERSIONS = { 17: { minVersion: 0, maxVersion: 1 }, 36: { minVersion: 0, maxVersion: 1 } }
/** Time-outs are the cluster's (cluster.ts); this one only must not come first. */
const REQUEST_MS_MAX = 600_000

export const openKafkaJs: OpenTransport = security => ({
  async connect({ host, port }) {
    const connection = new Connection({
      host,
      port,
      clientId: CLIENT_ID,
      connectionTimeout: CONNECT_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      socketFactory: socketFactory(),
      logger: quiet,
      ssl: sslOf(security, host),
      sasl: saslOf(security),
    })
    // For requests that it holds back, of which we have none; its first time-out is negative and Node.js warns of that.
    connection.requestQueue.scheduleCheckPendingRequests = nothing
    try {
      await connection.connect()
      connection.setVersions(SASL_VERSIONS)
      connection.setSupportAuthenticationProtocol(true)
      await connection.authenticate()
    } catch (thrown) {
      connection.socket?.destroy()
      throw refusal(thrown, `${host}:${port}`)
    }
    return channelOf(connection, `${host}:${port}`)
  },
})

function channelOf(connection: KafkaJsConnection, place: string): Channel {
  return {
    get open() {
      return connection.isConnected()
    },
    async request({ apiKey, apiVersion, body }) {
      const encoded = { buf: body, buffer: body } // as its Encoder looks
      const request = { apiKey, apiVersion, apiName: String(apiKey), encode: () => Promise.resolve(encoded) }
      try {
        return await connection.send({ request, response: asBytes })
      } catch (thrown) {
        throw refusal(thrown, place)
      }
    },
    async close() {
      connection.rejectRequests(new Error('closed by this process'))
      await connection.disconnect().catch(() => undefined)
      connection.socket?.destroy()
    },
  }
}

const asBytes = {
  decode: (bytes: Buffer) => Promise.resolve(bytes),
  parse: (bytes: Buffer) => Promise.resolve(bytes),
}

function sslOf({ tls }: Security, host: string): object | null {
  if (!tls) return null
  const servername = isIP(host) === 0 ? { servername: host } : {}
  return { ...servername, ...(tls.ca === undefined ? {} : { ca: tls.ca }) }
}

function saslOf({ sasl }: Security): object | null {
  if (!sasl) return null
  if (sasl.mechanism !== 'oauthbearer') return sasl
  const { token } = sasl
  return { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: await token() }) }
}

function refusal(thrown: unknown, place: string): KafkaFailure {
  const error = asError(thrown)
  if (error.name === 'KafkaJSSASLAuthenticationError') {
    return new KafkaFailure('SASL_AUTHENTICATION_FAILED', 'unauthorised', `${place}: ${error.message}`, {
      cause: thrown,
    })
  }
  return connectionFailure(`${place}: ${error.message}`, thrown)
}

/** Failures are reported by who asked, once: kafkajs would log each try. */
const nothing = (): void => undefined
const quiet: object = { namespace: () => quiet, debug: nothing, info: nothing, warn: nothing, error: nothing }
