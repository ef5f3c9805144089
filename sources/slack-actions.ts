import { z } from 'zod'
import { type Deps, defineSource, type Source } from '../engine/contract.ts'
import { readSecret, secretRef } from '../platform/secret.ts'
import { slackClient } from '../platform/slack.ts'
import { formLanguages } from './slack-actions/form.ts'
import { People } from './slack-actions/people.ts'
import { ActionQueue } from './slack-actions/queue.ts'
import { listenFor } from './slack-actions/serve.ts'

/** A call that opens a form must come back while Slack waits for our answer. */
const CALL_MS = 2_000

const config = z.strictObject({
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on; Slack comes through a proxy that ends TLS'),
  port: z.int().min(0).max(65_535).default(7079).describe('0: any free port'),
  signingSecret: secretRef.describe("The app's signing secret: what is not signed with it is answered 401"),
  token: secretRef.describe('Bot token, xoxb-…: opens forms, reads user groups'),
  users: z
    .array(z.string().regex(/^[UW][A-Z0-9]{5,20}$/, 'the id of a user, such as U0123456789'))
    .max(1_000)
    .default([])
    .describe('Who may press'),
  groups: z
    .array(
      z.union([z.literal(''), z.string().regex(/^S[A-Z0-9]{5,20}$/, 'the id of a user group, such as S0123456789')]),
    )
    .max(20)
    .default([])
    .describe('User groups whose members may press, empty ones left out; without users and groups nobody may'),
  language: z.enum(formLanguages).default('ko').describe('Of forms and refusals'),
  apiUrl: z.url().default('https://slack.com/api/').describe('Of Slack, or of a proxy'),
})

export interface SlackActionsSource extends Source {
  readonly listensOn: number
}

export const slackActions = defineSource({
  type: 'slack-actions',
  summary:
    'Receives what people press in Slack at /slack/actions: decision requests and what they say of an incident, answered when it is stored',
  config,
  example: `host: 127.0.0.1
port: 7079
signingSecret: { env: SLACK_SIGNING_SECRET }
token: { env: SLACK_BOT_TOKEN }
users: [U0123456789]
groups: [S0123456789]
language: ko
apiUrl: https://slack.com/api/
`,
  open: openSlackActions,
})

/** Listens until close(). Errors: SECRET_MISSING, LISTEN_FAILED. */
export async function openSlackActions(given: z.output<typeof config>, deps: Deps): Promise<SlackActionsSource> {
  const client = slackClient({ token: readSecret(given.token), apiUrl: given.apiUrl, timeoutMs: CALL_MS })
  const people = new People(given.users, given.groups.filter(Boolean), client, deps)
  const queue = new ActionQueue(deps)
  const answered = deps.metrics.counter('haetae_slack_presses_total', 'Requests of Slack, by what became of them', [
    'outcome',
  ])
  const secret = readSecret(given.signingSecret)
  const desk = { secret, language: given.language, people, queue, client, deps, answered }
  const { server, port } = await listenFor(desk, given.host, given.port)
  deps.log.info('slack-actions listens', { host: given.host, port })
  return {
    listensOn: port,
    read: signal => queue.read(signal),
    async close() {
      queue.stop()
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
      await people.close()
    },
  }
}
