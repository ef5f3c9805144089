import type { Encoded, Event, Sink, Verdict } from '../engine/contract.ts'

/** What the status page shows of one event. Every string in it was written by whoever sent the request. */
export interface RecentEvent {
  readonly timeMs: number
  readonly disposition: string
  readonly ip: string
  readonly country: string
  readonly city: string
  readonly organisation: string
  readonly method: string
  readonly host: string
  readonly path: string
  readonly rule: string
  readonly sample: boolean
}

export interface TopClient {
  readonly ip: string
  readonly country: string
  readonly organisation: string
  readonly events: number
  readonly blocked: number
}

const RECENT_MAX = 40
const CLIENTS_MAX = 10_000

const DONE: Verdict = { retry: [], reject: [] }

interface Client {
  country: string
  organisation: string
  events: number
  blocked: number
}

/**
 * Remembers the newest events and counts since the start, for the status page. A sink like any other, placed after
 * redaction, that never holds anything back. Bounded: past CLIENTS_MAX addresses the least recent ones are forgotten.
 */
export class RecentEvents implements Sink {
  readonly wants = 'raw'
  readonly #recent: RecentEvent[] = []
  readonly #clients = new Map<string, Client>()
  readonly byDisposition = new Map<string, number>()
  #total = 0

  write(records: readonly Encoded[]): Promise<Verdict> {
    for (const { event } of records) this.#count(event)
    for (const { event } of records.slice(-RECENT_MAX)) this.#recent.push(summaryOf(event))
    if (this.#recent.length > RECENT_MAX) this.#recent.splice(0, this.#recent.length - RECENT_MAX)
    return Promise.resolve(DONE)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  get total(): number {
    return this.#total
  }

  /** Newest first. */
  newest(): readonly RecentEvent[] {
    return this.#recent.toReversed()
  }

  /** Clients with the most refused requests, then the most requests. */
  top(count: number): readonly TopClient[] {
    return [...this.#clients]
      .map(([ip, client]) => ({ ip, ...client }))
      .sort((a, b) => b.blocked - a.blocked || b.events - a.events)
      .slice(0, count)
  }

  #count({ body }: Event): void {
    this.#total++
    const disposition = body.disposition ?? 'Unknown'
    this.byDisposition.set(disposition, (this.byDisposition.get(disposition) ?? 0) + 1)
    const source = body.src_endpoint
    if (source?.ip === undefined) return
    const client = this.#clients.get(source.ip) ?? { country: '', organisation: '', events: 0, blocked: 0 }
    this.#clients.delete(source.ip)
    this.#clients.set(source.ip, client)
    client.country = source.location?.country ?? ''
    client.organisation = source.autonomous_system?.name ?? ''
    client.events++
    if (body.action_id === 2) client.blocked++
    if (this.#clients.size > CLIENTS_MAX) {
      const oldest = this.#clients.keys().next()
      if (!oldest.done) this.#clients.delete(oldest.value)
    }
  }
}

function summaryOf({ body, timeMs }: Event): RecentEvent {
  const { src_endpoint: source, http_request: request, firewall_rule: rule } = body
  return {
    timeMs,
    disposition: body.disposition ?? 'Unknown',
    ip: source?.ip ?? '',
    country: source?.location?.country ?? '',
    city: source?.location?.city ?? '',
    organisation: source?.autonomous_system?.name ?? '',
    method: request?.http_method ?? '',
    host: request?.url?.hostname ?? '',
    path: request?.url?.path ?? '',
    rule: rule?.uid ?? rule?.name ?? '',
    sample: body.metadata?.labels?.includes('haetae:sample') ?? false,
  }
}
