import { z } from 'zod'
import { DECISION_KEYS_MAX, REASON_CHARS_MAX, WHO_CHARS_MAX } from './decision.ts'

/** What became of a hold; the last ones are kept with it. */
export const HISTORY_MAX = 20
/** IP set places that can be written: two scopes of some Regions. */
const PLACES_MAX = 64

const text = (charsMax: number) => z.string().max(charsMax)
const ms = z.int().min(0)

const holdChanges = [
  'hold_created',
  'hold_extended',
  'hold_suspended',
  'hold_released',
  'hold_expired',
  'waf_written',
] as const

const changeSchema = z.object({
  what: z.enum(holdChanges),
  time: ms,
  /** Of the change of the ledger that it was part of. */
  seq: z.int().min(0),
  who: text(WHO_CHARS_MAX),
  reason: text(REASON_CHARS_MAX).optional(),
  /** The request that made it, where one did. */
  decision: text(64).optional(),
  /** When that was asked for. */
  askedMs: ms.optional(),
  /** Of `waf_written`: where. */
  place: text(64).optional(),
  ipSet: text(128).optional(),
  /** Of `hold_created` and `hold_extended`. */
  untilMs: ms.optional(),
})
export type HoldChange = z.output<typeof changeSchema>

/**
 * Why one address or network is kept out, until when and by whom: a record of the compacted topic `holds`, keyed by its uid. Several
 * holds may keep out one address; it is blocked while any of them is active. Times in milliseconds since the epoch.
 */
export const holdSchema = z.object({
  /** That of the decision that made it. */
  uid: text(64).min(1),
  target: z.object({ type: z.enum(['address', 'network']), value: text(64).min(1) }),
  /** The target as IP sets have it: canonical, with its length. */
  cidr: text(64).min(1),
  rule: text(200).optional(),
  reason: text(REASON_CHARS_MAX),
  alertUids: z.array(text(64)).max(DECISION_KEYS_MAX),
  incidentUid: text(64).optional(),
  asn: z.int().min(0).optional(),
  who: text(WHO_CHARS_MAX),
  source: z.enum(['detection', 'cli', 'slack', 'console']),
  createdMs: ms,
  untilMs: ms,
  receivedMs: ms.optional(),
  state: z.enum(['active', 'suspended', 'released', 'expired']),
  endedMs: ms.optional(),
  /** 1 for a first offence; each further one lasts longer. */
  step: z.int().min(1),
  /** Made while nothing was really written: never a reason to write. */
  dryRun: z.boolean(),
  /** Where WAF acknowledged it, and when. */
  applied: z.array(z.object({ place: text(64), ms })).max(PLACES_MAX),
  /** Of the change of the ledger that last touched it. */
  seq: z.int().min(0),
  history: z.array(changeSchema).max(HISTORY_MAX),
})
export type Hold = z.output<typeof holdSchema>
