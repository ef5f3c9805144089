import { z } from 'zod'

/**
 * A request on the topic `decisions`: what somebody, or a detection, wants done. Requests are applied in the order of the topic by
 * the one owner of the ledger, each `uid` once. Times in milliseconds since the epoch.
 */
export const DECISION_KEYS_MAX = 20
export const REASON_CHARS_MAX = 500
export const WHO_CHARS_MAX = 200

const text = (charsMax: number) => z.string().max(charsMax)
const ms = z.int().min(0)

const decisionTypes = ['block', 'release', 'extend', 'allow', 'resume', 'disable_key'] as const
const targetTypes = ['address', 'network', 'access_key', 'budget'] as const

const targetSchema = z.object({
  type: z.enum(targetTypes),
  /** Address, 'address/length', or access key id; of the budget: `blocks`. */
  value: text(128).min(1),
})

export const decisionSchema = z.object({
  uid: text(64).min(1),
  time: ms,
  type: z.enum(decisionTypes),
  target: targetSchema,
  /** From when it is applied; the ledger's own when left out. */
  ttlMs: ms.min(1).optional(),
  /** For release and extend: this hold alone; left out, every one on the target. */
  holdId: text(64).optional(),
  reason: text(REASON_CHARS_MAX),
  /** Id of the rule, for detections. */
  rule: text(200).optional(),
  alertUids: z.array(text(64)).max(DECISION_KEYS_MAX).default([]),
  incidentUid: text(64).optional(),
  /** When the newest evidence happened. */
  evidenceTimeMs: ms.optional(),
  /** When the record that completed the evidence reached us: time to block is counted from here. */
  receivedMs: ms.optional(),
  /** Autonomous system of the target, for the budget. */
  asn: z.int().min(0).optional(),
  /** IAM user that an access key belongs to, where the evidence says so. */
  user: text(128).optional(),
  /** Every request of the evidence was stopped by a rule of our own already. */
  ownBlock: z.boolean().default(false),
  who: text(WHO_CHARS_MAX).min(1),
  source: z.enum(['detection', 'cli', 'slack', 'console']),
  sample: z.boolean().default(false),
  replayed: z.boolean().default(false),
})
export type Decision = z.output<typeof decisionSchema>
export type DecisionRequest = z.input<typeof decisionSchema>
