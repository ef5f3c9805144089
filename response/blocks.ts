import { z } from 'zod'
import { type Deps, defineSink, type Encoded, type Rejection, type Sink, type Verdict } from '../engine/contract.ts'
import { asError, HaetaeError } from '../platform/errors.ts'
import { type Decision, decisionSchema } from '../platform/response/decision.ts'
import { responseTopic } from '../platform/response/topics.ts'
import type { Terms } from './holds/apply.ts'
import { metersOf } from './holds/meters.ts'
import { NeverBlock, shippedNeverBlock } from './holds/never-block.ts'
import { Owner } from './holds/owner.ts'
import { LedgerStore } from './holds/store.ts'
import { dryRunPlaces, openPlaces, type Place } from './waf/places.ts'

const HOUR_MS = 3_600_000
const RETRY_AFTER_MS = 1_000

const topicName = z.string().regex(/^[A-Za-z0-9._-]{1,249}$/, 'letters, digits, . _ -')
const config = z.strictObject({
  blocking: z
    .enum(['off', 'on'])
    .default('off')
    .describe('off: a dry run, IP sets in memory alone; on: IP sets in AWS WAF are written'),
  ipSetPrefix: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,100}$/, '1 to 100 letters, digits, _ or -')
    .default('haetae-block-')
    .describe('IP sets whose names begin so are written, and no others'),
  regions: z
    .array(z.string().regex(/^[a-z0-9-]{1,32}$/))
    .max(20)
    .default([])
    .describe('Regions of the load balancers’ web ACLs; none: the one that AWS programs find here'),
  cloudfront: z.boolean().default(true).describe('Whether IP sets of CloudFront (in us-east-1) are written too'),
  neverBlock: z
    .string()
    .default('')
    .describe(
      'YAML file of networks that are never blocked, read again every minute; empty: the one that comes with Haetae',
    ),
  ttlMinutes: z
    .number()
    .positive()
    .max(10_080)
    .default(60)
    .describe('How long a first block lasts if its rule does not say'),
  stepFactor: z.number().min(1).max(24).default(4).describe('A repeated offence lasts this many times longer'),
  ttlHoursMax: z.number().positive().max(720).default(168).describe('No detection blocks for longer'),
  memoryHours: z.number().positive().max(8_760).default(168).describe('An offence is forgotten after this long'),
  personTtlHoursMax: z.number().positive().max(8_760).default(720).describe('No person blocks for longer'),
  evidenceMinutesMax: z.number().positive().max(1_440).default(15).describe('Older evidence blocks nobody'),
  holdsMax: z
    .int()
    .min(1)
    .max(500_000)
    .default(50_000)
    .describe('Holds in the ledger, ended ones too; past it no new ones'),
  budget: z
    .strictObject({
      minuteMax: z.int().min(0).default(60),
      hourMax: z.int().min(0).max(20_000).default(1_000),
      networkHourMax: z.int().min(0).default(200),
    })
    .prefault({})
    .describe(
      'Networks that detections may block in a minute, in an hour, of one autonomous system in an hour; past it they block nothing more until a person says so',
    ),
  topic: topicName.default('decisions').describe('Who is assigned its partition 0 owns the ledger'),
  holdsTopic: topicName.default('holds').describe('The ledger; made at start'),
  stateTopic: topicName
    .default('holds.state')
    .describe('What was written to IP sets, the budget, what people allowed; made at start'),
  auditTopic: topicName.default('audit').describe('A record for every change; made at start'),
})
export type BlocksConfig = z.output<typeof config>

/**
 * Holds are written before anything is done about them; IP sets follow the ledger. Of several processes the one that has partition 0
 * of `topic` does all of this, the others nothing.
 */
export const blocks = defineSink({
  type: 'blocks',
  summary:
    'Applies decisions to the ledger of holds and keeps the IP sets of AWS WAF equal to it; a dry run unless told otherwise',
  config,
  example: `blocking: off
ipSetPrefix: haetae-block-
regions: [ap-northeast-2]
cloudfront: true
neverBlock: never-block.yaml
ttlMinutes: 60
stepFactor: 4
ttlHoursMax: 168
memoryHours: 168
personTtlHoursMax: 720
evidenceMinutesMax: 15
holdsMax: 50000
budget: { minuteMax: 60, hourMax: 1000, networkHourMax: 200 }
topic: decisions
holdsTopic: holds
stateTopic: holds.state
auditTopic: audit
`,
  topicsWritten: blockTopics,
  open: openBlocks,
})

/**
 * What `haetae check` and `haetae doctor` say of a valid config before anything is blocked. Throws CONFIG_INVALID or CONFIG_UNREADABLE when the
 * never-block list is not as it should be.
 */
export async function blocksWarning(given: unknown): Promise<string | undefined> {
  const { blocking, neverBlock } = config.parse(given)
  if (blocking === 'off') return undefined
  const list = new NeverBlock(neverBlock === '' ? shippedNeverBlock : neverBlock)
  await list.load()
  return list.warning
}

function blockTopics({ topic, holdsTopic, stateTopic, auditTopic }: BlocksConfig) {
  return [
    responseTopic(topic, false),
    responseTopic(holdsTopic, true),
    responseTopic(stateTopic, true),
    responseTopic(auditTopic, false),
  ]
}

