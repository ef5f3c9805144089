import { z } from 'zod'
import { type DeadLetter, type Event, kinds } from './contract.ts'

/** How much of an event over the size bound is kept. */
export const OVERSIZE_KEPT_BYTES = 64 * 1024
const REASON_CHARS_MAX = 2_000

export function deadLetterOf(
  event: Event,
  pipeline: string,
  stage: string,
  reason: string,
  timeMs: number,
): DeadLetter {
  const { id, kind, origin, raw } = event
  const kept = reason.startsWith('oversize') ? raw.subarray(0, OVERSIZE_KEPT_BYTES) : raw
  return { id, kind, pipeline, stage, reason: reason.slice(0, REASON_CHARS_MAX), timeMs, origin, raw: kept }
}

/** One line of a dead letter file. `raw` is base64 of the bytes as received. */
const line = z.strictObject({
  id: z.string(),
  kind: z.enum(kinds),
  pipeline: z.string(),
  stage: z.string(),
  reason: z.string(),
  time: z.iso.datetime(),
  stream: z.string().optional(),
  position: z
    .string()
    .regex(/^\d{1,20}$/)
    .optional(),
  raw: z.base64(),
})

export function encodeDeadLetter(letter: DeadLetter): string {
  const { id, kind, pipeline, stage, reason, timeMs, origin, raw } = letter
  const text = JSON.stringify({
    id,
    kind,
    pipeline,
    stage,
    reason,
    time: new Date(timeMs).toISOString(),
    ...(origin ? { stream: origin.stream, position: String(origin.position) } : {}),
    raw: raw.toString('base64'),
  })
  return text.replace(OTHER_LINE_ENDS, end => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Line ends to some readers (node:readline among them), and legal inside a JSON string: a reason may quote an attacker. */
const OTHER_LINE_ENDS = /[\u0085\u2028\u2029]/g

/** undefined for a line that is not a dead letter (a torn tail, a foreign edit). */
export function decodeDeadLetter(text: string): DeadLetter | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  const result = line.safeParse(parsed)
  if (!result.success) return undefined
  const { time, stream, position, raw, ...rest } = result.data
  const origin = stream !== undefined && position !== undefined ? { stream, position: BigInt(position) } : undefined
  return { ...rest, timeMs: Date.parse(time), origin, raw: Buffer.from(raw, 'base64') }
}
