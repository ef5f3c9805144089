import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Positions, Stage } from '../../engine/contract.ts'
import { readDeadLetters } from '../../engine/dead-letter-files.ts'
import { stages as registered } from '../../enrichers/index.ts'
import { type OpenPipeline, openByType, openPipeline } from '../../pipelines/compose.ts'
import { type ErrorCode, errorCodes, HaetaeError, PERSON_WAIT_MS } from '../../platform/errors.ts'
import { type Log, silentLog } from '../../platform/log.ts'
import { eventOf, noPositions, testDeps } from '../support/deps.ts'
import { durable, TestSink, TestSource } from '../support/engine.ts'
import { Components, configOf, fakeRuntime, partOf } from '../support/pipelines.ts'

const stage = (): Stage => ({ apply: batch => batch })
const away = () => new Error('connect ECONNREFUSED')
const never = new AbortController().signal

/** Where the process does not stop meanwhile. */
async function openAll(...given: Parameters<typeof openPipeline>): Promise<OpenPipeline> {
  const pipeline = await openPipeline(...given)
  if (!pipeline) throw new Error('given up, though nothing was stopped')
  return pipeline
}

const codes = Object.keys(errorCodes) as ErrorCode[]
const cured = (cure: string): ErrorCode[] => codes.filter(code => errorCodes[code].cure === cure)

test('what pauses a component is told to the process with the name of the pipeline', async () => {
  const fakes = new Components()
  const told: unknown[] = []
  const runtime = { ...fakeRuntime(), paused: (...given: unknown[]) => void told.push(given) }
  const parts = {
    source: fakes.part('source', new TestSource()),
    stages: [],
    sinks: [fakes.part('sink', new TestSink())],
  }
  const { close } = await openAll(configOf(parts), runtime, never)
  fakes.deps[1]!.paused!('sink', 'SINK_UNAUTHORISED: 403')
  fakes.deps[1]!.paused!('sink', undefined)
  expect(told).toEqual([
    ['fake', 'sink', 'SINK_UNAUTHORISED: 403'],
    ['fake', 'sink', undefined],
  ])
  await close()
})

describe('a component that is not there yet', () => {
  test('is tried again until it opens, and the log says so once', async () => {
    const fakes = new Components()
    const warnings: unknown[] = []
    const log: Log = { ...silentLog, warn: (_, fields) => warnings.push(fields), child: () => log }
    const runtime = fakeRuntime(log)
    const sink = fakes.part('sink', new TestSink(), away(), away(), away())
    const config = configOf({ source: fakes.part('source', new TestSource()), stages: [], sinks: [sink] })
    const opening = openAll(config, runtime, never)
    for (let tries = 0; tries < 3; tries++) await runtime.clock.advance(120_000)
    const { plan, close } = await opening
    expect(fakes.diary).toEqual(['source opened', 'sink failed', 'sink failed', 'sink failed', 'sink opened'])
    expect(warnings).toEqual([{ component: 'sink', error: 'connect ECONNREFUSED' }])
    expect(plan.sinks.map(({ name }) => name)).toEqual(['sink'])
    await close()
  })

  test('is waited for, and not asked all the time', async () => {
    const fakes = new Components()
    const runtime = fakeRuntime()
    const sink = fakes.part('sink', new TestSink(), away())
    const opening = openAll(
      configOf({ source: fakes.part('source', new TestSource()), stages: [], sinks: [sink] }),
      runtime,
      never,
    )
    await runtime.clock.advance(0)
    // It, and the retention of dead letters.
    await expect.poll(() => runtime.clock.sleeping).toBe(2)
    expect(fakes.diary).toEqual(['source opened', 'sink failed'])
    await runtime.clock.advance(120_000)
    await (await opening).close()
  })

  test('is given up when the process stops, which is no failure: what was open is closed', async () => {
    const fakes = new Components()
    const stop = new AbortController()
    const sink = fakes.part('sink', new TestSink(), ...Array.from({ length: 9 }, away))
    const runtime = fakeRuntime()
    const opening = openPipeline(
      configOf({ source: fakes.part('source', new TestSource()), stages: [], sinks: [sink] }),
      runtime,
      stop.signal,
    )
    await runtime.clock.advance(0)
    stop.abort()
    expect(await opening).toBeUndefined()
    expect(fakes.diary).toEqual(['source opened', 'sink failed', 'source closed'])
  })

  test('is not even asked once the process stops', async () => {
    const fakes = new Components()
    const source = fakes.part('source', new TestSource())
    const config = configOf({ source, stages: [], sinks: [] })
    expect(await openPipeline(config, fakeRuntime(), AbortSignal.abort())).toBeUndefined()
    expect(fakes.diary).toEqual([])
  })
})

