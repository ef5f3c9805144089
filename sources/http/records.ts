import { EVENT_BYTES_MAX } from '../../engine/contract.ts'
import { isSpace } from '../../platform/json/space.ts'

/** More records than this in one request are refused (NDJSON) or left together (aggregated Firehose records). */
export const RECORDS_MAX = 100_000

/** A body taken apart. */
export interface Records {
  readonly bytes: Buffer
  /** start, end, start, end … of each record in `bytes`: ascending, outer white space trimmed, none empty. */
  readonly spans: readonly number[]
  /** What can never be an event, for the dead letter. */
  readonly spoiled: readonly Spoiled[]
  /** Firehose records without data, or with nothing but white space. */
  readonly empty: number
}

export interface Spoiled {
  readonly start: number
  readonly end: number
  readonly reason: 'bad_base64' | 'oversize'
}

/** How many records of a request went where; without the records. */
export interface Counts {
  readonly taken: number
  readonly empty: number
  readonly bad_base64: number
  readonly oversize: number
}

export function countsOf({ spans, empty, spoiled }: Records): Counts {
  const oversize = spoiled.filter(({ reason }) => reason === 'oversize').length
  return { taken: spans.length / 2, empty, bad_base64: spoiled.length - oversize, oversize }
}

const LINE_FEED = 0x0a
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** Adds [start, end) without outer white space to `spans`. False if nothing is left. */
export function pushTrimmed(bytes: Buffer, start: number, end: number, spans: number[]): boolean {
  let from = start
  let to = end
  while (from < to && isSpace(bytes[from])) from++
  while (to > from && isSpace(bytes[to - 1])) to--
  if (from === to) return false
  spans.push(from, to)
  return true
}

/** Non-blank lines of [start, end). undefined when they are more than `linesMax`. */
export function lines(bytes: Buffer, start: number, end: number, linesMax: number): number[] | undefined {
  const spans: number[] = []
  let from = start
  while (from < end) {
    const feed = bytes.indexOf(LINE_FEED, from)
    const to = feed === -1 || feed > end ? end : feed
    if (pushTrimmed(bytes, from, to, spans) && spans.length > 2 * linesMax) return undefined
    from = to + 1
  }
  return spans
}

/** Whether each span begins with `{` and ends with `}`. Two such lines are never one JSON value. */
export function areBraced(bytes: Buffer, spans: readonly number[]): boolean {
  for (let at = 0; at < spans.length; at += 2)
    if (bytes[spans[at]!] !== OPEN_BRACE || bytes[spans[at + 1]! - 1] !== CLOSE_BRACE) return false
  return true
}

export const isOversize = (bytes: number): boolean => bytes > EVENT_BYTES_MAX
