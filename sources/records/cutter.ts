import { EVENT_BYTES_MAX } from '../../engine/contract.ts'
import { OVERSIZE_KEPT_BYTES } from '../../engine/dead-letter.ts'
import { trimmed } from '../../engine/event.ts'

/** A record as it stands in the input. */
export interface CutRecord {
  /** Without outer white space. Of one past EVENT_BYTES_MAX, the first bytes only. */
  readonly raw: Buffer
  /** Line on which it begins, from 1. */
  readonly line: number
  readonly oversize: boolean
}

const LF = 0x0a
const OPEN = 0x7b
const CLOSE = 0x7d
const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Cuts bytes into JSON records: a line each (NDJSON), several on a line, or one over several lines as pretty printers
 * write them. A record that was cut off ends where the next one begins, which is a line that starts with `{` in its
 * first column, so it costs itself alone. Nothing is parsed here; what is not JSON is a record for the parser to refuse.
 */
export class RecordCutter {
  #line = 1
  /** The beginning of the current line, from chunks before. */
  #rest: Buffer[] = []
  #restBytes = 0
  /** The current line is past the bound: only its start is kept. */
  #overflown = false
  /** Lines of a record that is not complete yet. */
  #open: { lines: Buffer[]; bytes: number; line: number; scan: DepthScan } | undefined

  /** The records that end in this chunk. They are views on it where that is possible. */
  push(chunk: Buffer, records: CutRecord[]): void {
    const neighbours = new Neighbours(chunk)
    let start = 0
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      const line = chunk.subarray(start, end)
      // Nearly every line is one record that is all in this chunk.
      const isPlain = this.#restBytes === 0 && this.#open === undefined && this.#line > 1
      if (isPlain && line[0] === OPEN && line[line.length - 1] === CLOSE && !neighbours.areWithin(start, end)) {
        push(line, this.#line++, records)
      } else this.#endLine(line, records)
      start = end + 1
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
  }

  /** What is left at the end of the input. */
  end(records: CutRecord[]): void {
    if (this.#restBytes > 0) this.#endLine(Buffer.alloc(0), records)
    this.#closeOpen(records)
  }

  #keep(part: Buffer): void {
    this.#restBytes += part.length
    if (this.#overflown) return
    this.#rest.push(part)
    if (this.#restBytes > EVENT_BYTES_MAX) {
      this.#rest = [Buffer.from(Buffer.concat(this.#rest).subarray(0, OVERSIZE_KEPT_BYTES))]
      this.#overflown = true
    }
  }

  #endLine(part: Buffer, records: CutRecord[]): void {
    const line = this.#line++
    let text = part
    if (this.#restBytes > 0) {
      this.#keep(part)
      text = Buffer.concat(this.#rest)
      const overflown = this.#overflown
      this.#rest = []
      this.#restBytes = 0
      this.#overflown = false
      if (overflown) {
        this.#closeOpen(records)
        records.push({ raw: trimmed(text), line, oversize: true })
        return
      }
    }
    this.#takeLine(line === 1 ? withoutMark(text) : text, line, records)
  }

  #takeLine(text: Buffer, line: number, records: CutRecord[]): void {
    if (this.#open && text[0] !== OPEN) {
      this.#continueOpen(text, records)
      return
    }
    this.#closeOpen(records)
    const raw = trimmed(text)
    if (raw.length === 0) return
    if (raw[0] === OPEN && raw.at(-1) !== CLOSE) this.#begin(raw, line, records)
    else if (raw[0] === OPEN && mayHoldSeveral(raw)) splitLine(raw, line, records)
    else push(raw, line, records)
  }

  /** A line that starts a record and does not end one: the record may go on, or it was cut off. */
  #begin(raw: Buffer, line: number, records: CutRecord[]): void {
    const scan = new DepthScan()
    const end = scan.advance(raw)
    if (end >= 0) splitLine(raw, line, records)
    else this.#open = { lines: [raw], bytes: raw.length, line, scan }
  }

  #continueOpen(text: Buffer, records: CutRecord[]): void {
    const open = this.#open!
    const end = open.scan.advance(text)
    open.lines.push(end >= 0 ? text.subarray(0, end) : text)
    open.bytes += text.length + 1
    if (end >= 0) {
      this.#closeOpen(records)
      const after = trimmed(text.subarray(end))
      if (after.length > 0) this.#takeLine(after, this.#line - 1, records)
    } else if (open.bytes > EVENT_BYTES_MAX) this.#closeOpen(records)
  }

  #closeOpen(records: CutRecord[]): void {
    const open = this.#open
    this.#open = undefined
    if (!open) return
    const [only, ...more] = open.lines
    const raw = more.length === 0 ? only! : Buffer.concat(open.lines.flatMap(text => [text, Buffer.from('\n')]))
    push(trimmed(raw), open.line, records)
  }
}

function push(raw: Buffer, line: number, records: CutRecord[]): void {
  const oversize = raw.length > EVENT_BYTES_MAX
  records.push({ raw: oversize ? raw.subarray(0, OVERSIZE_KEPT_BYTES) : raw, line, oversize })
}

function withoutMark(text: Buffer): Buffer {
  return text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf ? text.subarray(3) : text
}

/** What stands between records written side by side. A string may hold these bytes too, so the scan decides. */
const between = ['}{', '} {', '}\t{'].map(text => Buffer.from(text))

function mayHoldSeveral(raw: Buffer): boolean {
  return between.some(bytes => raw.includes(bytes))
}

/** The same for the lines of a chunk, one after the other: a search runs on through the lines that hold nothing. */
class Neighbours {
  readonly #chunk: Buffer
  /** Where each of `between` is next. */
  readonly #next = between.map(() => -1)

  constructor(chunk: Buffer) {
    this.#chunk = chunk
  }

  /** `from` must not go back. */
  areWithin(from: number, to: number): boolean {
    for (let index = 0; index < between.length; index++) {
      if (this.#next[index]! < from) {
        const at = this.#chunk.indexOf(between[index]!, from)
        this.#next[index] = at < 0 ? this.#chunk.length : at
      }
      if (this.#next[index]! < to) return true
    }
    return false
  }
}

function splitLine(raw: Buffer, line: number, records: CutRecord[]): void {
  let rest = raw
  while (rest.length > 0) {
    const end = new DepthScan().advance(rest)
    if (end < 0 || rest[0] !== OPEN) {
      push(rest, line, records)
      return
    }
    push(rest.subarray(0, end), line, records)
    rest = trimmed(rest.subarray(end))
  }
}

/** Finds where a JSON object ends, over as many pieces as it takes. Strings are understood, nothing is checked. */
class DepthScan {
  #depth = 0
  #inString = false
  #escaped = false

  /** Position after the closing brace of the outermost object, or -1 if it does not close in this piece. */
  advance(bytes: Buffer): number {
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false
        else if (byte === BACKSLASH) this.#escaped = true
        else if (byte === QUOTE) this.#inString = false
      } else if (byte === QUOTE) this.#inString = true
      else if (byte === OPEN) this.#depth++
      else if (byte === CLOSE && --this.#depth <= 0) return at + 1
    }
    return -1
  }
}
