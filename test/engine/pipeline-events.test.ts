import { describe, expect, test } from 'vitest'
import type { Alert, Detector, Event, Stage, Verdict } from '../../engine/contract.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { eventOf } from '../support/deps.ts'
import { durable, start, TestSink } from '../support/engine.ts'

const text = (event: Event): string => event.raw.toString()
const stage = (name: string, apply: Stage['apply']) => ({ name, stage: { apply } })
const sinkNamed = (sink: TestSink, name = 'sink') => ({ name, sink })

describe('faults that cost one event', () => {
  test('a stage that throws under one record costs that record alone, which is dead-lettered with its bytes', async () => {
    const fragile = stage('fragile', batch => {
      for (const event of batch) if (text(event) === 'poison') throw new Error('boom')
      return batch
    })
    const sink = new TestSink()
    const { source, clock, dead } = start({ stages: [fragile], sinks: [sinkNamed(sink)] })
    const delivery = source.push('a', 'poison', 'b')
    await clock.advance(0)
    expect(delivery.settled).toBe('ack')
    expect(sink.texts).toEqual([['a', 'b']])
    expect(dead.letters.map(({ stage, reason, raw }) => [stage, reason, raw.toString()])).toEqual([
      ['fragile', 'stage_failed: boom', 'poison'],
    ])
  })

  test('an event that cannot be encoded is rejected; its neighbours are written', async () => {
    const circular = stage('circular', batch => {
      for (const event of batch) {
        if (text(event) === 'circle') {
          event.body = { unmapped: {} }
          event.body.unmapped = { self: event.body as never }
        } else if (text(event) === 'broken') {
          event.encode = () => {
            throw new Error('no offsets')
          }
        }
      }
      return batch
    })
    const sink = new TestSink()
    const { source, clock, dead } = start({ stages: [circular], sinks: [sinkNamed(sink)] })
    const delivery = source.push('a', 'circle', 'broken')
    await clock.advance(0)
    expect(delivery.settled).toBe('ack')
    expect(sink.texts).toEqual([['a']])
    expect(dead.letters.map(({ stage, reason }) => [stage, reason.split(':')[0]])).toEqual([
      ['encode', 'not_encodable'],
      ['encode', 'not_encodable'],
    ])
  })

  test('a detector that throws is counted and said once; the events go on, and so do other detectors', async () => {
    const alerting: Detector = { detect: (batch, emit) => emit(alertOf(batch[0]!)) }
    const failing: Detector = {
      detect() {
        throw new Error('bad rule')
      },
    }
    const [sink, alerts] = [new TestSink(), new TestSink()]
    const metrics = createMetrics()
    const { source, clock } = start(
      {
        detectors: [
          { name: 'failing', detector: failing },
          { name: 'alerting', detector: alerting },
        ],
        sinks: [sinkNamed(sink)],
        alertSinks: [sinkNamed(alerts)],
      },
      { metrics },
    )
    const deliveries = [source.push('a'), source.push('b')]
    await clock.advance(0)
    expect(deliveries.map(({ settled }) => settled)).toEqual(['ack', 'ack'])
    expect(sink.texts.flat()).toEqual(['a', 'b'])
    expect(alerts.texts.flat()).toEqual(['alert for a', 'alert for b'])
    expect(await metrics.expose()).toContain('haetae_detector_failures_total{pipeline="test",detector="failing"} 2')
  })

  test('an alert that cannot be encoded is dead-lettered: it costs itself, not the pipeline', async () => {
    const detector: Detector = {
      detect(batch, emit) {
        for (const event of batch) {
          const alert = alertOf(event)
          if (text(event) === 'odd') {
            alert.encode = () => {
              throw new Error('no')
            }
          }
          emit(alert)
        }
      },
    }
    const [sink, alerts] = [new TestSink(), new TestSink()]
    const { source, clock, dead, state } = start({
      detectors: [{ name: 'd', detector }],
      sinks: [sinkNamed(sink)],
      alertSinks: [sinkNamed(alerts)],
    })
    const delivery = source.push('odd', 'even')
    await clock.advance(0)
    expect([state(), delivery.settled]).toEqual(['running', 'ack'])
    expect(sink.texts).toEqual([['odd', 'even']])
    expect(alerts.texts).toEqual([['alert for even']])
    expect(dead.letters.map(({ stage, raw }) => [stage, raw.toString()])).toEqual([['encode', 'alert for odd']])
  })

  test('alerts hold the ack as events do', async () => {
    const answer = Promise.withResolvers<Verdict>()
    const detector: Detector = { detect: (batch, emit) => emit(alertOf(batch[0]!)) }
    const alertSinks = [sinkNamed(new TestSink(() => answer.promise))]
    const { source, clock } = start({ detectors: [{ name: 'd', detector }], sinks: [], alertSinks })
    const delivery = source.push('a')
    await clock.advance(60_000)
    expect(delivery.settled).toBe('open')
    answer.resolve(durable)
    await clock.advance(0)
    expect(delivery.settled).toBe('ack')
  })
})

describe('encoding', () => {
  test('happens once for all sinks, by the event’s own encoder where it has one', async () => {
    let encoded = 0
    const own = stage('own', batch => {
      for (const event of batch) {
        event.encode = () => {
          encoded++
          return Buffer.from('{"own":true}')
        }
      }
      return batch
    })
    const sinks = [new TestSink(), new TestSink()]
    const { source, clock } = start({ stages: [own], sinks: sinks.map(sink => sinkNamed(sink)) })
    source.push('a')
    await clock.advance(0)
    expect(sinks.map(sink => sink.writes[0]![0]!.json.toString())).toEqual(['{"own":true}', '{"own":true}'])
    expect(encoded).toBe(1)
  })

  test('is left out when every sink writes the raw bytes', async () => {
    const sink = Object.assign(new TestSink(), { wants: 'raw' as const })
    const spoil = stage('spoil', batch => {
      for (const event of batch) {
        event.encode = () => {
          throw new Error('encoded')
        }
      }
      return batch
    })
    const { source, clock, dead } = start({ stages: [spoil], sinks: [sinkNamed(sink)] })
    const delivery = source.push('a')
    await clock.advance(0)
    expect(delivery.settled).toBe('ack')
    expect(sink.writes[0]![0]!.json).toHaveLength(0)
    expect(dead.letters).toEqual([])
  })
})

function alertOf(event: Event): Alert {
  return Object.assign(eventOf(`alert for ${text(event)}`), { rule: 'r', severity: 'high' as const })
}
