import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FetchFunction } from '@slack/web-api'
import { blockKitProblems } from './block-kit.ts'

export interface Posted {
  readonly channel: string
  readonly ts: string
  readonly threadTs: string | undefined
  readonly metadata: unknown
  readonly atMs: number
  text: string
  attachments: unknown
  edits: number
}

/** What becomes of a call: done and answered, or what else happens. */
export type Fate =
  | 'done'
  /** Done, and the answer is lost. */
  | 'unanswered'
  /** Never arrives. */
  | 'lost'
  /** Done, and answered with 500. */
  | 'fails'
  | { readonly error: string }
  | { readonly retryAfter: number }

/** The part of Slack that Haetae uses, with its rates: one message a second for a channel, 50 edits and 50 searches a minute. */
export class FakeSlack {
  readonly posted: Posted[] = []
  readonly calls: {
    readonly method: string
    readonly atMs: number
    readonly answered: number
    readonly params: Record<string, unknown>
  }[] = []
  readonly problems: string[] = []
  /** Members of user groups. */
  groups: Record<string, string[]> = {}
  fate: (method: string, params: Record<string, unknown>) => Fate = () => 'done'
  readonly #now: () => number
  #server: Server | undefined
  #ts = 0

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** For WebClient: no network, so that simulated time never waits for a socket. */
  readonly fetch: FetchFunction = async (url, init) => {
    const answer = this.#answer(new URL(url), new URLSearchParams(typeof init?.body === 'string' ? init.body : ''))
    await Promise.resolve()
    if (!answer) throw new DOMException('The operation was aborted due to timeout', 'TimeoutError')
    return new Response(answer.body, { status: answer.status, headers: answer.headers })
  }

  /** The same over HTTP on 127.0.0.1; a lost answer never comes. Returns the URL. */
  async listen(): Promise<string> {
    const server = createServer((request, response) => {
      void bodyOf(request).then(body => {
        const answer = this.#answer(new URL(request.url ?? '/', 'http://slack'), new URLSearchParams(body))
        if (answer) response.writeHead(answer.status, answer.headers).end(answer.body)
      })
    })
    this.#server = server
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/`
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections()
    await new Promise(resolve => (this.#server ? this.#server.close(resolve) : resolve(undefined)))
  }

  /** Messages of a channel that are no replies. */
  parents(channel?: string): Posted[] {
    return this.posted.filter(
      each => each.threadTs === undefined && (channel === undefined || each.channel === channel),
    )
  }

  replies(ts?: string): Posted[] {
    return this.posted.filter(each => each.threadTs !== undefined && (ts === undefined || each.threadTs === ts))
  }

  limited(): number {
    return this.calls.filter(({ answered }) => answered === 429).length
  }

  #answer(
    url: URL,
    form: URLSearchParams,
  ): { status: number; headers: Record<string, string>; body: string } | undefined {
    const method = url.pathname.split('/').at(-1)!
    const params: Record<string, unknown> = Object.fromEntries([...form].map(([key, value]) => [key, parsed(value)]))
    const atMs = this.#now()
    const fate = this.fate(method, params)
    const limited =
      this.#limit(method, params, atMs) ??
      (typeof fate === 'object' && 'retryAfter' in fate ? fate.retryAfter : undefined)
    const refused = typeof fate === 'object' && 'error' in fate
    const status = limited !== undefined ? 429 : fate === 'fails' ? 500 : 200
    this.calls.push({ method, atMs, answered: status, params })
    const json = { 'content-type': 'application/json' }
    if (limited !== undefined) {
      return {
        status,
        headers: { ...json, 'retry-after': String(limited) },
        body: JSON.stringify({ ok: false, error: 'ratelimited' }),
      }
    }
    if (fate === 'lost') return undefined
    const result = refused ? { ok: false, error: fate.error } : this.#do(method, params, atMs)
    if (fate === 'unanswered') return undefined
    return { status, headers: json, body: fate === 'fails' ? 'upstream' : JSON.stringify(result) }
  }

  #limit(method: string, { channel }: Record<string, unknown>, atMs: number): number | undefined {
    const since = (ms: number, same: (each: (typeof this.calls)[number]) => boolean) =>
      this.calls.filter(each => each.method === method && each.answered !== 429 && atMs - each.atMs < ms && same(each))
        .length
    if (method === 'chat.postMessage')
      return since(1_000, each => each.params['channel'] === channel) >= 1 ? 1 : undefined
    return since(60_000, () => true) >= 50 ? 10 : undefined
  }

  #do(method: string, params: Record<string, unknown>, atMs: number): object {
    const { channel, ts, thread_ts, text, attachments = [], metadata } = params
    if (method === 'chat.postMessage' || method === 'chat.update') {
      const problems = blockKitProblems({ text, attachments })
      this.problems.push(...problems, ...unsafe(params))
      if (problems.length > 0) return { ok: false, error: 'invalid_blocks' }
    }
    if (method === 'chat.postMessage') {
      const given = `${Math.floor(atMs / 1000)}.${String(this.#ts++).padStart(6, '0')}`
      const threadTs = typeof thread_ts === 'string' ? thread_ts : undefined
      this.posted.push({
        channel: String(channel),
        ts: given,
        threadTs,
        metadata,
        atMs,
        text: String(text),
        attachments,
        edits: 0,
      })
      return { ok: true, channel, ts: given }
    }
    if (method === 'chat.update') {
      const message = this.posted.find(each => each.channel === channel && each.ts === String(ts))
      if (!message) return { ok: false, error: 'message_not_found' }
      Object.assign(message, { text, attachments, edits: message.edits + 1 })
      return { ok: true, channel, ts }
    }
    if (method === 'conversations.history' || method === 'conversations.replies') {
      const oldest = Number(params['oldest'] ?? 0)
      const thread = method === 'conversations.replies' ? String(ts) : undefined
      const messages = this.posted
        .filter(
          each =>
            each.channel === channel &&
            Number(each.ts) >= oldest &&
            (thread === undefined ? each.threadTs === undefined : each.threadTs === thread || each.ts === thread),
        )
        .map(each => ({
          ts: each.ts,
          text: each.text,
          ...(params['include_all_metadata'] ? { metadata: each.metadata } : {}),
        }))
      return { ok: true, messages: messages.reverse() }
    }
    if (method === 'usergroups.users.list') return { ok: true, users: this.groups[String(params['usergroup'])] ?? [] }
    return method === 'views.open' || method === 'chat.postEphemeral'
      ? { ok: true }
      : { ok: false, error: 'unknown_method' }
  }
}

/** Text that Slack would act upon: a mention that is not of a user group we were configured with, or an open link. */
function unsafe(params: Record<string, unknown>): string[] {
  const found = JSON.stringify(params).match(/<!(?!subteam\^S)[^"]{0,20}|<@|<http/g) ?? []
  return found.map(each => `unescaped ${each}`)
}

function parsed(value: string): unknown {
  // A number that Slack would read as text: a ts.
  if (!/^[[{]|^(true|false)$/.test(value)) return value
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request) body += String(chunk)
  return body
}
