import { hash } from 'node:crypto'
import type { Part, PipelineConfig } from './load.ts'

/** Long enough that two configurations of one installation never share it. */
const REVISION_LENGTH = 12
/** Nobody reads more, and an answer has its bounds. */
const PROBLEMS_MAX = 100

/** What pipelines do has a name: all of them, and each. */
export interface Revision {
  readonly name: string
  readonly pipelines: ReadonlyMap<string, string>
}

/**
 * Of what the pipeline files say and what stands in the files of rules that they name, now: equal for equal configuration, defaults and
 * variables filled in, whatever a pipeline file looks like and in whatever order they come. Secrets are references there, and never part
 * of it; nor are files that components look at again by themselves. Throws CONFIG_INVALID for rules that cannot be read.
 */
export async function readRevision(pipelines: readonly PipelineConfig[]): Promise<Revision> {
  const each = new Map<string, string>()
  for (const config of pipelines) each.set(config.name, await revisionOfPipeline(config))
  return { name: short([...each.values()].sort()), pipelines: each }
}

/** What is wrong in the files that components read besides their configuration, each with its line and once. */
export async function fileProblemsOf(pipelines: readonly PipelineConfig[]): Promise<readonly string[]> {
  const problems: string[] = []
  for (const { source, stages, sinks, detectors, alertSinks } of pipelines) {
    for (const { spec, config } of [source, ...stages, ...sinks, ...detectors, ...alertSinks]) {
      if (spec.files) problems.push(...(await spec.files.problems(config)))
    }
  }
  return [...new Set(problems)].slice(0, PROBLEMS_MAX)
}

async function revisionOfPipeline(config: PipelineConfig): Promise<string> {
  const { name, source, stages, sinks, detectors, alertSinks } = config
  const { deliveriesMax, residentBytesMax, deadLetterRetentionDays } = config
  const parts = (some: readonly Part<unknown>[]): Promise<unknown[]> => Promise.all(some.map(part))
  return short({
    name,
    source: await part(source),
    stages: await parts(stages),
    sinks: await parts(sinks),
    detectors: await parts(detectors),
    alertSinks: await parts(alertSinks),
    deliveriesMax,
    residentBytesMax,
    deadLetterRetentionDays,
  })
}

async function part({ spec, config }: Part<unknown>): Promise<unknown> {
  return spec.files ? [spec.type, config, await spec.files.revision(config)] : [spec.type, config]
}

function short(value: unknown): string {
  return hash('sha256', JSON.stringify(value)).slice(0, REVISION_LENGTH)
}
