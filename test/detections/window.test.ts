import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { correlationTypes } from '../../detections/sigma/correlate/read.ts'
import { type Counting, type Entry, Window } from '../../detections/sigma/correlate/window.ts'

/** What windows mean, without any state: every window that ends with an event, counted from scratch. */
function oracle({ type, timespanMs, atLeast, rules }: Counting, events: readonly Entry[]): Set<number> {
  const perRule = type === 'temporal' || type === 'temporal_ordered'
  const unique = [...new Map(events.map(each => [`${each.uid} ${perRule ? each.rule : ''}`, each])).values()]
  const holds = new Set<number>()
  for (const { timeMs: end } of unique) {
    const within = unique.filter(({ timeMs }) => timeMs > end - timespanMs && timeMs <= end)
    if (counted(type, within, rules) >= atLeast) holds.add(Math.floor(end / timespanMs))
  }
  return holds
}

function counted(type: Counting['type'], within: readonly Entry[], rules: number): number {
  if (type === 'event_count') return within.length
  if (type === 'value_count') return new Set(within.map(({ value }) => value)).size
  if (type === 'temporal') return new Set(within.map(({ rule }) => rule)).size
  return chain(within, 0, rules, Number.NEGATIVE_INFINITY)
}

/** The longest row of rules, tried in every way. */
function chain(within: readonly Entry[], rule: number, rules: number, fromMs: number): number {
  if (rule === rules) return rules
  const next = within.filter(each => each.rule === rule && each.timeMs >= fromMs)
  return Math.max(rule, ...next.map(({ timeMs }) => chain(within, rule + 1, rules, timeMs)))
}

const RULES = 3
const event = fc.record({
  timeMs: fc.integer({ min: 0, max: 60 }),
  uid: fc.integer({ min: 0, max: 1_000 }),
  rule: fc.integer({ min: 0, max: RULES - 1 }),
  value: fc.integer({ min: 0, max: 5 }),
})
/** Time, rule and value belong to the event: its repeats have the same. */
const stories = fc
  .record({
    type: fc.constantFrom(...correlationTypes),
    timespanMs: fc.integer({ min: 1, max: 20 }),
    atLeast: fc.integer({ min: 1, max: 5 }),
    events: fc.array(event, { maxLength: 120 }),
    repeats: fc.array(fc.nat(), { maxLength: 20 }),
    scale: fc.constantFrom(1, 1, 7),
  })
  .map(({ type, timespanMs, atLeast, events, repeats, scale }) => {
    const first = new Map(events.map(each => [each.uid, each]))
    const all: Entry[] = events.map(({ uid }) => {
      const { timeMs, rule, value } = first.get(uid)!
      return { timeMs: timeMs * scale, uid: String(uid), rule, value: String(value) }
    })
    const again = all.length === 0 ? [] : repeats.map(at => all[at % all.length]!)
    const needed = type === 'temporal_ordered' ? RULES : type === 'temporal' ? Math.min(atLeast, RULES) : atLeast
    const counting: Counting = { type, timespanMs: timespanMs * scale, atLeast: needed, rules: RULES }
    return { counting, events: [...all, ...again] }
  })

describe('windows', () => {
  test('are found, each bucket once, as counting them all from scratch finds them, in whatever order events come', () => {
    fc.assert(
      fc.property(stories, ({ counting, events }) => {
        const window = new Window(counting, [], [], 1)
        const alerted: number[] = []
        for (const each of events) {
          for (const { bucket } of window.add(each) ?? []) alerted.push(bucket)
          window.trim(Number.NEGATIVE_INFINITY)
        }
        expect(new Set(alerted)).toEqual(oracle(counting, events))
        expect(alerted.length).toBe(new Set(alerted).size)
      }),
      { numRuns: 3_000 },
    )
  })

  test('are the same when what is over is let go of, as long as no event is later than promised', () => {
    fc.assert(
      fc.property(stories, fc.integer({ min: 0, max: 30 }), ({ counting, events }, latenessMs) => {
        const window = new Window(counting, [], [], 1)
        const alerted = new Set<number>()
        const taken: Entry[] = []
        let newest = 0
        for (const each of events) {
          newest = Math.max(newest, each.timeMs)
          if (each.timeMs < newest - latenessMs) continue
          taken.push(each)
          for (const { bucket } of window.add(each) ?? []) alerted.add(bucket)
          window.trim(newest - latenessMs)
        }
        expect(alerted).toEqual(oracle(counting, taken))
      }),
      { numRuns: 3_000 },
    )
  })

  test('end just before a whole time span has passed', () => {
    const counting: Counting = { type: 'event_count', timespanMs: 60_000, atLeast: 2, rules: 1 }
    const pair = (apartMs: number): number => {
      const window = new Window(counting)
      window.add({ timeMs: 100_000, uid: 'a', rule: 0, value: '' })
      return window.add({ timeMs: 100_000 + apartMs, uid: 'b', rule: 0, value: '' })!.length
    }
    expect([pair(0), pair(59_999), pair(60_000)]).toEqual([1, 1, 0])
  })

  test('of a flood stay small, and do not miss what comes late into it', () => {
    for (const type of ['event_count', 'value_count', 'temporal'] as const) {
      const window = new Window({ type, timespanMs: 60_000, atLeast: type === 'temporal' ? 3 : 50, rules: 3 })
      for (let at = 0; at < 50_000; at++) {
        const timeMs = 1_000_000 + at * 7
        window.add({ timeMs, uid: String(at), rule: at % 2, value: String(at % 40) })
        expect(window.trim(timeMs - 600_000)).toBe(0)
      }
      expect(window.entries.length).toBeLessThan(1_000)
      if (type === 'temporal')
        expect(window.add({ timeMs: 1_100_000, uid: 'late', rule: 2, value: '' })).not.toEqual([])
    }
  })

  test('of more entries than a group may have let go of the oldest, and say how many', () => {
    const window = new Window({ type: 'temporal_ordered', timespanMs: 1_000_000, atLeast: 3, rules: 3 })
    let gone = 0
    for (let at = 0; at < 8_000; at++) {
      window.add({ timeMs: at, uid: String(at), rule: at % 2 === 0 ? 1 : 0, value: '' })
      gone += window.trim(-1)
    }
    expect(gone).toBeGreaterThan(0)
    expect(window.entries.length).toBeLessThanOrEqual(5_065)
    expect(window.entries[0]!.timeMs).toBe(gone)
  })
})
