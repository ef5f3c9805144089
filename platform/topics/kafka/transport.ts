/**
 * The seam to a Kafka client library: a connection that carries bytes. TLS, SASL and matching answers to requests are
 * the library's; which requests there are, and what they mean, is ours (messages/), so that every library behaves alike.
 */
export interface Transport {
  /** Rejects with a KafkaFailure: `unauthorised` when credentials are refused, else `again`. */
  connect(address: Address): Promise<Channel>
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** One connection. The broker works on one of its requests at a time, in order. */
export interface Channel {
  /** False once the connection is known to be gone. */
  readonly open: boolean
  /** Sends a request with header version 1; gives the body of the answer. Rejects with a KafkaFailure, `again`, when it is lost. */
  request(request: Request): Promise<Buffer>
  /** Requests that wait for their answer are rejected. Never rejects. */
  close(): Promise<void>
}

interface Request {
  readonly apiKey: number
  readonly apiVersion: number
  readonly body: Buffer
}

/** What a connection needs besides an address. */
export interface Security {
  /** Certificates that are trusted instead of the system's, PEM. undefined: no TLS. */
  readonly tls: { readonly ca: string | undefined } | undefined
  readonly sasl: Sasl | undefined
}

type Sasl =
  | { readonly mechanism: 'scram-sha-256' | 'scram-sha-512'; readonly username: string; readonly password: string }
  | { readonly mechanism: 'oauthbearer'; readonly token: () => Promise<string> }

/** How to open a transport: each client library has one function of this type. */
export type OpenTransport = (security: Security) => Transport

export const CLIENT_ID = 'haetae'
export const CONNECT_MS_MAX = 5_000
