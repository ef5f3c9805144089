import { z } from 'zod'
import type { TopicRecord } from './contract.ts'

/**
 * What the CLI and the owner of the log say to each other over `topics.sock`: one JSON object a line, answers in the
 * order of the requests. Values are base64, offsets decimal strings.
 */
const record = z.strictObject({
  key: z.string().optional(),
  value: z.base64().nullable(),
  timeMs: z.number(),
  replayed: z.boolean().optional(),
})

export type SentRecord = z.output<typeof record>

export function sent({ key, value, timeMs, replayed = false }: TopicRecord): SentRecord {
  return { ...(key === undefined ? {} : { key }), value: value?.toString('base64') ?? null, timeMs, replayed }
}

const offset = z.string().regex(/^\d{1,16}$/)

export const request = z.discriminatedUnion('op', [
  z.strictObject({
    op: z.literal('append'),
    topic: z.string(),
    records: z.array(record),
    marker: z.string().optional(),
  }),
  z.strictObject({ op: z.literal('lag') }),
  z.strictObject({ op: z.literal('describe') }),
  z.strictObject({ op: z.literal('compacted'), topic: z.string(), skip: z.number().int().min(0) }),
  z.strictObject({
    op: z.literal('records'),
    topic: z.string(),
    partition: z.number().int().min(0),
    from: offset,
    to: offset,
  }),
  z.strictObject({ op: z.literal('forget'), group: z.string() }),
  z.strictObject({
    op: z.literal('move'),
    group: z.string(),
    topic: z.string(),
    partition: z.number().int().min(0),
    offset,
  }),
])
export type Request = z.output<typeof request>

const lag = z.object({
  group: z.string(),
  topic: z.string(),
  partition: z.number(),
  committed: z.string(),
  end: z.string(),
})
const state = z.object({
  topic: z.string(),
  partition: z.number(),
  start: z.string(),
  end: z.string(),
  bytes: z.number(),
})
const description = z.object({
  pid: z.number(),
  full: z.boolean(),
  partitions: z.array(state),
})

/** What each request is answered with. */
export const answers = {
  append: z.object({ repeated: z.boolean() }),
  lag: z.array(lag),
  describe: description,
  /** The newest record of each key, from the one after `skip` on; `more` when there are further ones. */
  compacted: z.object({ records: z.array(record), more: z.boolean() }),
  /** From the offset `from` until before `to`, as far as they fit; `next` is where to go on. */
  records: z.object({ records: z.array(record), next: offset }),
  forget: z.object({}),
  move: z.object({}),
}

export const reply = z.union([
  z.strictObject({ result: z.unknown() }),
  z.strictObject({ error: z.strictObject({ code: z.string(), message: z.string() }) }),
])

/** A longer line is not read: the connection is closed. An append is split well before. */
export const LINE_BYTES_MAX = 8 * 1024 * 1024
export const APPEND_BYTES_MAX = 2 * 1024 * 1024
/** Of the values in one answer. */
export const ANSWER_BYTES_MAX = 4 * 1024 * 1024
