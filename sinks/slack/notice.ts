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
  /** Incidents that opened from `fromMs` until `endMs` (still open while undefined) are rows of this message. */
  kind: z.enum(['storm', 'quiet']),
  fromMs: ms,
  endMs: ms.optional(),
})
/** One message for many incidents: a storm, or the medium ones of a night. */
export type Round = z.output<typeof round>

const channelRecord = z.object({ channel: z.string().min(1), rounds: z.array(round).max(10) })

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