describe('an error that only a person can mend', () => {
  test.each(cured('person'))('%s pauses the start: readiness is told why, and it is asked now and then', async code => {
    const fakes = new Components()
    const told: unknown[] = []
    const warnings: unknown[] = []
    const log: Log = { ...silentLog, warn: (...said) => warnings.push(said), child: () => log }
    const runtime = { ...fakeRuntime(log), paused: (...given: unknown[]) => void told.push(given) }
    const refused = () => new HaetaeError(code, 'no')
    const sink = fakes.part('sink', new TestSink(), refused(), refused())
    const opening = openAll(
      configOf({ source: fakes.part('source', new TestSource()), stages: [], sinks: [sink] }),
      runtime,
      never,
    )
    await runtime.clock.advance(PERSON_WAIT_MS - 1)
    expect(fakes.diary).toEqual(['source opened', 'sink failed'])
    expect(told).toEqual([['fake', 'sink', `${code}: no`]])
    await runtime.clock.advance(1)
    expect(fakes.diary).toEqual(['source opened', 'sink failed', 'sink failed'])
    await runtime.clock.advance(PERSON_WAIT_MS)
    await (await opening).close()
    expect(told.at(-1)).toEqual(['fake', 'sink', undefined])
    expect(warnings).toEqual([
      [expect.stringMatching(/until somebody acts/), { component: 'sink', error: `${code}: no` }],
    ])
  })

  test('is not said any more when it becomes one that time may mend, nor when the process stops', async () => {
    const fakes = new Components()
    const told: unknown[] = []
    const stop = new AbortController()
    const runtime = { ...fakeRuntime(), paused: (...given: unknown[]) => void told.push(given[2]) }
    const refused = () => new HaetaeError('SINK_UNAUTHORISED', '403')
    const sink = fakes.part('sink', new TestSink(), refused(), away(), refused())
    const source = fakes.part('source', new TestSource())
    const opening = openPipeline(configOf({ source, stages: [], sinks: [sink] }), runtime, stop.signal)
    await runtime.clock.advance(PERSON_WAIT_MS)
    expect(told).toEqual(['SINK_UNAUTHORISED: 403', undefined])
    await runtime.clock.advance(1_000)
    stop.abort()
    expect(await opening).toBeUndefined()
    expect(told).toEqual(['SINK_UNAUTHORISED: 403', undefined, 'SINK_UNAUTHORISED: 403', undefined])
  })
})

describe('an error that waiting cannot mend', () => {
  test.each(cured('fatal'))('%s ends the start at the first try', async code => {
    const fakes = new Components()
    const source = fakes.part('source', new TestSource(), new HaetaeError(code, 'no'))
    const opening = openAll(configOf({ source, stages: [], sinks: [] }), fakeRuntime(), never)
    await expect(opening).rejects.toMatchObject({ code })
    expect(fakes.diary).toEqual(['source failed'])
  })

  test('closes what was opened before, the last first, also when one of them cannot be closed', async () => {
    const fakes = new Components()
    const stubborn = partOf<Stage>('stubborn', () => {
      fakes.diary.push('stubborn opened')
      return Promise.resolve({ apply: batch => batch, close: () => Promise.reject(new Error('stuck')) })
    })
    const config = configOf({
      source: fakes.part('source', new TestSource()),
      stages: [fakes.part('first', stage()), stubborn],
      sinks: [
        fakes.part('sink', new TestSink()),
        fakes.part('wrong', new TestSink(), new HaetaeError('SECRET_MISSING', 'no')),
      ],
    })
    await expect(openPipeline(config, fakeRuntime(), never)).rejects.toMatchObject({ code: 'SECRET_MISSING' })
    expect(fakes.diary).toEqual([
      'source opened',
      'first opened',
      'stubborn opened',
      'sink opened',
      'wrong failed',
      'sink closed',
      'first closed',
      'source closed',
    ])
  })
})

