import { BATCH_BYTES_MAX } from '../engine/contract.ts'
import type { Log } from '../platform/log.ts'
import type { PipelineConfig } from './load.ts'

/** Resident bytes per raw byte being written: the record, its parsed form, its encoding, and what V8 has not collected. */
const MEMORY_FACTOR = 4
/** A process that has opened its GeoIP databases and seen no event, as measured. */
const PROCESS_BASE_BYTES = 230 * 1024 * 1024

export interface Ceiling {
  /** Raw bytes being written, all pipelines. */
  readonly residentBytesMax: number
  /** What components hold besides the batches. */
  readonly heldBytesMax: number
  readonly ceilingBytes: number
}

/** The most memory that a process with these pipelines is meant to take. */
export function ceilingOf(pipelines: readonly PipelineConfig[]): Ceiling {
  const residentBytesMax = pipelines.reduce((sum, pipeline) => sum + pipeline.residentBytesMax + BATCH_BYTES_MAX, 0)
  const parts = pipelines.flatMap(({ source, stages, detectors, sinks, alertSinks }) => [
    source,
    ...stages,
    ...detectors,
    ...sinks,
    ...alertSinks,
  ])
  const held = parts.map(({ spec, config }, at) => {
    const holders = spec.heldTogether ? `${spec.type} ${spec.heldTogether(config)}` : String(at)
    return [holders, spec.heldBytesMax?.(config) ?? 0] as const
  })
  const heldBytesMax = [...new Map(held).values()].reduce((sum, bytes) => sum + bytes, 0)
  return {
    residentBytesMax,
    heldBytesMax,
    ceilingBytes: PROCESS_BASE_BYTES + residentBytesMax * MEMORY_FACTOR + heldBytesMax,
  }
}

/** Said once, so that a container's limit can be set above it. */
export function sayCeiling(pipelines: readonly PipelineConfig[], log: Log): void {
  const { residentBytesMax, heldBytesMax, ceilingBytes } = ceilingOf(pipelines)
  log.info('memory ceiling', { residentBytesMax, heldBytesMax, ceilingMiB: Math.round(ceilingBytes / 1024 ** 2) })
}
