import { isIP } from 'node:net'
import { Connection, type ConnectionOptions, Writer } from '@platformatic/kafka'
import { asError } from '../../errors.ts'
import { connectionFailure, KafkaFailure } from './failures.ts'
import { type Channel, CLIENT_ID, CONNECT_MS_MAX, type OpenTransport, type Security } from './transport.ts'

/** Time-outs are the cluster's (cluster.ts); this one only must not come first. */
const REQUEST_MS_MAX = 600_000

const GONE: ReadonlySet<Connection['status']> = new Set(['closing', 'closed', 'error'])

/** Transport on the connection of @platformatic/kafka 2.12.1, a part of its public interface. */
export const openPlatformatic: OpenTransport = security => ({
  async connect({ host, port }) {
    const connection = new Connection(CLIENT_ID, {
      connectTimeout: CONNECT_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      maxInflights: 64,
      ...optionsOf(security, host),
    })
    // Each request that it concerns is rejected; without a listener the process would end.
    connection.on('error', () => undefined)
    try {
      await connection.connect(host, port)
    } catch (thrown) {
      throw refusal(thrown, `${host}:${port}`)
    }
    return channelOf(connection, `${host}:${port}`)
  },
})

function channelOf(connection: Connection, place: string): Channel {
  return {
    get open() {
      // While it authenticates again it takes requests, though it does not call itself connected.
      return !GONE.has(connection.status)
    },
    request: ({ apiKey, apiVersion, body }) =>
      new Promise((resolve, reject) => {
        connection.send<Buffer>(
          apiKey,
          apiVersion,
          () => Writer.create().append(body),
          (_id, _key, _version, reader) => reader.buffer.slice(reader.position, reader.length),
          false,
          false,
          (error, answer) => {
            if (error || !answer) reject(refusal(error, place))
            else resolve(answer)
          },
        )
      }),
    async close() {
      const closed = connection.close()
      connection.socket?.destroy()
      await closed.catch(() => undefined)
    },
  }
}

function optionsOf({ tls, sasl }: Security, host: string): ConnectionOptions {
  const secured = tls ? { tls: tls.ca === undefined ? {} : { ca: tls.ca }, tlsServerName: isIP(host) === 0 } : {}
  if (!sasl) return secured
  if (sasl.mechanism === 'oauthbearer') return { ...secured, sasl: { mechanism: 'OAUTHBEARER', token: sasl.token } }
  const mechanism = sasl.mechanism === 'scram-sha-256' ? 'SCRAM-SHA-256' : 'SCRAM-SHA-512'
  return { ...secured, sasl: { mechanism, username: sasl.username, password: sasl.password } }
}

function refusal(thrown: unknown, place: string): KafkaFailure {
  for (let cause: unknown = thrown; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && cause.code === 'PLT_KFK_AUTHENTICATION') {
      const detail = `${place}: ${cause.message}`
      return new KafkaFailure('SASL_AUTHENTICATION_FAILED', 'unauthorised', detail, { cause: thrown })
    }
  }
  return connectionFailure(`${place}: ${asError(thrown).message}`, thrown)
}