describe('what a component is given', () => {
  test('its pipeline, a folder of that name for its own user alone', async () => {
    const fakes = new Components()
    const runtime = fakeRuntime()
    const { close } = await openAll(
      configOf({ source: fakes.part('source', new TestSource()), stages: [], sinks: [] }),
      runtime,
      never,
    )
    const [deps] = fakes.deps
    expect(deps).toMatchObject({ pipeline: 'fake', clock: runtime.clock, metrics: runtime.metrics })
    expect(deps!.stateFolder).toBe(join(runtime.settings.stateFolder, 'pipelines', 'fake'))
    expect(statSync(deps!.stateFolder).mode & 0o777).toBe(0o700)
    await close()
  })

  test('a sink gets the positions of the source', async () => {
    const fakes = new Components()
    const positions: Positions = { ...noPositions, note: () => 'of the source' }
    const { close } = await openAll(
      configOf({
        source: fakes.part('source', Object.assign(new TestSource(), { positions })),
        stages: [],
        sinks: [fakes.part('sink', new TestSink())],
      }),
      fakeRuntime(),
      never,
    )
    expect(fakes.deps[1]!.positions.note('any')).toBe('of the source')
    await close()
  })

  test('behind a source without positions a note is refused with what is needed, never dropped', async () => {
    const fakes = new Components()
    const { close } = await openAll(
      configOf({
        source: fakes.part('source', new TestSource()),
        stages: [],
        sinks: [fakes.part('sink', new TestSink())],
      }),
      fakeRuntime(),
      never,
    )
    const { positions } = fakes.deps[1]!
    await expect(positions.setNote('any', 'x')).rejects.toThrow(/fake: .*needs a topic source/)
    expect([positions.note('any'), positions.committed('any')]).toEqual([undefined, undefined])
    await close()
  })

  test('a late dead letter is on the disk when the call resolves, and counted', async () => {
    const fakes = new Components()
    const runtime = fakeRuntime()
    const { close } = await openAll(
      configOf({ source: fakes.part('source', new TestSource()), stages: [], sinks: [] }),
      runtime,
      never,
    )
    const { id, kind, origin, raw } = eventOf('{"x":1}')
    const letter = {
      id,
      kind,
      origin,
      raw,
      pipeline: 'fake',
      stage: 'lake',
      reason: 'bad_row: 7',
      timeMs: runtime.clock.now(),
    }
    await fakes.deps[0]!.deadLetter([letter])
    const path = join(runtime.settings.deadLetterFolder, 'fake', '2026-11-24.ndjson')
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(2)
    for await (const found of readDeadLetters(runtime.settings.deadLetterFolder)) {
      expect(found).toEqual({ letter, path, line: 0 })
    }
    expect(await runtime.metrics.expose()).toMatch(
      /haetae_events_rejected_total\{pipeline="fake",stage="lake",reason="bad_row"\} 1/,
    )
    await close()
  })
})

test('the plan has the bounds of the file, the drain time of the process, and the observers behind the sinks', async () => {
  const fakes = new Components()
  const runtime = fakeRuntime()
  const observer = { name: 'status-page', sink: new TestSink(() => durable) }
  const config = configOf({
    source: fakes.part('source', new TestSource()),
    stages: [fakes.part('first', stage()), fakes.part('second', stage())],
    sinks: [fakes.part('sink', new TestSink())],
  })
  const { plan, close } = await openAll(config, runtime, never, [observer])
  expect(plan.stages.map(({ name }) => name)).toEqual(['first', 'second'])
  expect(plan.sinks.map(({ name }) => name)).toEqual(['sink', 'status-page'])
  expect(plan).toMatchObject({ name: 'fake', deliveriesMax: 4, residentBytesMax: 1024 * 1024, drainMs: 20_000 })
  await close()
})

test('a component is opened by its type with its defaults, and an unknown type is refused', async () => {
  const opened = await openByType(registered, 'dedupe', {}, testDeps())
  expect(opened.apply([eventOf('{}')], () => undefined)).toHaveLength(1)
  expect(() => openByType(registered, 'nothing', {}, testDeps())).toThrow(/no component "nothing"/)
  expect(() => openByType(registered, 'dedupe', { colour: 'red' }, testDeps())).toThrow(/colour/)
})
