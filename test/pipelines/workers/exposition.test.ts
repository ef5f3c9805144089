import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sumOf, withWorkers } from '../../../pipelines/workers/exposition.ts'
import { createMetrics } from '../../../platform/metrics.ts'

async function metricsOf(events: number, waiting: number): Promise<string> {
  const metrics = createMetrics()
  metrics.counter('haetae_events_acked_total', 'Events settled', ['pipeline']).add({ pipeline: 'waf' }, events)
  metrics.gauge('haetae_http_inflight_bytes', 'Memory held').set(waiting)
  metrics.histogram('haetae_event_age_seconds', 'Age', [1, 10], ['pipeline']).observe(3, { pipeline: 'waf' })
  return metrics.expose()
}

test('each sample says of which worker it is; a metric is described once, and its samples stand together', async () => {
  const text = withWorkers([
    { worker: 1, text: await metricsOf(5, 100) },
    { worker: 2, text: await metricsOf(7, 30) },
  ])
  expect(text.split('\n\n').map(family => family.trim().split('\n'))).toEqual([
    [
      '# HELP haetae_events_acked_total Events settled',
      '# TYPE haetae_events_acked_total counter',
      'haetae_events_acked_total{worker="1",pipeline="waf"} 5',
      'haetae_events_acked_total{worker="2",pipeline="waf"} 7',
    ],
    [
      '# HELP haetae_http_inflight_bytes Memory held',
      '# TYPE haetae_http_inflight_bytes gauge',
      'haetae_http_inflight_bytes{worker="1"} 100',
      'haetae_http_inflight_bytes{worker="2"} 30',
    ],
    expect.arrayContaining([
      'haetae_event_age_seconds_bucket{worker="1",le="1",pipeline="waf"} 0',
      'haetae_event_age_seconds_bucket{worker="2",le="10",pipeline="waf"} 1',
      'haetae_event_age_seconds_sum{worker="2",pipeline="waf"} 3',
    ]),
  ])
})

test('a worker that gave nothing, or lacks a metric that others have, is left out of it', async () => {
  const text = withWorkers([
    { worker: 1, text: '' },
    { worker: 2, text: '# HELP a b\n# TYPE a gauge\na{} 1\n' },
  ])
  expect(text).toBe('# HELP a b\n# TYPE a gauge\na{worker="2"} 1\n')
})

test('whatever a label holds, it comes out as it went in', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), async value => {
      const metrics = createMetrics()
      metrics.counter('haetae_x_total', 'X', ['reason']).add({ reason: value }, 3)
      const plain = await metrics.expose()
      const sample = plain.split('\n').find(line => line.startsWith('haetae_x_total'))!
      const labelled = sample.replace('{', '{worker="4",')
      expect(withWorkers([{ worker: 4, text: plain }]).split('\n')).toContain(labelled)
    }),
  )
})

test('the samples of a metric are added up, and none of a longer name', () => {
  const text = 'haetae_a_total{pipeline="x"} 3\nhaetae_a_total{pipeline="y"} 4\nhaetae_a_total_more 9\nhaetae_b 1\n'
  expect(sumOf(text, 'haetae_a_total')).toBe(7)
  expect(sumOf(text, 'haetae_b')).toBe(1)
  expect(sumOf(text, 'haetae_c')).toBe(0)
})
