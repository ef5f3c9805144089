import { type ZodType, z } from 'zod'
import type { Severity } from '../../engine/contract.ts'
import { Refused } from './refusal.ts'

const texts = z.union([z.string(), z.array(z.string())]).transform(value => [value].flat())
const unitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Sigma's `90s`, `5m`, `1h`, `1d` in milliseconds; undefined for anything else. */
export function durationMs(text: string): number | undefined {
  const [, count, unit] = /^([1-9]\d{0,5})([smhd])$/.exec(text) ?? []
  return count === undefined ? undefined : Number(count) * unitsMs[unit!]!
}

const duration = z.string().transform((text, context): number => {
  const ms = durationMs(text)
  if (ms !== undefined) return ms
  context.addIssue({ code: 'custom', message: `${text} is no time like 90s, 5m, 1h or 1d` })
  return z.NEVER
})

/** What the rule asks of the response; whether that is done is decided there. */
const respond = z.strictObject({
  block: z.boolean().default(false),
  /** How long the first block lasts. */
  ttl: duration.optional(),
  /** The access key that the finding names. */
  disable_key: z.boolean().default(false),
})

/** What rules and correlations say about themselves. The specification allows keys of one's own: `haetae` and `tests` are ours. */
export const about = {
  title: z.string().min(1).max(256),
  id: z.uuid(),
  /** How correlations may call it, beside its id. */
  name: z.string().min(1).max(256).optional(),
  status: z.enum(['stable', 'test', 'experimental', 'deprecated', 'unsupported']).optional(),
  level: z.enum(['informational', 'low', 'medium', 'high', 'critical']).default('medium'),
  description: z.string().default(''),
  author: z.string().default(''),
  references: texts.default([]),
  tags: z.array(z.string()).default([]),
  falsepositives: texts.default([]),
  haetae: z
    .strictObject({
      /** What an analyst does when the rule fired. */
      runbook: z.string().optional(),
      /** Whether requests that our own block stopped count, too. */
      blocked: z.boolean().default(false),
      respond: respond.optional(),
    })
    .default({ blocked: false }),
}
const described = z.object(about)
/** What an alert says of the rule or correlation that made it. */
export interface About extends z.output<typeof described> {
  readonly file: string
  readonly severity: Severity
}

/** Throws Refused with what is wrong first. */
export function checked<Output>(schema: ZodType<Output>, value: unknown): Output {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  throw new Refused('invalid', `${issue.path.join('.')}: ${issue.message}`, issue.path)
}

export function checkStatus(status: string | undefined): void {
  if (status === 'unsupported' || status === 'deprecated')
    throw new Refused('document', `its author says that it is ${status}`, ['status'])
}

export function severityOf(level: About['level']): Severity {
  return level === 'informational' ? 'info' : level
}
