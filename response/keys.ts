import { z } from 'zod'
import { type Deps, defineSink, type Encoded, type Rejection, type Sink, type Verdict } from '../engine/contract.ts'
import { asError, hasCode } from '../platform/errors.ts'
import type { AuditRecord } from '../platform/response/audit.ts'
import { type Decision, decisionSchema } from '../platform/response/decision.ts'
import { responseTopic } from '../platform/response/topics.ts'
import { auditOfWaiting, disableKey, type KeyTerms } from './keys/disable.ts'
import { connectIam } from './keys/iam.ts'

const RETRY_AFTER_MS = 2_000
const PERSON_AFTER_MS = 30_000
/** IAM may be away for as long before people are told; what only they can mend is told at once. */
const TOLD_AFTER_MS = 60_000
const WAITING_MAX = 1_000

const config = z.strictObject({
  blocking: z
    .enum(['off', 'on'])
    .default('off')
    .describe('off: a dry run, told but not done; on: keys are disabled in IAM'),
  neverDisable: z
    .array(z.string().min(1).max(128))
    .max(1_000)
    .default([])
    .describe('Ids of access keys and names of IAM users that are never touched'),
  auditTopic: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,249}$/, 'letters, digits, . _ -')
    .default('audit')
    .describe('What came of each request; made at start'),
})
type Config = z.output<typeof config>

/** In a pipeline of its own: while IAM cannot be reached, blocks go on. */
export const keys = defineSink({
  type: 'keys',
  summary: 'Disables leaked access keys in IAM as decisions ask for it; a dry run unless told otherwise',
  config,
  example: `blocking: off
neverDisable: [break-glass]
auditTopic: audit
`,
  topicsWritten: ({ auditTopic }) => [responseTopic(auditTopic, false)],
  async open(given, deps): Promise<Sink> {
    const topics = await deps.topics()
    await topics.ensure(responseTopic(given.auditTopic, false))
    return new KeySink(given, deps, given.blocking === 'on' ? await connectIam() : undefined)
  },
})

class KeySink implements Sink {
  readonly wants = 'raw'
  readonly #config: Config
  readonly #deps: Deps
  readonly #terms: KeyTerms
  /** Requests that wait: since when, and whether people were told. */
  readonly #waiting = new Map<string, { readonly sinceMs: number; told: boolean }>()

  constructor(given: Config, deps: Deps, api: KeyTerms['api']) {
    this.#config = given
    this.#deps = deps
    this.#terms = { neverDisable: given.neverDisable, api }
  }

  async write(records: readonly Encoded[]): Promise<Verdict> {
    const retry: number[] = []
    const reject: Rejection[] = []
    let retryAfterMs = RETRY_AFTER_MS
    for (const [index, { event }] of records.entries()) {
      const parsed = decisionSchema.safeParse(event.body)
      if (!parsed.success) {
        reject.push({ index, reason: `not_decision: ${z.prettifyError(parsed.error)}`.slice(0, 200) })
        continue
      }
      if (parsed.data.type !== 'disable_key') continue
      try {
        await this.#disable({ ...parsed.data, replayed: parsed.data.replayed || event.replayed })
      } catch (thrown) {
        retry.push(index)
        const isForAPerson = hasCode(thrown, 'SINK_UNAUTHORISED')
        if (isForAPerson) retryAfterMs = PERSON_AFTER_MS
        this.#deps.paused?.('keys', isForAPerson ? asError(thrown).message : undefined)
        this.#deps.log.warn('an access key waits to be disabled', { error: asError(thrown).message })
        await this.#tell(parsed.data, asError(thrown).message, isForAPerson).catch(() => undefined)
      }
    }
    return retry.length > 0 ? { retry, reject, retryAfterMs } : { retry, reject }
  }

  close(): Promise<void> {
    this.#terms.api?.close()
    return Promise.resolve()
  }

  async #disable(decision: Decision): Promise<void> {
    const { clock, metrics, pipeline } = this.#deps
    const audit = await disableKey(this.#terms, decision, clock.now())
    await this.#store(audit)
    this.#waiting.delete(decision.uid)
    this.#deps.paused?.('keys', undefined)
    metrics
      .counter('haetae_keys_total', 'Requests to disable an access key, by what came of them', ['pipeline', 'what'])
      .add({ pipeline, what: audit.what })
  }

  /** A leaked key that is still good must be known to people, whatever keeps us from disabling it. */
  async #tell(decision: Decision, why: string, isForAPerson: boolean): Promise<void> {
    const nowMs = this.#deps.clock.now()
    const waiting = this.#waiting.get(decision.uid) ?? { sinceMs: nowMs, told: false }
    this.#waiting.set(decision.uid, waiting)
    const [oldest] = this.#waiting.keys()
    if (this.#waiting.size > WAITING_MAX && oldest !== undefined) this.#waiting.delete(oldest)
    if (waiting.told || (!isForAPerson && nowMs - waiting.sinceMs < TOLD_AFTER_MS)) return
    await this.#store(auditOfWaiting(decision, nowMs, why.slice(0, 500)))
    waiting.told = true
  }

  async #store(audit: AuditRecord): Promise<void> {
    const topics = await this.#deps.topics()
    const record = { key: audit.target ?? '', value: Buffer.from(JSON.stringify(audit)), timeMs: audit.time }
    const { retry, refused = [] } = await topics.append(this.#config.auditTopic, [record])
    if (retry.length + refused.length > 0) throw new Error('its audit record was not stored')
  }
}
