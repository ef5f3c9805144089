import { describe, expect, test } from 'vitest'
import { ConfigError, parsePipeline } from '../../pipelines/load.ts'
import { differences, runPipelineTests } from '../../pipelines/tests.ts'
import { testDeps } from '../support/deps.ts'
import { alertsOfEveryKind, falcoAlert } from '../support/falco-alerts.ts'

const alert = JSON.stringify(falcoAlert())

/** A pipeline over Falco alerts with this one test in it. JSON is YAML. */
const pipelineWith = (
  given: readonly unknown[],
  expected: object,
  stages: readonly object[] = [{ type: 'parse-falco' }],
) =>
  parsePipeline(
    'a.yaml',
    JSON.stringify({
      pipeline: 'a',
      source: { type: 'topic', topic: 'events.falco', kind: 'falco' },
      stages,
      sinks: [{ type: 'drop' }],
      tests: [{ name: 'the test', given, expect: expected }],
    }),
    {},
  )

async function failures(...args: Parameters<typeof pipelineWith>): Promise<readonly string[]> {
  const [result, ...more] = await runPipelineTests(pipelineWith(...args), testDeps())
  expect(more).toEqual([])
  expect(result).toMatchObject({ pipeline: 'a', name: 'the test' })
  return result!.failures
}

describe('a test inside a pipeline file', () => {
  test('passes when what it expects is contained in what comes out', async () => {
    expect(await failures([alert], { events: [{ class_uid: 2004 }], rejected: [], dropped: 0 })).toEqual([])
    expect(await failures([falcoAlert()], { events: [{ class_uid: 2004, metadata: { product: {} } }] })).toEqual([])
  })

  test('fails with the path, what was expected and what came', async () => {
    expect(await failures([alert], { events: [{ class_uid: 4002, metadata: { nowhere: 1 } }] })).toEqual([
      'events[0].class_uid: expected 4002, got 2004',
      'events[0].metadata.nowhere: expected 1, got nothing',
    ])
  })

  test('fails when too few or too many come out', async () => {
    expect(await failures([alert], { events: [] })).toEqual(['expected 0 events, got 1'])
    expect(await failures(['{'], { events: [{}] })).toEqual(['expected 1 events, got 0'])
  })

  test('compares the reason codes of what is rejected, in order and without details', async () => {
    const given = ['{"a":', alert, '{"hello":"world"}']
    expect(await failures(given, { rejected: ['not_json', 'not_falco'] })).toEqual([])
    expect(await failures(given, { rejected: ['not_falco'] })).toEqual([
      'expected rejected [not_falco], got [not_json, not_falco]',
    ])
  })

  test('counts what is dropped on purpose', async () => {
    const stages = [{ type: 'parse-falco' }, { type: 'filter', drop: { field: 'class_uid', gte: 1 } }]
    expect(await failures([alert], { events: [], dropped: 1 }, stages)).toEqual([])
    expect(await failures([alert], { dropped: 0 }, stages)).toEqual(['expected 0 dropped, got 1'])
  })

  test('does not compare what it leaves out', async () => {
    expect(await failures([...Object.values(alertsOfEveryKind), '{'], { dropped: 0 })).toEqual([])
  })

  test('must expect something, of something', () => {
    expect(() => pipelineWith([alert], {})).toThrow(ConfigError)
    expect(() => pipelineWith([], { dropped: 0 })).toThrow(ConfigError)
    expect(() => pipelineWith([alert], { event: [] })).toThrow(
      /unknown key "event"; allowed here: events, rejected, dropped/,
    )
  })

  test('starts with fresh stages: what one test remembers, another does not know', async () => {
    const { tests, ...pipeline } = pipelineWith([alert, alert], { dropped: 1 }, [{ type: 'dedupe' }])
    const results = await runPipelineTests({ ...pipeline, tests: [...tests, ...tests] }, testDeps())
    expect(results.map(result => result.failures)).toEqual([[], []])
  })
})

describe('differences', () => {
  test('objects by key, lists and values whole', () => {
    expect(differences({ a: 1 }, { a: 1, b: 2 }, 'x')).toEqual([])
    expect(differences({ a: [1, 2] }, { a: [1, 2, 3] }, 'x')).toEqual(['x.a: expected [1,2], got [1,2,3]'])
    expect(differences({ a: [{ b: 1 }] }, { a: [{ b: 1, c: 2 }] }, 'x')).toEqual([])
    expect(differences({ a: [{ b: 1 }] }, { a: [{ b: 2 }] }, 'x')).toEqual(['x.a[0].b: expected 1, got 2'])
  })

  test('null is a value, absence is not', () => {
    expect(differences({ a: null }, { a: null }, 'x')).toEqual([])
    expect(differences({ a: null }, {}, 'x')).toEqual(['x.a: expected null, got nothing'])
  })

  test('a value of another type is different, however it prints', () => {
    expect(differences({ a: '1' }, { a: 1 }, 'x')).toEqual(['x.a: expected "1", got 1'])
    expect(differences({ a: {} }, { a: [] }, 'x')).toEqual(['x.a: expected {}, got []'])
  })

  test('what every object inherits is not there', () => {
    expect(differences({ constructor: {} }, {}, 'x')).toEqual(['x.constructor: expected {}, got nothing'])
  })
})
