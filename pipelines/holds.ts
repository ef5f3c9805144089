import { systemClock } from '../platform/clock.ts'
import { HaetaeError, hasCode } from '../platform/errors.ts'
import { type Decision, type DecisionRequest, decisionSchema } from '../platform/response/decision.ts'
import { type Hold, holdSchema } from '../platform/response/hold.ts'
import { type StateRecord, stateSchema } from '../response/holds/state.ts'
import type { Settings } from './settings.ts'
import { withAsked } from './topics/ask.ts'

const HOLDS = 'holds'
const STATE = 'holds.state'
const DECISIONS = 'decisions'
/** How long a command waits to see what became of its request. */
const APPLIED_MS_MAX = 10_000
const LOOK_EVERY_MS = 300

export interface Holdings {
  readonly holds: readonly Hold[]
  readonly states: readonly StateRecord[]
}

/** The ledger as it stands on its topics: from the process that has the log, or from Kafka. Empty when no pipeline has made them yet. */
export function readHoldings(settings: Settings): Promise<Holdings> {
  return withAsked(settings, async asked => {
    const read = async <T>(topic: string, parse: (json: unknown) => T): Promise<T[]> => {
      const found: T[] = []
      for await (const { value } of asked.readCompacted(topic)) found.push(parse(JSON.parse(String(value))))
      return found
    }
    try {
      const holds = await read(HOLDS, json => holdSchema.parse(json))
      return { holds, states: await read(STATE, json => stateSchema.parse(json)) }
    } catch (thrown) {
      if (hasCode(thrown, 'TOPIC_UNKNOWN')) return { holds: [], states: [] }
      throw thrown
    }
  })
}

/** Puts a request where the owner of the ledger reads it. Throws USAGE when it is not as it must be. */
export async function sendDecision(settings: Settings, request: DecisionRequest): Promise<Decision> {
  const parsed = decisionSchema.safeParse(request)
  if (!parsed.success) throw new HaetaeError('USAGE', parsed.error.issues.map(({ message }) => message).join('; '))
  const decision = parsed.data
  const record = { key: decision.target.value, value: Buffer.from(JSON.stringify(decision)), timeMs: decision.time }
  try {
    await withAsked(settings, asked => asked.append(DECISIONS, [record]))
  } catch (cause) {
    if (!hasCode(cause, 'TOPIC_UNKNOWN')) throw cause
    const advice = 'start the pipeline block once (`haetae up`), or `haetae topics apply` with Kafka'
    throw new HaetaeError('TOPIC_UNKNOWN', `there is no topic ${DECISIONS} yet: ${advice}`, { cause })
  }
  return decision
}

/** The ledger once `isApplied` sees the request in it; undefined when it is not there in time: nobody owns the ledger, or it was refused. */
export async function whenApplied(
  settings: Settings,
  isApplied: (holdings: Holdings) => boolean,
): Promise<Holdings | undefined> {
  const untilMs = systemClock.monotonicMs() + APPLIED_MS_MAX
  for (;;) {
    const holdings = await readHoldings(settings)
    if (isApplied(holdings)) return holdings
    if (systemClock.monotonicMs() > untilMs) return undefined
    await systemClock.wait(LOOK_EVERY_MS)
  }
}
