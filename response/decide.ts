import { z } from 'zod'
import { type Deps, defineSink, type Encoded, type Rejection, type Sink } from '../engine/contract.ts'
import { asError } from '../platform/errors.ts'
import type { DecisionRequest } from '../platform/response/decision.ts'
import { responseTopic } from '../platform/response/topics.ts'
import type { TopicRecord } from '../platform/topics/contract.ts'
import { decisionsOf } from './decide/alert.ts'

const RETRY_AFTER_MS = 1_000

const config = z.strictObject({
  topic: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,249}$/, 'letters, digits, . _ -')
    .default('decisions')
    .describe('Where decisions go; made at start'),
  blockRulePrefix: z
    .string()
    .min(1)
    .default('haetae-block')
    .describe('As of `sigma`: web ACL rules that block for Haetae; what they stopped already asks for no block'),
})

/** A rule asks for a block; whether it is made is for the ledger, which knows the guard, the budget and the time. */
export const decide = defineSink({
  type: 'decide',
  summary:
    'Turns alerts whose rules ask for it into decisions to block an address or disable an access key, once an alert',
  config,
  example: `topic: decisions
blockRulePrefix: haetae-block
`,
  topicsWritten: ({ topic }) => [responseTopic(topic, false)],
  async open({ topic, blockRulePrefix }, deps): Promise<Sink> {
    const topics = await deps.topics()
    await topics.ensure(responseTopic(topic, false))
    const made = deps.metrics.counter('haetae_decisions_made_total', 'Decisions asked for by alerts', [
      'pipeline',
      'type',
    ])
    let failing = false
    return {
      wants: 'raw',
      async write(records) {
        const { requests, reject } = requestsOf(records, blockRulePrefix)
        if (requests.length === 0) return { retry: [], reject }
        try {
          const { retry, refused = [] } = await topics.append(
            topic,
            requests.map(({ request }) => recordOf(request, deps)),
          )
          for (const { request } of requests) made.add({ pipeline: deps.pipeline, type: request.type })
          failing = false
          const rejected = new Map(refused.map(({ index, reason }) => [requests[index]!.index, reason]))
          reject.push(...[...rejected].map(([index, reason]) => ({ index, reason })))
          const again = [...new Set(retry.map(at => requests[at]!.index))].filter(index => !rejected.has(index))
          return {
            retry: again,
            reject,
            ...(again.length > 0 ? { retryAfterMs: RETRY_AFTER_MS } : {}),
          }
        } catch (thrown) {
          if (!failing) deps.log.warn('decisions wait for their topic', { topic, error: asError(thrown).message })
          failing = true
          return { retry: records.map((_, index) => index), reject: [], retryAfterMs: RETRY_AFTER_MS }
        }
      },
      close: () => Promise.resolve(),
    }
  },
})

function requestsOf(
  records: readonly Encoded[],
  blockRulePrefix: string,
): {
  readonly requests: readonly { readonly index: number; readonly request: DecisionRequest }[]
  readonly reject: Rejection[]
} {
  const requests: { index: number; request: DecisionRequest }[] = []
  const reject: Rejection[] = []
  for (const [index, { event }] of records.entries()) {
    // Audit records pass by here on their way to the incidents.
    if (event.kind !== 'alert') continue
    const made = decisionsOf(event, blockRulePrefix)
    if (typeof made === 'string') reject.push({ index, reason: made })
    else requests.push(...made.map(request => ({ index, request })))
  }
  return { requests, reject }
}

/** Decisions about one target stay in order. */
function recordOf(request: DecisionRequest, { clock }: Deps): TopicRecord {
  return {
    key: request.target.value,
    value: Buffer.from(JSON.stringify(request)),
    timeMs: request.receivedMs ?? clock.now(),
  }
}
