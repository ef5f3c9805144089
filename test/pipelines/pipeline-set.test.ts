import { expect, test } from 'vitest'
import type { Source } from '../../engine/contract.ts'
import { Health } from '../../pipelines/health.ts'
import { PipelineSet } from '../../pipelines/pipeline-set.ts'
import { silentLog } from '../../platform/log.ts'
import { TestSink, TestSource } from '../support/engine.ts'
import { configOf, fakeRuntime, partOf } from '../support/pipelines.ts'

/** A source that fails so many turns of the promises after `last` is open and read, the last of those that are tried out. */
function failingAfter(turns: number): { readonly failing: Source; readonly last: Source } {
  const lastIsRead = Promise.withResolvers<void>()
  const close = (): Promise<void> => Promise.resolve()
  const waiting = new TestSource()
  return {
    failing: {
      async read() {
        await lastIsRead.promise
        for (let turn = 0; turn < turns; turn++) await Promise.resolve()
        throw new Error('the source is broken')
      },
      close,
    },
    last: {
      read(signal) {
        lastIsRead.resolve()
        return waiting.read(signal)
      },
      close,
    },
  }
}

function setOf(): PipelineSet {
  const runtime = fakeRuntime()
  return new PipelineSet({
    runtime,
    health: new Health(0, silentLog),
    prepare: () => Promise.resolve(),
    observers: () => [],
    opened: () => undefined,
  })
}

const named = (name: string, source: Source) => ({
  ...configOf({
    source: partOf('source', () => Promise.resolve(source)),
    stages: [],
    sinks: [partOf('sink', () => Promise.resolve(new TestSink()))],
  }),
  name,
})

test.each(Array.from({ length: 60 }, (_, turns) => turns))(
  'a pipeline that fails %d turns after it was opened anew is refused or ends the process, and is never just gone',
  async turns => {
    const set = setOf()
    const old = named('old', new TestSource())
    set.start([old])
    const ended = set.done.then(
      () => 'ended',
      (error: Error) => error.message,
    )
    const { failing, last } = failingAfter(turns)
    const refusal = await set.replace([named('old', failing), named('more', last)], () => true)
    if (refusal === undefined) expect(await ended).toBe('the source is broken')
    else {
      expect(refusal).toBe('the source is broken')
      set.stop()
      expect(await ended).toBe('ended')
    }
  },
)
