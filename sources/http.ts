import { z } from 'zod'
import { type Deps, defineSource, logKinds, type Source } from '../engine/contract.ts'
import { listen } from '../platform/listen.ts'
import { readSecret, secretRef } from '../platform/secret.ts'
import { keyHashOf } from './http/admit.ts'
import { Inflight } from './http/inflight.ts'
import { httpMeasures } from './http/measures.ts'
import { Pending } from './http/pending.ts'
import { closeServer, makeServer, serve } from './http/server.ts'

const MIB = 1024 * 1024
/** Requests being received or waiting; small ones would otherwise be bounded by nothing. */
const REQUESTS_MAX = 1024

const config = z
  .strictObject({
    host: z.string().min(1).default('127.0.0.1').describe('Address to listen on'),
    port: z.int().min(0).max(65_535).default(7078).describe('0: any free port'),
    hosts: z
      .array(z.string().min(1).toLowerCase())
      .default([])
      .describe('Names in the Host header that are ours, besides localhost and addresses; without the port'),
    tls: z
      .strictObject({ certFile: z.string().min(1), keyFile: z.string().min(1) })
      .optional()
      .describe('PEM files. Firehose speaks only HTTPS on port 443; usually a load balancer ends it'),
    accessKey: secretRef.describe(
      'What clients send in X-Amz-Firehose-Access-Key, in Authorization: Bearer, or as the password of Authorization: Basic',
    ),
    kinds: z.array(z.enum(logKinds)).min(1).default(['waf']).describe('POST /firehose/<kind> and /ingest/<kind>'),
    bodyBytesMax: z
      .int()
      .min(1024)
      .max(64 * MIB)
      .default(64 * MIB)
      .describe('After decompression; more is answered 400'),
    inflightBytesMax: z
      .int()
      .min(2048)
      .default(96 * MIB)
      .describe('All bodies not yet stored; past it 503'),
    connectionsMax: z.int().min(1).default(256).describe('Open at once; one more is closed'),
    receiveMs: z.int().min(1000).default(60_000).describe('For sending a whole request'),
    answerMs: z
      .int()
      .min(100)
      .max(170_000)
      .default(30_000)
      .describe('Then 503: below the 60 s of a load balancer and the 180 s of Firehose. Storing goes on'),
    stallMs: z
      .int()
      .min(100)
      .default(5000)
      .describe('New requests are answered 503 at once while something handed out longer ago is not stored'),
  })
  .refine(c => c.inflightBytesMax >= 1.5 * c.bodyBytesMax, {
    path: ['inflightBytesMax'],
    message: 'must be at least one and a half times bodyBytesMax: a growing body is held twice for a moment',
  })

/** A source that also says where it listens. */
export interface HttpSource extends Source {
  readonly port: number
}

export const http = defineSource({
  type: 'http',
  summary:
    'Receives over HTTP: the Firehose HTTP endpoint protocol at /firehose/<kind>, NDJSON at /ingest/<kind>; answers 200 when the records are stored',
  config,
  heldBytesMax: settings => settings.inflightBytesMax,
  example: `host: 127.0.0.1
port: 7078
hosts: [ingest.example.com]
tls: { certFile: /etc/haetae/tls.crt, keyFile: /etc/haetae/tls.key }
accessKey: { env: HAETAE_FIREHOSE_KEY }
kinds: [waf, guardduty, falco]
bodyBytesMax: 67108864
inflightBytesMax: 100663296
connectionsMax: 256
receiveMs: 60000
answerMs: 30000
stallMs: 5000
`,
  open: openHttp,
})

/**
 * Listens until close(). Errors: SECRET_MISSING, SOURCE_UNREADABLE (TLS files), LISTEN_FAILED.
 * Protocol: Firehose developer guide, HTTP endpoint delivery request and response specifications.
 */
export async function openHttp(settings: z.output<typeof config>, deps: Deps): Promise<HttpSource> {
  const measures = httpMeasures(deps.metrics)
  const gate = {
    keyHash: keyHashOf(readSecret(settings.accessKey)),
    hosts: new Set([...settings.hosts, settings.host.toLowerCase()]),
    kinds: settings.kinds,
    bodyBytesMax: settings.bodyBytesMax,
  }
  const inflight = new Inflight(settings.inflightBytesMax, REQUESTS_MAX, bytes => measures.inflight(bytes))
  const server = makeServer(settings)
  const hint = 'stop what uses it, or choose another `port` (of ingest.yaml: HAETAE_INGEST_PORT)'
  const port = await listen(server, settings.host, settings.port, 'http', hint)
  const pending = new Pending(deps, settings)
  serve(server, { gate, inflight, pending, measures, deps })
  deps.log.info('http source listens', { host: settings.host, port, tls: settings.tls !== undefined })
  return {
    port,
    read: signal => pending.read(signal),
    close: async () => {
      pending.stop()
      await closeServer(server, deps)
    },
  }
}
