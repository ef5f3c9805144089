import { z } from 'zod'

const ms = z.int().min(0)

/** A message: asked for, or there. While it is `posting` nobody knows whether Slack has it. */
const posted = {
  state: z.enum(['posting', 'posted', 'refused']),
  /** When it was first asked for; a message that is searched for is not older. */
  sinceMs: ms,
  ts: z.string().optional(),
  postedMs: ms.optional(),
  /** Hash of what it says now, without the time of editing. */
  hash: z.string().optional(),
  editedMs: ms.optional(),
  /** What a change of is worth an edit at once: state, severity, what people said. */
  marks: z.string().optional(),
}

const notice = z.object({
  ...posted,
  incident: z.string().min(1),
  channel: z.string().min(1),
  /** Changes that are said in the thread, or were in the message from the beginning. */
  said: z.array(z.string()),
  replies: z.int().min(0),
  /** A reply that was asked for, of which nobody knows whether Slack has it. */
  replying: z.object({ sinceMs: ms, ids: z.array(z.string()) }).optional(),
})
/** What is known of the message of one incident. */
export type Notice = z.output<typeof notice>

const round = z.object({
  ...posted,
  /** Incidents that opened from `fromMs` until `endMs` (still open while undefined) are rows of this message; critical ones have storms of their own. */
  kind: z.enum(['storm', 'critical', 'quiet']),
  fromMs: ms,
  endMs: ms.optional(),
})
/** One message for many incidents: a storm, or the medium ones of a night. */
export type Round = z.output<typeof round>

export const bulletinKinds = ['budget', 'waf', 'ledger', 'keys', 'customer', 'operator', 'pipeline'] as const
export type BulletinKind = (typeof bulletinKinds)[number]

export const LINES_MAX = 8
export const SEEN_MAX = 50
export const BULLETINS_MAX = 40

const bulletin = z.object({
  ...posted,
  kind: z.enum(bulletinKinds),
  /** What it is about: a place, a pipeline; empty where there is but one. */
  subject: z.string().max(200),
  fromMs: ms,
  lastMs: ms,
  endMs: ms.optional(),
  /** Events so far; of these the newest are lines. */
  count: z.int().min(0),
  lines: z.array(z.object({ time: ms, text: z.string().max(600) })).max(LINES_MAX),
  /** Audit records that are in it. */
  seen: z.array(z.string().max(64)).max(SEEN_MAX),
  dryRun: z.boolean(),
})
/** One message for everything of a kind that people must know and that is no incident. */
export type Bulletin = z.output<typeof bulletin>

const channelRecord = z.object({
  channel: z.string().min(1),
  rounds: z.array(round).max(10),
  bulletins: z.array(bulletin).max(BULLETINS_MAX).default([]),
})

/** What a record of the topic `notified` holds; undefined for one of another version. */
export function readNotified(value: Buffer): { notice?: Notice; channel?: z.output<typeof channelRecord> } | undefined {
  let json: unknown
  try {
    json = JSON.parse(value.toString('utf8'))
  } catch {
    return undefined
  }
  const asNotice = notice.safeParse(json).data
  if (asNotice) return { notice: asNotice }
  const asChannel = channelRecord.safeParse(json).data
  return asChannel && { channel: asChannel }
}
