import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseFalco } from '../../enrichers/parse-falco.ts'
import { parseWaf } from '../../enrichers/parse-waf.ts'
import { EVENT_MS_MIN, eventTimeFault } from '../../platform/event-time.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { falcoAlert } from '../support/falco-alerts.ts'
import { parser } from '../support/parse.ts'
import { wafRecord } from '../support/waf-records.ts'

const NOW_MS = Date.UTC(2026, 10, 24)
const DAY_MS = 86_400_000
const deps = testDeps({ clock: new FakeClock(NOW_MS) })
const waf = parser(await parseWaf.open(parseWaf.config.parse({}), deps), 'waf')
const falco = parser(await parseFalco.open(parseFalco.config.parse({}), deps), 'falco')

describe('the time of an event', () => {
  it.each([
    ['the first it can have', EVENT_MS_MIN],
    ['now', NOW_MS],
    ['a day ahead', NOW_MS + DAY_MS],
  ])('%s is one', (_name, timeMs) => {
    expect(eventTimeFault(timeMs, NOW_MS)).toBeUndefined()
  })

  it.each([
    ['zero', 0],
    ['negative', -1],
    ['seconds', NOW_MS / 1000],
    ['microseconds', NOW_MS * 1000],
    ['just before the first', EVENT_MS_MIN - 1],
    ['just past a day ahead', NOW_MS + DAY_MS + 1],
    ['a fraction', NOW_MS + 0.5],
    ['no number', Number.NaN],
    ['no end', Number.POSITIVE_INFINITY],
  ])('%s is none', (_name, timeMs) => {
    expect(eventTimeFault(timeMs, NOW_MS)).toMatch(/^time_out_of_range: /)
  })

  it('seconds of any day until the year 17000 are never taken for milliseconds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: EVENT_MS_MIN / 3 }), seconds => {
        expect(eventTimeFault(seconds, NOW_MS)).toMatch(/^time_out_of_range: before 2017/)
      }),
    )
  })

  it('whatever it is, WAF records and Falco alerts are mapped with exactly this time or refused for it', () => {
    const times = fc.oneof(
      fc.integer({ min: -10, max: 4_000_000_000 }),
      fc.integer({ min: EVENT_MS_MIN - 5, max: EVENT_MS_MIN + 5 }),
      fc.integer({ min: 0, max: 2 * NOW_MS }),
      fc.integer({ min: NOW_MS + DAY_MS - 5, max: NOW_MS + DAY_MS + 5 }),
    )
    fc.assert(
      fc.property(times, timeMs => {
        const alert = falcoAlert({ time: new Date(timeMs).toISOString() })
        for (const outcome of [waf.outcome(wafRecord({ timestamp: timeMs })), falco.outcome(alert)]) {
          if (timeMs >= EVENT_MS_MIN && timeMs <= NOW_MS + DAY_MS) expect(outcome).toMatchObject({ time: timeMs })
          else expect(outcome).toMatch(/^time_out_of_range: /)
        }
      }),
      { numRuns: 500 },
    )
  })
})
