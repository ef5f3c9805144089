import { randomUUID } from 'node:crypto'
import type { DeadLetter, Delivery, Deps, Event } from '../../engine/contract.ts'
import { type HttpSource, http, openHttp } from '../../sources/http.ts'
import { testDeps } from './deps.ts'

export const KEY = 'a-test-key'

/** What the engine does with a delivery; returning nothing leaves it unsettled. */
export type Settle = (delivery: Delivery) => void

export interface Running {
  readonly source: HttpSource
  readonly port: number
  readonly deps: Deps & { readonly dead: DeadLetter[] }
  /** Every event of every delivery read so far. */
  readonly events: Event[]
  readonly deliveries: Delivery[]
  /** The value of a metric line that begins with `name`, labels included; 0 if there is none. */
  metric(name: string): Promise<number>
  /** As the engine when it is told to stop: reads no more, settles what it has. */
  stopReading(): Promise<void>
  close(): Promise<void>
}

/**
 * The source on a free port, with an engine that reads all the time and settles as told (acks at once by default), or
 * one that never reads.
 */
export async function startHttp(
  config: Readonly<Record<string, unknown>> = {},
  settle: Settle | 'never reads' = delivery => delivery.ack(),
  overrides: Partial<Deps> = {},
): Promise<Running> {
  process.env['HAETAE_TEST_KEY'] = KEY
  const deps = testDeps(overrides)
  const source = await openHttp(
    http.config.parse({ port: 0, accessKey: { env: 'HAETAE_TEST_KEY' }, kinds: ['waf', 'falco'], ...config }),
    deps,
  )
  const events: Event[] = []
  const deliveries: Delivery[] = []
  const stop = new AbortController()
  const engine = (async () => {
    while (settle !== 'never reads') {
      const delivery = await source.read(stop.signal)
      if (!delivery) return
      deliveries.push(delivery)
      events.push(...delivery.batch)
      settle(delivery)
    }
  })()
  const stopReading = async () => {
    stop.abort()
    await engine
  }
  return {
    source,
    port: source.port,
    deps,
    events,
    deliveries,
    metric: async name => {
      const line = (await deps.metrics.expose()).split('\n').find(text => text.startsWith(name))
      return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ') + 1))
    },
    stopReading,
    close: async () => {
      await stopReading()
      await source.close()
    },
  }
}

export const base64 = (data: string | Buffer): string => Buffer.from(data).toString('base64')

export function firehoseBody(records: readonly (string | Buffer)[], requestId: string): string {
  return JSON.stringify({ requestId, timestamp: 1578090901599, records: records.map(data => ({ data: base64(data) })) })
}

export function firehoseHeaders(requestId: string, key = KEY): Record<string, string> {
  return {
    'Content-Type': 'application/json',
    'X-Amz-Firehose-Protocol-Version': '1.0',
    'X-Amz-Firehose-Request-Id': requestId,
    'X-Amz-Firehose-Source-Arn': 'arn:aws:firehose:ap-northeast-2:123456789012:deliverystream/waf',
    'X-Amz-Firehose-Access-Key': key,
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: { requestId?: unknown; timestamp?: unknown; errorMessage?: string; accepted?: number }
}

export async function post(
  port: number,
  path: string,
  body: string | Buffer<ArrayBuffer>,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body, headers })
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] }
}

export function postFirehose(
  port: number,
  records: readonly (string | Buffer)[],
  requestId: string = randomUUID(),
): Promise<Answer> {
  return post(port, '/firehose/waf', firehoseBody(records, requestId), firehoseHeaders(requestId))
}

export function postNdjson(
  port: number,
  body: string | Buffer<ArrayBuffer>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return post(port, '/ingest/waf', body, { Authorization: `Bearer ${KEY}`, ...headers })
}

/** Waits for something that will become true; the test's own time limit is the bound. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(resolve => setTimeout(resolve, 5))
}
