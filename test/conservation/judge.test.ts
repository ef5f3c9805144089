import { expect, test } from 'vitest'
import { judge } from './judge.ts'
import type { Readings } from './readings.ts'
import { type Facts, type Issued, Ledger } from './records.ts'

/** Forty records, all acknowledged, the last of them a letter; and readings as they must be. */
function story(): { readonly ledger: Ledger; readonly events: readonly Issued[]; readonly letter: Issued } {
  const ledger = new Ledger('judge', 7)
  const all = Array.from({ length: 40 }, () => ledger.issue())
  for (const each of all) each.acknowledged = true
  const events = all.filter(({ fate }) => fate === 'event')
  return { ledger, events, letter: all.find(({ fate }) => fate === 'letter')! }
}

function flawless({ ledger, events, letter }: ReturnType<typeof story>) {
  const stored = (): Map<string, Facts[]> => new Map(events.map(({ id, facts }) => [id, [facts]]))
  const dead = (): Map<string, { raw: Buffer; reason: string; times: number }> =>
    new Map([[letter.id, { raw: letter.raw, reason: 'not_waf', times: 1 }]])
  return {
    copies: new Map([...ledger.byId.keys()].map(id => [id, 1])),
    documents: stored(),
    rows: stored(),
    rawRows: new Map(events.map(({ id }) => [id, 1])),
    letters: new Map([
      ['waf', dead()],
      ['waf-lake', dead()],
    ]),
    sentAgain: 0,
  } satisfies Readings
}

/** As often as a copy may have been read. */
const READS_MAX = 3

const told = story()
const [first, second] = told.events
const id = first!.id

test('readings as they must be break no promise', () => {
  const judgement = judge(told.ledger.byId, { ...flawless(told), sentAgain: 3 }, READS_MAX)
  expect(judgement).toEqual({
    missing: 0,
    spurious: 0,
    corrupted: 0,
    doubled: 0,
    examples: [],
    repeatsOnTheWire: 3,
    rawRepeats: 0,
    letters: 1,
    lettersRepeated: 0,
  })
})

test('what was not acknowledged may be anywhere or nowhere', () => {
  const other = story()
  const readings = flawless(other)
  for (const each of other.events.slice(0, 3)) {
    each.acknowledged = false
    for (const place of [readings.copies, readings.documents, readings.rows, readings.rawRows]) place.delete(each.id)
  }
  expect(judge(other.ledger.byId, readings, READS_MAX).examples).toEqual([])
})

type Readable = ReturnType<typeof flawless>
const wrongs: readonly (readonly [what: string, spoil: (readings: Readable) => void, complaint: RegExp])[] = [
  ['a record that is not in the topic', ({ copies }) => copies.delete(id), /^missing: .* not in the topic/],
  ['a document that is not there', ({ documents }) => documents.delete(id), /^missing: .* not in OpenSearch/],
  ['a row that is not there', ({ rows }) => rows.delete(id), /^missing: .* not in the lake/],
  [
    'a letter that is not there',
    ({ letters }) => letters.get('waf-lake')!.delete(told.letter.id),
    /^missing: .* no dead letter of waf-lake/,
  ],
  ['a record in the topic that nobody sent', ({ copies }) => copies.set('other', 1), /^spurious: .* in the topic/],
  [
    'a document that nobody sent',
    ({ documents }) => documents.set('other', [{ ...first!.facts, name: 'other' }]),
    /^spurious: other .* in OpenSearch/,
  ],
  [
    'an event among the dead letters',
    ({ letters }) => letters.get('waf')!.set(id, { raw: first!.raw, reason: 'not_json', times: 1 }),
    /^spurious: .* is a dead letter of waf: not_json/,
  ],
  [
    'a letter among the events',
    ({ rows }) => rows.set(told.letter.id, [told.letter.facts]),
    /^spurious: .* is in the lake, which is not for it/,
  ],
  [
    'another content',
    ({ rows }) => rows.set(id, [{ ...first!.facts, path: '/other' }]),
    /^corrupted: .* in the lake: path was .* is \/other/,
  ],
  [
    'the content of one under the id of another',
    ({ documents }) => documents.set(second!.id, [first!.facts]),
    /^corrupted: .* under the id/,
  ],
  [
    'other bytes in the dead letter',
    ({ letters }) => letters.get('waf')!.set(told.letter.id, { raw: Buffer.from('{}'), reason: 'not_waf', times: 1 }),
    /^corrupted: the dead letter of waf holds other bytes/,
  ],
  [
    'a document in two indices',
    ({ documents }) => documents.set(id, [first!.facts, first!.facts]),
    /^doubled: .* 2 times in OpenSearch/,
  ],
  [
    'a document under two ids',
    ({ documents }) => documents.set('other', [first!.facts]),
    /^doubled: .* 2 times in OpenSearch/,
  ],
  ['a row twice', ({ rows }) => rows.set(id, [first!.facts, first!.facts]), /^doubled: .* 2 times in the lake/],
  [
    'more rows in the objects than copies in the topic',
    ({ rawRows }) => rawRows.set(id, 2),
    /^doubled: .* 2 times in the objects of the lake, 1 times in the topic/,
  ],
]

test.each(wrongs)('the oracle complains of %s', (_, spoil, complaint) => {
  const readings = flawless(told)
  spoil(readings)
  expect(judge(told.ledger.byId, readings, READS_MAX).examples).toContainEqual(expect.stringMatching(complaint))
})

test('repeats in the topic may be as many rows, and are counted', () => {
  const readings = flawless(told)
  readings.copies.set(id, 2)
  readings.rawRows.set(id, 2)
  const judgement = judge(told.ledger.byId, readings, READS_MAX)
  expect(judgement).toMatchObject({ examples: [], repeatsOnTheWire: 1, rawRepeats: 1 })
})

test('a letter may come again with each copy of its record and each time that is read again, and no more often', () => {
  const { raw, id: letterId } = told.letter
  const withTimes = (times: number, copies: number) => {
    const readings = flawless(told)
    readings.letters.get('waf')!.set(letterId, { raw, reason: 'not_waf', times })
    readings.copies.set(letterId, copies)
    return judge(told.ledger.byId, readings, READS_MAX)
  }
  expect(withTimes(6, 2)).toMatchObject({ doubled: 0, lettersRepeated: 5 })
  expect(withTimes(7, 2)).toMatchObject({ doubled: 1, lettersRepeated: 6 })
  expect(withTimes(7, 2).examples).toEqual([expect.stringMatching(/^doubled: .* 7 times in the dead letters of waf/)])
})
