import type { Readings } from './readings.ts'
import type { Facts, Issued } from './records.ts'

/** How often each promise was broken in a round, with examples. All zero: the round passed. */
export interface Judgement {
  readonly missing: number
  readonly spurious: number
  readonly corrupted: number
  /** Results, not what was on the wire. */
  readonly doubled: number
  /** The first few of each sort, in words. */
  readonly examples: readonly string[]
  /** Records that were in the topic more than once, or were sent to OpenSearch more than once: without any, nothing was tried. */
  readonly repeatsOnTheWire: number
  /** Rows of the lake that its query leaves out as repeats. */
  readonly rawRepeats: number
  readonly letters: number
  /** Letters beyond the first of a record in one pipeline: allowed, within bounds (`judge`). */
  readonly lettersRepeated: number
}

type Sort = 'missing' | 'spurious' | 'corrupted' | 'doubled'
const EXAMPLES_MAX = 5

/**
 * Compares what was read with what was issued and acknowledged. Pure. A letter is written before the position is stored, so it comes again
 * with each copy in the topic, and with each time that is read again: `readsMax` is how often one copy may have been.
 */
export function judge(issued: ReadonlyMap<string, Issued>, readings: Readings, readsMax: number): Judgement {
  const counts: Record<Sort, number> = { missing: 0, spurious: 0, corrupted: 0, doubled: 0 }
  const examples: string[] = []
  const complain = (sort: Sort, what: string): void => {
    counts[sort]++
    if (counts[sort] <= EXAMPLES_MAX) examples.push(`${sort}: ${what}`)
  }
  judgeTopic(issued, readings, complain)
  judgeStored('OpenSearch', issued, readings.documents, complain)
  judgeStored('the lake', issued, readings.rows, complain)
  judgeRawRows(readings, complain)
  for (const pipeline of ['waf', 'waf-lake']) {
    judgeLetters(pipeline, issued, readings, complain)
    judgeRepeatedLetters(pipeline, readings, readsMax, complain)
  }
  const letters = [...readings.letters.values()].flatMap(each => [...each.values()])
  const copies = [...readings.copies.values()]
  const rawRows = [...readings.rawRows.values()].reduce((sum, rows) => sum + rows, 0)
  return {
    ...counts,
    examples,
    repeatsOnTheWire: copies.filter(times => times > 1).length + readings.sentAgain,
    rawRepeats: rawRows - readings.rows.size,
    letters: readings.letters.get('waf')?.size ?? 0,
    lettersRepeated: letters.reduce((sum, { times }) => sum + times - 1, 0),
  }
}

type Complain = (sort: Sort, what: string) => void

function judgeTopic(issued: ReadonlyMap<string, Issued>, { copies }: Readings, complain: Complain): void {
  for (const [id, { acknowledged, facts }] of issued) {
    if (acknowledged && !copies.has(id)) complain('missing', `${facts.name} was acknowledged and is not in the topic`)
  }
  for (const id of copies.keys()) if (!issued.has(id)) complain('spurious', `${id} is in the topic, nobody sent it`)
}

function judgeStored(
  place: string,
  issued: ReadonlyMap<string, Issued>,
  stored: ReadonlyMap<string, readonly Facts[]>,
  complain: Complain,
): void {
  // By name as well: a record that is stored under two ids is doubled, not one of them spurious.
  const byName = new Map([...issued.values()].map(each => [each.facts.name, each]))
  const names = new Map<string, number>()
  for (const [id, all] of stored) {
    for (const facts of all) {
      const known = byName.get(facts.name)
      names.set(facts.name, (names.get(facts.name) ?? 0) + 1)
      if (!known) complain('spurious', `${facts.name} (${id}) is in ${place}, nobody sent it`)
      else if (known.id !== id)
        complain('corrupted', `${facts.name} is in ${place} under the id ${id}, not ${known.id}`)
      else if (known.fate !== 'event') complain('spurious', `${facts.name} is in ${place}, which is not for it`)
      else if (!sameFacts(known.facts, facts))
        complain('corrupted', `${facts.name} in ${place}: ${difference(known.facts, facts)}`)
    }
  }
  for (const [name, times] of names) if (times > 1) complain('doubled', `${name} is ${times} times in ${place}`)
  for (const { fate, acknowledged, facts } of issued.values()) {
    if (fate === 'event' && acknowledged && !names.has(facts.name)) {
      complain('missing', `${facts.name} was acknowledged and is not in ${place}`)
    }
  }
}

/** A row more than there are copies in the topic: something was read twice and written to two objects. */
function judgeRawRows({ copies, rawRows }: Readings, complain: Complain): void {
  for (const [id, rows] of rawRows) {
    const times = copies.get(id) ?? 0
    if (rows > times)
      complain('doubled', `${id} is ${rows} times in the objects of the lake, ${times} times in the topic`)
  }
}

function judgeLetters(
  pipeline: string,
  issued: ReadonlyMap<string, Issued>,
  readings: Readings,
  complain: Complain,
): void {
  const letters = readings.letters.get(pipeline) ?? new Map()
  for (const [id, { raw, reason }] of letters) {
    const known = issued.get(id)
    if (!known) complain('spurious', `the dead letter of ${pipeline} holds ${id}, nobody sent it`)
    else if (!known.raw.equals(raw)) complain('corrupted', `the dead letter of ${pipeline} holds other bytes for ${id}`)
    else if (known.fate !== 'letter')
      complain('spurious', `${known.facts.name} is a dead letter of ${pipeline}: ${reason}`)
  }
  for (const [id, { fate, acknowledged, facts }] of issued) {
    if (fate === 'letter' && acknowledged && !letters.has(id)) {
      complain('missing', `${facts.name} was acknowledged and is no dead letter of ${pipeline}`)
    }
  }
}

function judgeRepeatedLetters(pipeline: string, readings: Readings, readsMax: number, complain: Complain): void {
  for (const [id, { times }] of readings.letters.get(pipeline) ?? []) {
    const copies = readings.copies.get(id) ?? 0
    if (times > copies * readsMax) {
      const could = `${copies} copies in the topic, each read ${readsMax} times at most`
      complain('doubled', `${id} is ${times} times in the dead letters of ${pipeline}: ${could}`)
    }
  }
}

const fields = ['name', 'path', 'address', 'timeMs', 'padding'] as const

function sameFacts(a: Facts, b: Facts): boolean {
  return fields.every(field => a[field] === b[field])
}

function difference(sent: Facts, stored: Facts): string {
  const short = (value: string | number): string => String(value).slice(0, 60)
  return fields
    .filter(field => sent[field] !== stored[field])
    .map(field => `${field} was ${short(sent[field])}, is ${short(stored[field])}`)
    .join(', ')
}
