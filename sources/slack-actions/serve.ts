import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { WebClient } from '@slack/web-api'
import type { Deps } from '../../engine/contract.ts'
import { asError } from '../../platform/errors.ts'
import { listen } from '../../platform/listen.ts'
import type { Counter } from '../../platform/metrics.ts'
import { type FormLanguage, formProblem, unblockForm, wordsFor } from './form.ts'
import { type Interaction, readInteraction } from './interaction.ts'
import type { People } from './people.ts'
import type { ActionQueue } from './queue.ts'
import { recordsOf } from './records.ts'
import { signatureProblem } from './signature.ts'

const ACTIONS_PATH = '/slack/actions'
/** A payload carries the whole message that was pressed. */
const BODY_BYTES_MAX = 256 * 1024
const RECEIVE_MS = 5_000
/** Slack shows a warning after 3 s. */
const STORE_MS = 2_500
const CONNECTIONS_MAX = 64

export interface Desk {
  readonly secret: string
  readonly language: FormLanguage
  readonly people: People
  readonly queue: ActionQueue
  readonly client: WebClient
  readonly deps: Deps
  readonly answered: Counter
}

interface Answer {
  readonly status: number
  /** For the metric: a closed set. */
  readonly why: string
  readonly json?: object
}

export async function listenFor(desk: Desk, host: string, port: number): Promise<{ server: Server; port: number }> {
  const server = createServer({
    requestTimeout: RECEIVE_MS,
    headersTimeout: RECEIVE_MS,
    connectionsCheckingInterval: 1_000,
  })
  server.maxConnections = CONNECTIONS_MAX
  server.on('request', (request, response) => void respond(desk, request, response))
  return { server, port: await listen(server, host, port, 'slack-actions') }
}

async function respond(desk: Desk, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let answer: Answer
  try {
    answer = await answerTo(desk, request)
  } catch (thrown) {
    // The client went away, or what we made of its request is a fault of ours; either way nobody is told more.
    desk.deps.log.debug('a press could not be answered', { error: asError(thrown).message })
    answer = { status: 500, why: 'failed' }
  }
  desk.answered.add({ outcome: answer.why })
  if (response.destroyed) return
  const body = answer.json ? JSON.stringify(answer.json) : ''
  const close = answer.status === 413 ? { connection: 'close' } : {}
  response
    .writeHead(answer.status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...close })
    .end(body)
}

async function answerTo(desk: Desk, request: IncomingMessage): Promise<Answer> {
  const path = (request.url ?? '').split('?', 1)[0]
  if (path !== ACTIONS_PATH) return { status: 404, why: 'path' }
  if (request.method !== 'POST') return { status: 405, why: 'method' }
  const body = await bodyOf(request)
  if (!body) return { status: 413, why: 'too_large' }
  const { headers } = request
  const problem = signatureProblem(
    body,
    { timestamp: oneOf(headers['x-slack-request-timestamp']), signature: oneOf(headers['x-slack-signature']) },
    desk.secret,
    desk.deps.clock.now(),
  )
  if (problem) return { status: 401, why: problem }
  const interaction = readInteraction(new URLSearchParams(body.toString('utf8')).get('payload') ?? '')
  // A button that opens a link is a press too, and wants nothing of us.
  if (!interaction) return { status: 200, why: 'ignored' }
  return act(desk, interaction)
}

async function act(desk: Desk, interaction: Interaction): Promise<Answer> {
  const { people, language, queue, deps } = desk
  const say = wordsFor(language)
  if (!people.may(interaction.user.id)) return refuse(desk, interaction, say.forbidden, 'forbidden')
  if (interaction.what === 'unblock' || interaction.what === 'extend') {
    if (interaction.addresses.length === 0) return refuse(desk, interaction, say.nothing, 'nothing')
  }
  if (interaction.what === 'unblock') {
    await desk.client.views.open({ trigger_id: interaction.triggerId, view: unblockForm(interaction, language) })
    return { status: 200, why: 'form' }
  }
  const wrong = interaction.what === 'release' ? formProblem(interaction, language) : undefined
  if (wrong) return { status: 200, why: 'form_wrong', json: { response_action: 'errors', errors: wrong } }
  const stored = await queue.store(recordsOf(interaction, deps.clock.now()), STORE_MS)
  if (stored) return { status: 200, why: 'stored' }
  if (interaction.what !== 'release') return { status: 503, why: 'late' }
  return { status: 200, why: 'late', json: { response_action: 'errors', errors: { addresses: say.late } } }
}

/** Said to the one who pressed, and to nobody else. */
async function refuse(desk: Desk, interaction: Interaction, text: string, why: string): Promise<Answer> {
  if (interaction.what === 'release') {
    return { status: 200, why, json: { response_action: 'errors', errors: { addresses: text } } }
  }
  const { channel, user } = interaction
  await desk.client.chat.postEphemeral({ channel, user: user.id, text }).catch(() => undefined)
  return { status: 200, why }
}

/** Raw, as it was signed; undefined when it is too large. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function oneOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined
}
