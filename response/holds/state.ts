import { z } from 'zod'

const text = (charsMax: number) => z.string().max(charsMax)
const ms = z.int().min(0)
const seq = z.int().min(0)

/**
 * What the owner of the ledger remembers beside the holds, on the compacted topic `holds.state`: what it has put into IP sets, or is
 * about to (written before the request, so that a death in between leaves nothing behind), the budget, what people allowed, and up to
 * which change of the ledger everything is audited.
 */
const entrySchema = z.object({
  type: z.literal('entry'),
  place: text(64).min(1),
  /** Id of the IP set. */
  set: text(128).min(1),
  ipSet: text(128),
  cidr: text(64).min(1),
  /** `placing`, `removing`: a request may be under way. */
  state: z.enum(['placing', 'placed', 'removing']),
  sinceMs: ms,
})
export type Entry = z.output<typeof entrySchema>

const budgetSchema = z.object({
  type: z.literal('budget'),
  tripped: z.object({ limit: z.enum(['minute', 'hour', 'network']), max: z.number(), time: ms }).optional(),
  resumed: z.object({ who: text(200), reason: text(500), time: ms, decision: text(64) }).optional(),
  seq,
})
export type BudgetState = z.output<typeof budgetSchema>

const allowSchema = z.object({
  type: z.literal('allow'),
  cidr: text(64).min(1),
  untilMs: ms,
  who: text(200),
  reason: text(500),
  time: ms,
  decision: text(64),
  seq,
})
export type Allow = z.output<typeof allowSchema>

const auditedSchema = z.object({ type: z.literal('audited'), seq })

export const stateSchema = z.discriminatedUnion('type', [entrySchema, budgetSchema, allowSchema, auditedSchema])
export type StateRecord = z.output<typeof stateSchema>

export function stateKey(record: StateRecord): string {
  switch (record.type) {
    case 'entry':
      return `entry ${record.place} ${record.cidr}`
    case 'allow':
      return `allow ${record.cidr}`
    case 'budget':
    case 'audited':
      return record.type
  }
}
