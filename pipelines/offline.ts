import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Deps } from '../engine/contract.ts'
import { systemClock } from '../platform/clock.ts'
import { HaetaeError } from '../platform/errors.ts'
import { createLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import { loadPipeline, type PipelineConfig, requirementsOf } from './load.ts'
import { pipelineVariables, type Settings } from './settings.ts'

/** State folders that go with the process. */
const passing = new Set<string>()

function forget(): void {
  for (const folder of passing) rmSync(folder, { recursive: true, force: true })
}

/** Deps for commands that run stages outside a pipeline: no topics, no dead letter, state that goes with the process. */
export function offlineDeps(pipeline: string, settings: Settings): Deps {
  const stateFolder = mkdtempSync(join(tmpdir(), 'haetae-'))
  if (passing.size === 0) process.once('exit', forget)
  passing.add(stateFolder)
  const none = (what: string) => (): Promise<never> =>
    Promise.reject(new HaetaeError('USAGE', `this command has no ${what}`))
  return {
    pipeline,
    // A warning is for whoever runs pipelines, and says nothing of the records at hand: `doctor` and the status page have it.
    log: createLog(settings.logLevel === 'info' ? 'error' : settings.logLevel),
    metrics: createMetrics(),
    clock: systemClock,
    stateFolder,
    topics: none('topics'),
    positions: {
      note: () => undefined,
      committed: () => undefined,
      setNote: none('positions'),
      onRevoked: () => undefined,
    },
    deadLetter: none('dead letter'),
  }
}

/** Loads a pipeline for a look at it: what it requires and is not set has a stand-in, so that the rest can be checked. */
export function loadWithStandIns(
  file: string,
  settings: Settings,
): { readonly pipeline: PipelineConfig; readonly unset: readonly string[] } {
  const unset = requirementsOf(file).filter(name => !process.env[name])
  const standIns = Object.fromEntries(unset.map(name => [name, standIn(name)]))
  return { pipeline: loadPipeline(file, { ...pipelineVariables(settings), ...standIns }), unset }
}

function standIn(name: string): string {
  return name.endsWith('_URL') ? 'http://not-set.invalid' : 'not-set'
}
