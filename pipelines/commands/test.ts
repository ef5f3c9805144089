import { parseArgs } from 'node:util'
import type { Deps, Stage } from '../../engine/contract.ts'
import type { Command } from '../command.ts'
import { shippedPipelines } from '../files.ts'
import type { PipelineConfig } from '../load.ts'
import { loadWithStandIns, offlineDeps } from '../offline.ts'
import { failedOf, type Outcome, sayOutcomes } from '../outcomes.ts'
import { readSettings } from '../settings.ts'
import { formatOf } from '../terminal.ts'
import { runPipelineTests } from '../tests.ts'

/** Runs the tests inside pipeline files: records through the stages, compared with what the file expects. */
export const test: Command = {
  name: 'test',
  usage: '[FILE …] [-o table|json|ndjson]',
  summary: 'run the tests inside pipeline files (those that come with Haetae when none is named)',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { output: { type: 'string', short: 'o' } },
    })
    if (values.output !== undefined) formatOf(values.output)
    const settings = readSettings()
    const outcomes: Outcome[] = []
    const held: Stage[] = []
    try {
      for (const file of positionals.length > 0 ? positionals : shippedPipelines()) {
        const { pipeline } = loadWithStandIns(file, settings)
        const deps = offlineDeps(pipeline.name, settings)
        if (pipeline.tests.length > 0) held.push(...(await holdDatabases(pipeline, deps)))
        for (const result of await runPipelineTests(pipeline, deps)) outcomes.push({ file, ...result })
      }
    } finally {
      for (const stage of held) await stage.close?.()
    }
    sayOutcomes(outcomes, values.output)
    return failedOf(outcomes) > 0 ? 1 : 0
  },
}

/** Each test opens its stages anew. While one that shares its databases is open, the others open them no second time. */
async function holdDatabases({ stages }: PipelineConfig, deps: Deps): Promise<Stage[]> {
  const shared = stages.filter(({ spec }) => spec.type === 'geoip')
  return Promise.all(shared.map(({ spec, config }) => spec.open(config, deps)))
}
