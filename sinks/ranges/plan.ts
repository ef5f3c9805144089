/**
 * Which records make up one set of lake objects. Pure: no I/O, no clock.
 *
 * A range [first, end) of a stream's positions holds the records that arrived with a position in it; `first` and `end - 1` are
 * positions of records that did arrive. Its objects are named after `first`. Before the first of them is written the
 * range is in the stream's note, which is durable, and stays there until the committed position has passed it. After a
 * restart every noted range is filled again from exactly the same positions, and an object that is already there is
 * left alone. So an object never has two contents, and no record is in two.
 *
 * Records are acknowledged when the whole range is durable. A committed position inside a noted range usually means that
 * all its objects exist; it is not taken as proof, because records can also be settled by being dropped or dead-lettered:
 * the range is filled with what is read again, and an object that is missing is written from that.
 *
 * A stream may begin at the same positions again with other records: another cluster, a state folder made anew. So the note
 * also holds a lineage, chosen once, when a stream has no note yet; objects have it in their name, and those of another
 * lineage are never taken for ours.
 */
export interface Range {
  readonly first: bigint
  readonly end: bigint
}

/** Ranges in one note. A note is at most 4 KiB; this many take under 2 KiB with 20-digit positions. */
export const RANGES_NOTED_MAX = 32

/** Where a record belongs. */
export interface Placed {
  /** `first` of its range. */
  readonly first: bigint
  /** The range was noted by an earlier process and is being filled again: it ends where it ended. */
  readonly again: boolean
  /** Ranges of which no later record can be a part, oldest first: write them. */
  readonly done: readonly Range[]
}

/** The ranges of one stream from one assignment to the next. */
export class RangePlan {
  /** Part of the objects' names. Empty for a note that was written before there were lineages. */
  readonly lineage: string
  /** In the durable note, or to be put there before the first object; by position. */
  #noted: Range[]
  /** Of the noted, those an earlier process did not see through to the commit; filled again. */
  #rebuilding: Range[]
  /** Being filled for the first time. */
  #open: { readonly first: bigint; last: bigint } | undefined
  #last: bigint | undefined

  /** `newLineage`: for a stream without a note. Throws RangeError for a note that is none. */
  constructor(note: string | undefined, committed: bigint | undefined, newLineage: string) {
    const noted = parseNote(note)
    this.lineage = noted?.lineage ?? newLineage
    this.#noted = after(noted?.ranges ?? [], committed)
    this.#rebuilding = [...this.#noted]
  }

  /** `first` of the range being filled for the first time. */
  get openFirst(): bigint | undefined {
    return this.#open?.first
  }

  /** The position placed last. */
  get last(): bigint | undefined {
    return this.#last
  }

  /** Positions ascend (equal ones belong to one record); throws RangeError when they do not. */
  place(position: bigint): Placed {
    if (this.#last !== undefined && position < this.#last) {
      throw new RangeError(`position ${position} came after ${this.#last}: a stream is read in order`)
    }
    const done = this.#passedAt(position)
    this.#last = position
    const again = this.#rebuilding[0]
    if (again && position >= again.first) return { first: again.first, again: true, done: [...this.#cut(), ...done] }
    // A new range never reaches over a noted one: what lies before it ends there.
    const cut = done.length > 0 ? this.#cut() : []
    this.#open ??= { first: position, last: position }
    this.#open.last = position
    return { first: this.#open.first, again: false, done: [...cut, ...done] }
  }

  /** Ranges being filled again whose last record has arrived. To be called after a batch, as one position may be several records. */
  complete(): readonly Range[] {
    return this.#last === undefined ? [] : this.#passedAt(this.#last + 1n)
  }

  /** Ends the range being filled for the first time: the sink wants to write it. A range being filled again ends only at its end. */
  seal(): Range | undefined {
    return this.#cut()[0]
  }

  /** True when the next record may begin another range: with too many uncommitted ones the note would grow past its bound. */
  hasRoom(committed: bigint | undefined): boolean {
    this.#noted = after(this.#noted, committed)
    return this.#noted.length < RANGES_NOTED_MAX
  }

  /** What the stream's note must be before an object of any sealed range is written. */
  note(committed: bigint | undefined): string {
    this.#noted = after(this.#noted, committed)
    const ranges = this.#noted.map(({ first, end }) => [String(first), String(end)])
    return JSON.stringify(this.lineage === '' ? { ranges } : { lineage: this.lineage, ranges })
  }

  #passedAt(position: bigint): Range[] {
    const passed = this.#rebuilding.filter(range => range.end <= position)
    if (passed.length > 0) this.#rebuilding = this.#rebuilding.slice(passed.length)
    return passed
  }

  #cut(): Range[] {
    if (!this.#open) return []
    const range = { first: this.#open.first, end: this.#open.last + 1n }
    this.#open = undefined
    const at = this.#noted.findIndex(noted => noted.first > range.first)
    this.#noted.splice(at < 0 ? this.#noted.length : at, 0, range)
    return [range]
  }
}

function after(ranges: readonly Range[], committed: bigint | undefined): Range[] {
  return ranges.filter(range => committed === undefined || range.end > committed)
}

interface Note {
  readonly lineage: string
  readonly ranges: Range[]
}

const POSITION = /^\d{1,20}$/
const LINEAGE = /^[0-9a-f]{1,32}$/

/**
 * `{"lineage":"5f0c…","ranges":[["100","250"],…]}`, ascending and apart; undefined when there is none. Anything else throws
 * RangeError: to guess would be to lose or double records.
 */
function parseNote(note: string | undefined): Note | undefined {
  if (note === undefined || note === '') return undefined
  const { lineage = '', ranges: pairs } = contentOf(note)
  if (typeof lineage !== 'string' || (lineage !== '' && !LINEAGE.test(lineage))) throw unreadable(note)
  const ranges: Range[] = []
  for (const pair of pairs) {
    const [first, end] = Array.isArray(pair) ? (pair as readonly unknown[]) : []
    if (typeof first !== 'string' || typeof end !== 'string' || !POSITION.test(first) || !POSITION.test(end)) {
      throw unreadable(note)
    }
    const range = { first: BigInt(first), end: BigInt(end) }
    if (range.end <= range.first || range.first < (ranges.at(-1)?.end ?? 0n)) throw unreadable(note)
    ranges.push(range)
  }
  return { lineage, ranges }
}

function contentOf(note: string): { readonly lineage?: unknown; readonly ranges: readonly unknown[] } {
  try {
    const parsed: unknown = JSON.parse(note)
    if (typeof parsed === 'object' && parsed !== null && 'ranges' in parsed && Array.isArray(parsed.ranges)) {
      return { ranges: parsed.ranges, ...('lineage' in parsed ? { lineage: parsed.lineage } : {}) }
    }
  } catch {
    // Reported below with the rest.
  }
  throw unreadable(note)
}

function unreadable(note: string): RangeError {
  return new RangeError(`not a note of the lake: ${note.slice(0, 200)}`)
}
