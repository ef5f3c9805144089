import { type FetchFunction, LogLevel, WebClient } from '@slack/web-api'

export interface SlackAccess {
  readonly token: string
  readonly apiUrl: string
  readonly timeoutMs: number
  /** Takes the place of the network in tests. */
  readonly fetch?: FetchFunction | undefined
}

/**
 * Slack's Web API. Neither the library's retries (ten, over half an hour) nor its queue: both would send what is out of date by
 * then; nor its logger, which writes to stdout.
 */
export function slackClient({ token, apiUrl, timeoutMs, fetch }: SlackAccess): WebClient {
  return new WebClient(token, {
    slackApiUrl: apiUrl,
    timeout: timeoutMs,
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    allowAbsoluteUrls: false,
    logger: quiet,
    ...(fetch ? { fetch } : {}),
  })
}

const nothing = (): void => undefined
const quiet = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  setLevel: nothing,
  setName: nothing,
  getLevel: () => LogLevel.ERROR,
}
