/** Pipelines made of fake components, and everything written below a folder that goes with the test run. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import type { Deps, Sink, Source, Spec, Stage } from '../../engine/contract.ts'
import type { Part, PipelineConfig } from '../../pipelines/load.ts'
import type { Runtime } from '../../pipelines/runtime.ts'
import { readSettings } from '../../pipelines/settings.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { type Log, silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { FakeClock } from './clock.ts'

export function temporary(): string {
  return mkdtempSync(join(tmpdir(), 'haetae-pipelines-'))
}

const anything = z.strictObject({})

/** A component that opens as the test says. */
export function partOf<C>(type: string, open: (deps: Deps) => Promise<C>): Part<C> {
  const spec: Spec<typeof anything, C> = {
    type,
    summary: 'A fake',
    config: anything,
    example: '{}',
    open: (_, deps) => open(deps),
  }
  return { spec, config: {} }
}

export interface Parts {
  readonly source: Part<Source>
  readonly stages: readonly Part<Stage>[]
  readonly sinks: readonly Part<Sink>[]
}

export function configOf(parts: Parts): PipelineConfig {
  return {
    file: 'fake.yaml',
    name: 'fake',
    requires: [],
    deliveriesMax: 4,
    residentBytesMax: 1024 * 1024,
    deadLetterRetentionDays: 30,
    deadLetterBytesMax: 1024 ** 3,
    detectors: [],
    alertSinks: [],
    tests: [],
    kind: 'waf',
    ...parts,
  }
}

export function fakeRuntime(log: Log = silentLog): Runtime & { readonly clock: FakeClock } {
  return {
    settings: readSettings({ HAETAE_STATE: temporary() }),
    log,
    metrics: createMetrics(),
    clock: new FakeClock(),
    topics: () => Promise.reject(new HaetaeError('TOPIC_UNKNOWN', 'this test has no topics')),
  }
}

/** Fakes that write down when they are opened and closed. */
export class Components {
  readonly diary: string[] = []
  readonly deps: Deps[] = []

  part<C extends Source | Stage | Sink>(name: string, component: C, ...failures: readonly Error[]) {
    const waiting = [...failures]
    return partOf<C>(name, deps => {
      const failure = waiting.shift()
      this.diary.push(failure ? `${name} failed` : `${name} opened`)
      this.deps.push(deps)
      if (failure) return Promise.reject(failure)
      const close = (): Promise<void> => {
        this.diary.push(`${name} closed`)
        return Promise.resolve()
      }
      return Promise.resolve(Object.assign(component, { close }))
    })
  }
}
