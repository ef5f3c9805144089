import { describe, expect, it } from 'vitest'
import { NOTE_BYTES_MAX } from '../../../platform/topics/positions.ts'
import { RANGES_NOTED_MAX, RangePlan } from '../../../sinks/ranges/plan.ts'

const NEW = 'a1b2c3'

function noteOf(...ranges: readonly [number, number][]): string {
  return JSON.stringify({ ranges: ranges.map(pair => pair.map(String)) })
}

/** Places positions; what became complete, as [first, end] pairs in order. */
function place(plan: RangePlan, ...positions: readonly number[]): [number, number][] {
  return positions
    .flatMap(position => [...plan.place(BigInt(position)).done])
    .map(({ first, end }) => [Number(first), Number(end)])
}

function firstOf(plan: RangePlan, position: number): number {
  return Number(plan.place(BigInt(position)).first)
}

describe('the ranges of a stream', () => {
  it('begin with the first record and end after the last when they are sealed', () => {
    const plan = new RangePlan(undefined, undefined, NEW)
    expect(place(plan, 5, 6, 9)).toEqual([])
    expect(plan.seal()).toEqual({ first: 5n, end: 10n })
    expect(plan.seal()).toBeUndefined()
    expect(firstOf(plan, 10)).toBe(10)
    expect(plan.note(undefined)).toBe(`{"lineage":"${NEW}","ranges":[["5","10"]]}`)
  })

  it('are filled again from exactly the same positions after a restart', () => {
    const plan = new RangePlan(noteOf([5, 10], [12, 15]), 5n, NEW)
    expect(place(plan, 5, 6, 7)).toEqual([])
    expect(plan.place(8n)).toMatchObject({ first: 5n, again: true })
    // Nobody can end a noted range early.
    expect(plan.seal()).toBeUndefined()
    expect(plan.place(9n)).toMatchObject({ first: 5n, again: true, done: [] })
    expect(plan.complete()).toEqual([{ first: 5n, end: 10n }])
    expect(plan.complete()).toEqual([])
    expect(plan.place(12n)).toMatchObject({ first: 12n, again: true, done: [] })
  })

  it('are complete when a later record arrives, though their own last one was dropped on the way', () => {
    const plan = new RangePlan(noteOf([5, 10]), 5n, NEW)
    expect(place(plan, 5, 7)).toEqual([])
    expect(plan.complete()).toEqual([])
    expect(plan.place(11n)).toMatchObject({ first: 11n, again: false, done: [{ first: 5n, end: 10n }] })
  })

  it('never reach over a noted range: what lies before it ends there', () => {
    const plan = new RangePlan(noteOf([10, 20]), 3n, NEW)
    expect(plan.place(3n)).toMatchObject({ first: 3n, again: false })
    expect(plan.place(9n)).toMatchObject({ first: 3n, again: false })
    expect(plan.place(10n)).toMatchObject({ first: 10n, again: true, done: [{ first: 3n, end: 10n }] })
    expect(plan.note(3n)).toBe(noteOf([3, 10], [10, 20]))
  })

  it('never reach over a noted range of which no record is left', () => {
    const plan = new RangePlan(noteOf([10, 20]), 3n, NEW)
    place(plan, 3)
    expect(plan.place(25n)).toMatchObject({
      first: 25n,
      done: [
        { first: 3n, end: 4n },
        { first: 10n, end: 20n },
      ],
    })
  })

  it('are forgotten once the committed position has passed them, and not before', () => {
    expect(new RangePlan(noteOf([5, 10], [10, 12]), 10n, NEW).note(10n)).toBe(noteOf([10, 12]))
    const inside = new RangePlan(noteOf([5, 10]), 9n, NEW)
    expect(inside.place(9n)).toMatchObject({ first: 5n, again: true })
  })

  it('keep the records of one position together', () => {
    const plan = new RangePlan(noteOf([5, 10]), 5n, NEW)
    expect(place(plan, 9, 9, 9)).toEqual([])
    expect(plan.complete()).toEqual([{ first: 5n, end: 10n }])
  })

  it('are never so many that the note outgrows its bound', () => {
    const start = 2n ** 63n
    const noted = Array.from({ length: RANGES_NOTED_MAX }, (_, at) => {
      const first = start + BigInt(at) * 10n
      return [String(first), String(first + 5n)]
    })
    const plan = new RangePlan(JSON.stringify({ ranges: noted }), start, NEW)
    expect(plan.hasRoom(start)).toBe(false)
    // The worst case: a gap with records behind each range that is filled again.
    for (const [, end] of noted) plan.place(BigInt(end!) + 1n)
    plan.seal()
    expect(Buffer.byteLength(plan.note(start))).toBeLessThan(NOTE_BYTES_MAX)
    expect(plan.hasRoom(start + 1000n)).toBe(true)
  })

  it('keep the lineage of their note, also the none of a note from before there were lineages', () => {
    const fresh = new RangePlan(undefined, 7n, NEW)
    fresh.place(7n)
    fresh.seal()
    expect(fresh.lineage).toBe(NEW)
    expect(new RangePlan(fresh.note(7n), 7n, 'ffff').lineage).toBe(NEW)
    expect(new RangePlan(noteOf([5, 10]), 5n, NEW).lineage).toBe('')
    expect(() => new RangePlan('{"lineage":"../up","ranges":[]}', 5n, NEW)).toThrow('not a note of the lake')
  })

  it('stop with an error when a stream is not read in order', () => {
    const plan = new RangePlan(undefined, undefined, NEW)
    plan.place(7n)
    expect(() => plan.place(6n)).toThrow('position 6 came after 7')
  })

  it.each([
    'nonsense',
    '{}',
    '{"ranges":5}',
    '{"ranges":[["1"]]}',
    '{"ranges":[[1,2]]}',
    '{"ranges":[["2","1"]]}',
    '{"ranges":[["1","5"],["4","8"]]}',
    '{"ranges":[["-1","5"]]}',
    '{"ranges":[["1","999999999999999999999"]]}',
  ])('stop with an error on a note that is not theirs: %s', note => {
    expect(() => new RangePlan(note, undefined, NEW)).toThrow('not a note of the lake')
  })
})
