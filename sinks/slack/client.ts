import { WebAPIHTTPError, WebAPIPlatformError, WebAPIRateLimitedError, type WebClient } from '@slack/web-api'
import { asError } from '../../platform/errors.ts'
import { type SlackAccess, slackClient } from '../../platform/slack.ts'
import type { Message } from './card.ts'

const EVENT_TYPE = 'haetaeMessage'
const PAGES_MAX = 5
const PAGE = 200
/** Slack's clock and ours may differ by so much when a message is searched for. */
const SKEW_MS = 5 * 60_000

/** What became of a call. `unknown`: it may have been done. `refused`: Slack's word for why not. */
export type Outcome =
  | { readonly kind: 'ok'; readonly ts: string | undefined }
  | { readonly kind: 'limited'; readonly afterMs: number }
  | { readonly kind: 'unknown'; readonly error: string }
  | { readonly kind: 'refused'; readonly error: string }

/**
 * The calls that Haetae makes. chat.postMessage is not idempotent, and a bot can give a message no id of its own; each is marked with `key` as metadata
 * (docs.slack.dev, Message metadata), by which one of unknown fate is found again.
 */
export class SlackCalls {
  readonly #client: WebClient
  readonly #called: (method: string, outcome: Outcome['kind']) => void

  constructor(options: SlackAccess, called: (method: string, outcome: Outcome['kind']) => void) {
    this.#client = slackClient(options)
    this.#called = called
  }

  post(channel: string, message: Message, key: string, threadTs?: string): Promise<Outcome> {
    return this.#call('chat.postMessage', {
      channel,
      ...message,
      ...(threadTs === undefined ? {} : { thread_ts: threadTs }),
      ...NO_LINKS,
      unfurl_links: false,
      unfurl_media: false,
      metadata: { event_type: EVENT_TYPE, event_payload: { key } },
    })
  }

  edit(channel: string, ts: string, message: Message): Promise<Outcome> {
    return this.#call('chat.update', { channel, ts, ...message, ...NO_LINKS })
  }

  /** To one member of the channel alone. */
  whisper(channel: string, user: string, text: string): Promise<Outcome> {
    return this.#call('chat.postEphemeral', { channel, user, text, ...NO_LINKS })
  }

  /** `ts` of the message that was posted with this key since then; undefined when there is none. */
  async find(channel: string, key: string, sinceMs: number, threadTs?: string): Promise<Outcome> {
    const method = threadTs === undefined ? 'conversations.history' : 'conversations.replies'
    let cursor: string | undefined
    for (let page = 0; page < PAGES_MAX; page++) {
      let next: string | undefined
      let ts: string | undefined
      const outcome = await this.#call(
        method,
        {
          channel,
          ...(threadTs === undefined ? {} : { ts: threadTs }),
          oldest: ((sinceMs - SKEW_MS) / 1000).toFixed(6),
          include_all_metadata: true,
          limit: PAGE,
          ...(cursor === undefined ? {} : { cursor }),
        },
        result => {
          ts = tsOf(result['messages'], key)
          const more = result['response_metadata'] as { next_cursor?: string } | undefined
          next = more?.next_cursor
        },
      )
      if (outcome.kind !== 'ok') return outcome
      if (ts !== undefined) return { kind: 'ok', ts }
      if (!next) break
      cursor = next
    }
    return { kind: 'ok', ts: undefined }
  }

  async #call(
    method: string,
    given: Record<string, unknown>,
    read: (result: Record<string, unknown>) => void = () => undefined,
  ): Promise<Outcome> {
    const outcome = await this.#try(method, given, read)
    this.#called(method, outcome.kind)
    return outcome
  }

  async #try(
    method: string,
    given: Record<string, unknown>,
    read: (result: Record<string, unknown>) => void,
  ): Promise<Outcome> {
    try {
      const result = (await this.#client.apiCall(method, given)) as unknown as Record<string, unknown>
      read(result)
      const { ts } = result
      return { kind: 'ok', ts: typeof ts === 'string' ? ts : undefined }
    } catch (thrown) {
      if (thrown instanceof WebAPIRateLimitedError) return { kind: 'limited', afterMs: thrown.retryAfter * 1000 }
      if (thrown instanceof WebAPIPlatformError) {
        const { error } = thrown.data
        // Slack's own trouble: it may have done it all the same.
        if (/^(internal_error|fatal_error|service_unavailable|request_timeout)$/.test(error))
          return { kind: 'unknown', error }
        return error === 'ratelimited' ? { kind: 'limited', afterMs: 30_000 } : { kind: 'refused', error }
      }
      if (thrown instanceof WebAPIHTTPError) return { kind: 'unknown', error: `HTTP ${thrown.statusCode}` }
      return { kind: 'unknown', error: asError(thrown).message }
    }
  }
}

/** Nothing in a text becomes a link or a mention that we did not write as one. */
const NO_LINKS = { parse: 'none', link_names: false }

function tsOf(messages: unknown, key: string): string | undefined {
  if (!Array.isArray(messages)) return undefined
  for (const message of messages as {
    ts?: unknown
    metadata?: { event_type?: unknown; event_payload?: { key?: unknown } }
  }[]) {
    const { metadata, ts } = message
    if (metadata?.event_type === EVENT_TYPE && metadata.event_payload?.key === key && typeof ts === 'string') return ts
  }
  return undefined
}