/** Throws CONFIG_INVALID or CONFIG_UNREADABLE when the never-block list is not as it should be. */
async function openBlocks(given: BlocksConfig, deps: Deps): Promise<Sink> {
  const topics = await deps.topics()
  for (const each of blockTopics(given)) await topics.ensure(each)
  const neverBlock = new NeverBlock(given.neverBlock === '' ? shippedNeverBlock : given.neverBlock)
  await neverBlock.load()
  const dryRun = given.blocking === 'off'
  if (!dryRun && neverBlock.warning !== undefined) deps.log.warn(neverBlock.warning)
  const { ipSetPrefix: prefix, regions, cloudfront } = given
  const places = dryRun
    ? dryRunPlaces({ prefix }, deps.clock)
    : await openPlaces({ prefix, regions, cloudfront }, deps.clock)
  deps.log.info(
    dryRun ? 'blocks are a dry run: set HAETAE_BLOCKING=on to write them' : 'blocks are written to AWS WAF',
    {
      places: places.map(({ sets }) => sets.place),
      neverBlock: neverBlock.guard.count,
    },
  )
  const store = new LedgerStore(
    topics,
    { holds: given.holdsTopic, state: given.stateTopic, audit: given.auditTopic },
    () => deps.clock.now(),
  )
  const newOwner = (): Owner =>
    new Owner({
      store,
      neverBlock,
      limits: given.budget,
      terms: termsOf(given),
      dryRun,
      places,
      clock: deps.clock,
      log: deps.log,
      meters: metersOf(deps),
      random: () => crypto.getRandomValues(new Uint32Array(1))[0]! / 2 ** 32,
      paused: reason => deps.paused?.('blocks', reason),
      asks: question => deps.asks?.('blocks', question),
    })
  return new BlockSink(`${given.topic}/0`, newOwner, places, deps)
}

/** What the configuration says about holds. */
export function termsOf(given: BlocksConfig): Terms {
  return {
    ttlMs: given.ttlMinutes * 60_000,
    stepFactor: given.stepFactor,
    ttlMsMax: given.ttlHoursMax * HOUR_MS,
    memoryMs: given.memoryHours * HOUR_MS,
    personTtlMsMax: given.personTtlHoursMax * HOUR_MS,
    evidenceAgeMsMax: given.evidenceMinutesMax * 60_000,
    holdsMax: given.holdsMax,
  }
}

class BlockSink implements Sink {
  readonly wants = 'raw'
  readonly #stream: string
  readonly #newOwner: () => Owner
  readonly #places: readonly Place[]
  readonly #deps: Deps
  #owner: Owner | undefined
  /** Owners that were revoked and have not come to rest. */
  #leaving: Promise<unknown> = Promise.resolve()
  #failing = false

  constructor(stream: string, newOwner: () => Owner, places: readonly Place[], deps: Deps) {
    this.#stream = stream
    this.#newOwner = newOwner
    this.#places = places
    this.#deps = deps
    deps.positions.onAssigned(streams => {
      if (streams.includes(stream)) void this.#own()
    })
    deps.positions.onRevoked(streams => {
      if (streams.includes(stream)) this.#leave()
    })
  }

  async write(records: readonly Encoded[]): Promise<Verdict> {
    const reject: Rejection[] = []
    const decisions: Decision[] = []
    for (const [index, { event }] of records.entries()) {
      if (!event.origin)
        throw new HaetaeError('CONFIG_INVALID', 'the sink blocks needs the topic of decisions as its source')
      const parsed = decisionSchema.safeParse(event.body)
      // Access keys are for the sink `keys`.
      if (parsed.data?.type === 'disable_key') continue
      // The record may say no, as it was written before it came into the dead letter.
      if (parsed.success) decisions.push({ ...parsed.data, replayed: parsed.data.replayed || event.replayed })
      else reject.push({ index, reason: `not_decision: ${z.prettifyError(parsed.error)}`.slice(0, 200) })
    }
    const owner = this.#owner
    // Taken from us: whoever owns the ledger now reads these again.
    if (!owner) return { retry: [], reject }
    try {
      if (decisions.length > 0) await owner.apply(decisions)
      this.#failing = false
      return { retry: [], reject }
    } catch (thrown) {
      if (this.#owner !== owner) return { retry: [], reject }
      if (!this.#failing) this.#deps.log.warn('decisions wait for the ledger', { error: asError(thrown).message })
      this.#failing = true
      return { retry: records.map((_, index) => index), reject: [], retryAfterMs: RETRY_AFTER_MS }
    }
  }

  async close(): Promise<void> {
    this.#leave()
    await this.#leaving
    for (const { sets } of this.#places) sets.close()
  }

  async #own(): Promise<void> {
    if (this.#owner) return
    const owner = this.#newOwner()
    this.#owner = owner
    await this.#leaving
    if (this.#owner !== owner) return
    this.#deps.log.info('this process owns the ledger of holds', { stream: this.#stream })
    owner.start()
  }

  #leave(): void {
    const owner = this.#owner
    if (!owner) return
    this.#owner = undefined
    owner.revoke()
    this.#deps.log.info('this process no longer owns the ledger of holds', { stream: this.#stream })
    this.#leaving = this.#leaving.then(() => owner.close())
  }
}
