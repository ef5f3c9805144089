import { isUtf8 } from 'node:buffer'
import { asError } from '../../platform/errors.ts'
import { isRefusal, type Refusal, tryLater } from './answer.ts'
import { scanFirehose } from './firehose-scan.ts'
import type { Hold } from './inflight.ts'
import { areBraced, isOversize, lines, pushTrimmed, RECORDS_MAX, type Records, type Spoiled } from './records.ts'

/** Firehose developer guide, HTTP endpoint delivery request: 1 to 10,000 records. Fewer than one is harmless. */
const FIREHOSE_RECORDS_MAX = 10_000
/** A body that only the general parser understands: Firehose sends none, and its strings cost twice its size. */
const UNUSUAL_BYTES_MAX = 16 * 1024 * 1024
/** What is kept of an oversize record: the first 65,535 bytes. */
const OVERSIZE_KEPT_CHARS = 87_380

/**
 * Takes apart `{"requestId":"…","timestamp":…,"records":[{"data":"<base64>"},…]}`. Decodes in place: `bytes` holds the
 * records afterwards, one after the other. A record that is not base64, or is larger than an event may be, is set aside
 * in `spoiled`; its neighbours are taken. Anything that is not this JSON is refused as a whole: Firehose will not have
 * sent it, and what it means is unknown.
 */
export function parseFirehose(bytes: Buffer, requestId: string, hold: Hold): Records | Refusal {
  const envelope = readEnvelope(bytes, hold)
  if (isRefusal(envelope)) return envelope
  if (envelope.requestId !== requestId)
    return bad('the requestId in the body is not the one in X-Amz-Firehose-Request-Id')
  if (envelope.count > FIREHOSE_RECORDS_MAX)
    return bad(`${envelope.count} records; a request carries at most ${FIREHOSE_RECORDS_MAX}`)
  const placed = decodeAll(bytes, envelope)
  return isRefusal(placed) ? placed : separate(placed)
}

interface Envelope {
  readonly requestId: string
  readonly count: number
  /** The base64 text of a record. Called once for each, in order; may read the body where it has not been overwritten. */
  readonly text: (index: number) => string
  /** 'latin1': text() is the bytes as received, and nobody has looked at them yet. 'utf8': JSON.parse has. */
  readonly encoding: 'latin1' | 'utf8'
}

function readEnvelope(bytes: Buffer, hold: Hold): Envelope | Refusal {
  const scanned = scanFirehose(bytes)
  if (!scanned) return readUnusual(bytes, hold)
  const { requestId, texts } = scanned
  if (!texts) return bad('the body has no records')
  const text = (index: number) => bytes.toString('latin1', texts[2 * index], texts[2 * index + 1])
  return { requestId, count: texts.length / 2, text, encoding: 'latin1' }
}

/** Other white space, escapes, unknown keys, and everything that is wrong. */
function readUnusual(bytes: Buffer, hold: Hold): Envelope | Refusal {
  if (bytes.length > UNUSUAL_BYTES_MAX)
    return bad(`the body is not as Firehose writes it, and larger than ${UNUSUAL_BYTES_MAX} bytes`)
  if (!isUtf8(bytes)) return bad('the body is not JSON: it is not UTF-8')
  if (!hold.grow(2 * bytes.length)) return tryLater('no memory to parse a body of this size just now', 1000)
  try {
    return envelopeOf(JSON.parse(bytes.toString('utf8')))
  } catch (error) {
    return bad(`the body is not JSON: ${asError(error).message.slice(0, 200)}`)
  } finally {
    hold.shrink(2 * bytes.length)
  }
}

function envelopeOf(body: unknown): Envelope | Refusal {
  if (!isObject(body)) return bad('the body is not a JSON object')
  const { requestId, records } = body
  if (typeof requestId !== 'string') return bad('the body has no requestId')
  if (!Array.isArray(records)) return bad('the body has no records')
  const texts: string[] = []
  for (const record of records as unknown[]) {
    const data = isObject(record) ? record['data'] : undefined
    if (typeof data !== 'string') return bad(`record ${texts.length + 1} has no data`)
    texts.push(data)
  }
  return { requestId, count: texts.length, text: index => texts[index]!, encoding: 'utf8' }
}

interface DecodedRecords {
  readonly bytes: Buffer
  /** start, end of every decoded record. */
  readonly decoded: readonly number[]
  readonly spoiled: readonly Spoiled[]
}

/** Writes each record behind the one before. Always behind the text that is still to be read, as base64 is longer. */
function decodeAll(bytes: Buffer, { count, text: textOf, encoding }: Envelope): DecodedRecords | Refusal {
  const decoded: number[] = []
  const spoiled: Spoiled[] = []
  let end = 0
  for (let index = 0; index < count; index++) {
    const start = end
    const text = textOf(index)
    const length = decodedLength(text)
    const oversize = isOversize(length)
    const usable = oversize ? text.slice(0, OVERSIZE_KEPT_CHARS) : text
    const written = bytes.write(usable, start, 'base64')
    end = start + written
    if (!oversize && written === length) {
      decoded.push(start, end)
      continue
    }
    if (encoding === 'latin1' && !isStringContent(text))
      return bad(`the body is not JSON: the data of record ${index + 1} holds control characters or is not UTF-8`)
    if (!oversize) end = start + bytes.write(text, start, encoding)
    spoiled.push({ start, end, reason: oversize ? 'oversize' : 'bad_base64' })
  }
  return { bytes: bytes.subarray(0, end), decoded, spoiled }
}

/** Whether these bytes may stand between the quotes of a JSON string; the scanner has seen that no backslash is among them. */
function isStringContent(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) < 0x20) return false
  return isUtf8(Buffer.from(text, 'latin1'))
}

/** How many bytes this is if it is base64, padded or not; else -1. Skipped characters show as a shorter result. */
function decodedLength(text: string): number {
  let digits = text.length
  if (digits > 0 && text[digits - 1] === '=') digits--
  if (digits > 0 && text[digits - 1] === '=') digits--
  if (digits < text.length && text.length % 4 !== 0) return -1
  return digits % 4 === 1 ? -1 : Math.floor((digits * 3) / 4)
}

/**
 * One WAF log is one Firehose record; but what some producer aggregated must not be lost: data of two or more lines that
 * each begin with `{` and end with `}` (never one JSON value) become one event each. All else stays one event.
 */
function separate({ bytes, decoded, spoiled }: DecodedRecords): Records {
  const spans: number[] = []
  let empty = 0
  let feed = -1
  for (let at = 0; at < decoded.length; at += 2) {
    if (!pushTrimmed(bytes, decoded[at]!, decoded[at + 1]!, spans)) {
      empty++
      continue
    }
    const start = spans.at(-2)!
    const end = spans.at(-1)!
    if (feed < start) feed = bytes.indexOf(0x0a, start)
    if (feed === -1) feed = bytes.length
    if (feed >= end) continue
    const room = RECORDS_MAX - spans.length / 2
    const parts = lines(bytes, start, end, room)
    if (!parts || !areBraced(bytes, parts)) continue
    spans.length -= 2
    for (const part of parts) spans.push(part)
  }
  return { bytes, spans, spoiled, empty }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function bad(message: string): Refusal {
  return { status: 400, message }
}
