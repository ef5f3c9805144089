import { hash } from 'node:crypto'
import type { Part, PipelineConfig } from './load.ts'

/** Long enough that two configurations of one installation never share it. */
const REVISION_LENGTH = 12

/**
 * Names what a pipeline does: equal for equal configuration, defaults and variables filled in, whatever the file looks like. Secrets
 * are references there, and never part of it.
 */
export function revisionOfPipeline(config: PipelineConfig): string {
  const { name, source, stages, sinks, detectors, alertSinks } = config
  const { deliveriesMax, residentBytesMax, deadLetterRetentionDays } = config
  const part = ({ spec, config: given }: Part<unknown>): unknown => [spec.type, given]
  return short({
    name,
    source: part(source),
    stages: stages.map(part),
    sinks: sinks.map(part),
    detectors: detectors.map(part),
    alertSinks: alertSinks.map(part),
    deliveriesMax,
    residentBytesMax,
    deadLetterRetentionDays,
  })
}

/** Of all pipelines of a process, in whatever order. */
export function revisionOf(pipelines: readonly PipelineConfig[]): string {
  return short(pipelines.map(revisionOfPipeline).sort())
}

function short(value: unknown): string {
  return hash('sha256', JSON.stringify(value)).slice(0, REVISION_LENGTH)
}
