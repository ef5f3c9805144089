import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { deadLetterOf, encodeDeadLetter } from '../../engine/dead-letter.ts'
import { openPipeline } from '../../pipelines/compose.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { eventOf } from '../support/deps.ts'
import { TestSink, TestSource } from '../support/engine.ts'
import { Components, configOf, fakeRuntime } from '../support/pipelines.ts'

const never = new AbortController().signal

describe('what a pipeline keeps on disk', () => {
  const parts = (fakes: Components) => ({
    source: fakes.part('source', new TestSource()),
    stages: [],
    sinks: [fakes.part('sink', new TestSink())],
  })

  test('belongs to one process: a second one is refused in words, opens nothing, and may when the first is done', async () => {
    const fakes = new Components()
    const runtime = fakeRuntime()
    const first = await openPipeline(configOf(parts(fakes)), runtime, never)
    const second = openPipeline(configOf(parts(fakes)), runtime, never)
    await expect(second).rejects.toMatchObject({
      code: 'STATE_OWNED',
      message: expect.stringMatching(new RegExp(`pid ${process.pid}.*one state folder per process.*HAETAE_STATE`)),
    })
    expect(fakes.diary).toEqual(['source opened', 'sink opened'])
    await first!.close()
    const third = await openPipeline(configOf(parts(fakes)), runtime, never)
    await third!.close()
  })

  test('that cannot be made is a state folder that cannot be used, with its path and the reason of the system', async () => {
    const runtime = fakeRuntime()
    writeFileSync(join(runtime.settings.stateFolder, 'pipelines'), 'a file')
    const opened = openPipeline(configOf(parts(new Components())), runtime, never)
    await expect(opened).rejects.toMatchObject({
      code: 'STATE_UNWRITABLE',
      message: expect.stringMatching(/pipelines\/\S+ cannot be made \(E\w+: .*\): check the disk and who owns it/),
    })
  })

  test('of two pipelines stands side by side in one state folder', async () => {
    const fakes = new Components()
    const runtime = fakeRuntime()
    const one = await openPipeline(configOf(parts(fakes)), runtime, never)
    const other = await openPipeline({ ...configOf(parts(fakes)), name: 'other' }, runtime, never)
    await one!.close()
    await other!.close()
    expect(fakes.diary).toHaveLength(4)
  })

  test('is let go when a component cannot be opened', async () => {
    const fakes = new Components()
    const runtime = fakeRuntime()
    const sink = fakes.part('sink', new TestSink(), new HaetaeError('CONFIG_INVALID', 'no'))
    const broken = configOf({ ...parts(fakes), sinks: [sink] })
    await expect(openPipeline(broken, runtime, never)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await (await openPipeline(configOf(parts(fakes)), runtime, never))!.close()
  })

  test('has a bound: at it the pipeline is paused with the reason, and the size of the dead letter is a metric', async () => {
    const fakes = new Components()
    const told: unknown[] = []
    const runtime = { ...fakeRuntime(), paused: (...given: unknown[]) => void told.push(given) }
    const opened = await openPipeline({ ...configOf(parts(fakes)), deadLetterBytesMax: 400 }, runtime, never)
    const { plan, close } = opened!
    const letter = deadLetterOf(eventOf('x'), 'fake', 'stage', 'not_json', 0)
    await plan.deadLetter.write([letter])
    const line = encodeDeadLetter(letter).length + 1
    expect(await runtime.metrics.expose()).toContain(`haetae_deadletter_bytes{pipeline="fake"} ${line}`)
    await expect(plan.deadLetter.write([letter, letter])).rejects.toMatchObject({ code: 'DEADLETTER_FULL' })
    expect(told).toEqual([['fake', 'deadletter', expect.stringContaining('bound of 400 bytes')]])
    rmSync(join(runtime.settings.deadLetterFolder, 'fake'), { recursive: true })
    await plan.deadLetter.write([letter])
    expect(told.at(-1)).toEqual(['fake', 'deadletter', undefined])
    await close()
  })
})
