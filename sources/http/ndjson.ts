import { OVERSIZE_KEPT_BYTES } from '../../engine/dead-letter.ts'
import { isSpace } from '../../platform/json/space.ts'
import type { Refusal } from './answer.ts'
import { areBraced, isOversize, lines, RECORDS_MAX, type Records, type Spoiled } from './records.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Takes apart a body of POST /ingest: NDJSON first of all; also one JSON object over several lines, objects one after the
 * other without line feeds, and one array of objects. Lines are not parsed here: a broken one becomes an event that the
 * parse stage dead-letters, and its neighbours go on. A record over 1 MiB is set aside.
 * Refused as a whole: nothing that looks like an object, too many records.
 */
export function parseNdjson(bytes: Buffer): Records | Refusal {
  const byLine = lines(bytes, 0, bytes.length, RECORDS_MAX)
  const plain = byLine && areBraced(bytes, byLine) && !holdsNeighbours(bytes)
  const objects = plain ? undefined : splitObjects(bytes)
  const spans = objects ?? byLine
  if (!spans || spans.length > 2 * RECORDS_MAX)
    return bad(`more than ${RECORDS_MAX} records in one request: send several requests`)
  if (spans.length > 0 && !objects && !someObject(bytes, spans))
    return bad('no JSON object in the body: send one object a line')
  return withoutOversize(bytes, spans)
}

/** Records over the bound go to the dead letter with their beginning; their neighbours go on. */
function withoutOversize(bytes: Buffer, spans: number[]): Records {
  const kept: number[] = []
  const spoiled: Spoiled[] = []
  for (let at = 0; at < spans.length; at += 2) {
    const [start, end] = [spans[at]!, spans[at + 1]!]
    if (isOversize(end - start)) spoiled.push({ start, end: start + OVERSIZE_KEPT_BYTES, reason: 'oversize' })
    else kept.push(start, end)
  }
  return { bytes, spans: kept, spoiled, empty: 0 }
}

/** Whether objects may share a line. Inside a string it means nothing, so it only asks for the closer look. */
function holdsNeighbours(bytes: Buffer): boolean {
  return bytes.indexOf('}{') !== -1 || bytes.indexOf('} {') !== -1
}

function someObject(bytes: Buffer, spans: readonly number[]): boolean {
  for (let at = 0; at < spans.length; at += 2) if (bytes[spans[at]!] === 0x7b) return true
  return false
}

/**
 * Objects one after the other, or the elements of one array. undefined when the body is anything else, an object does not
 * end, or there are too many; whether each is JSON inside is for the parse stage.
 */
function splitObjects(bytes: Buffer): number[] | undefined {
  const spans: number[] = []
  const stringEnd = stringEnds(bytes)
  let at = skipSpace(bytes, 0)
  const isArray = bytes[at] === 0x5b
  if (isArray) at = skipSpace(bytes, at + 1)
  while (bytes[at] === 0x7b) {
    const end = objectEnd(bytes, at, stringEnd)
    if (end === -1) return undefined
    spans.push(at, end)
    if (spans.length > 2 * RECORDS_MAX) return undefined
    at = skipSpace(bytes, end)
    if (!isArray) continue
    if (bytes[at] !== 0x2c) break
    at = skipSpace(bytes, at + 1)
    if (bytes[at] !== 0x7b) return undefined
  }
  if (isArray) {
    if (bytes[at] !== 0x5d) return undefined
    at = skipSpace(bytes, at + 1)
  }
  return at === bytes.length ? spans : undefined
}

/** The position after the bracket that closes the object at `start`; -1 if there is none. */
function objectEnd(bytes: Buffer, start: number, stringEnd: (start: number) => number): number {
  let depth = 0
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) {
      at = stringEnd(at)
      if (at === -1) return -1
    } else if (byte === 0x7b || byte === 0x5b) depth++
    else if (byte === 0x7d || byte === 0x5d) {
      depth--
      if (depth === 0) return at + 1
    }
  }
  return -1
}

/**
 * For ascending positions of opening quotes: the position of the closing one; -1 if there is none, or a line feed before
 * it, which JSON forbids: there a line was cut off, and its neighbours must not be taken into it.
 */
function stringEnds(bytes: Buffer): (start: number) => number {
  let feed = -1
  return start => {
    for (let at = start; ; ) {
      at = bytes.indexOf(QUOTE, at + 1)
      if (at === -1) return -1
      let before = at - 1
      while (bytes[before] === BACKSLASH) before--
      if ((at - before) % 2 === 0) continue
      if (feed !== Number.POSITIVE_INFINITY && feed < start) feed = bytes.indexOf(0x0a, start)
      if (feed === -1) feed = Number.POSITIVE_INFINITY
      return feed < at ? -1 : at
    }
  }
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from
  while (isSpace(bytes[at])) at++
  return at
}

function bad(message: string): Refusal {
  return { status: 400, message }
}
