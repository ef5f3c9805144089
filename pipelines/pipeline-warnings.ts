import { blocks, blocksWarning } from '../response/blocks.ts'
import type { PipelineConfig } from './load.ts'

/** What is valid in a pipeline file, and had better be thought about. Throws when the never-block list is not as it should be. */
export async function warningsOf({ sinks }: PipelineConfig): Promise<string[]> {
  const warnings: string[] = []
  for (const { spec, config } of sinks) {
    const warning = spec.type === blocks.type ? await blocksWarning(config) : undefined
    if (warning !== undefined) warnings.push(warning)
  }
  return warnings
}
