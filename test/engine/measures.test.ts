import fc from 'fast-check'
import { expect, test } from 'vitest'
import { agesOf, engineMetrics, reasonCode } from '../../engine/measures.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { eventOf } from '../support/deps.ts'

test('a reason becomes a label by its code; what stands behind the colon never does', () => {
  expect(reasonCode('not_json: unexpected token at 7')).toBe('not_json')
  expect(reasonCode('oversize')).toBe('oversize')
  expect(reasonCode('oversize:')).toBe('oversize')
})

test.each(['', ': x', 'Not Json', 'two words: x', '7up', `${'a'.repeat(41)}: x`, '__proto__', 'a\nb', 'tür: zu'])(
  '%j is no code and counts as "other"',
  reason => {
    expect(reasonCode(reason)).toBe('other')
  },
)

test('whatever an attacker gets into a reason, the label stays a short snake_case word', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), reason => {
      expect(reasonCode(reason)).toMatch(/^[a-z][a-z0-9_]{0,39}$/)
    }),
  )
})

test('each counter carries the pipeline, and two pipelines share one metric', async () => {
  const metrics = createMetrics()
  const waf = engineMetrics(metrics, 'waf')
  const lake = engineMetrics(metrics, 'waf-lake')
  waf.read(3, 900)
  waf.acked(2)
  waf.dropped('filter', 1)
  waf.dropped('filter', 0)
  waf.rejected('parse-waf', 'not_json: at 7')
  waf.written('opensearch', 2)
  waf.detectorFailed('sigma')
  waf.retries.add({ component: 'opensearch' }, 5)
  lake.read(7, 100)
  const lines = (await metrics.expose()).split('\n')
  for (const line of [
    'haetae_events_read_total{pipeline="waf"} 3',
    'haetae_events_read_total{pipeline="waf-lake"} 7',
    'haetae_read_bytes_total{pipeline="waf"} 900',
    'haetae_events_acked_total{pipeline="waf"} 2',
    'haetae_events_dropped_total{pipeline="waf",stage="filter",intentional="true"} 1',
    'haetae_events_rejected_total{pipeline="waf",stage="parse-waf",reason="not_json"} 1',
    'haetae_sink_written_total{pipeline="waf",sink="opensearch"} 2',
    'haetae_detector_failures_total{pipeline="waf",detector="sigma"} 1',
    'haetae_sink_retries_total{pipeline="waf",component="opensearch"} 5',
  ]) {
    expect(lines).toContain(line)
  }
})

test('the age of what became durable: of its newest event, how far behind the pipeline is; of its oldest, how long it took', async () => {
  const metrics = createMetrics()
  const measure = engineMetrics(metrics, 'waf')
  const events = [40_000, 10_000, 90_000].map(timeMs => Object.assign(eventOf('{}'), { timeMs }))
  expect(agesOf([])).toBeUndefined()
  expect(agesOf(events)).toEqual({ newestMs: 90_000, oldestMs: 10_000 })
  measure.durable(agesOf(events), 100_000)
  measure.durable(undefined, 200_000)
  const text = await metrics.expose()
  expect(text).toContain('haetae_event_time_lag_seconds{pipeline="waf"} 10\n')
  expect(text).toContain('haetae_event_age_seconds_bucket{le="60",pipeline="waf"} 0\n')
  expect(text).toContain('haetae_event_age_seconds_bucket{le="120",pipeline="waf"} 1\n')
  expect(text).toContain('haetae_event_age_seconds_count{pipeline="waf"} 1\n')
})

test('an event from a clock that is ahead of ours has no age, and no negative one', async () => {
  const metrics = createMetrics()
  engineMetrics(metrics, 'waf').durable({ newestMs: 5_000, oldestMs: 4_000 }, 1_000)
  expect(await metrics.expose()).toContain('haetae_event_time_lag_seconds{pipeline="waf"} 0\n')
})
