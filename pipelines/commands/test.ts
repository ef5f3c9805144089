import { parseArgs } from 'node:util'
import type { Deps, Stage } from '../../engine/contract.ts'
import type { Command } from '../cli.ts'
import { shippedPipelines } from '../files.ts'
import type { PipelineConfig } from '../load.ts'
import { loadWithStandIns, offlineDeps } from '../offline.ts'
import { readSettings } from '../settings.ts'
import { runPipelineTests } from '../tests.ts'

/** Runs the tests inside pipeline files: records through the stages, compared with what the file expects. */
export const test: Command = {
  name: 'test',
  usage: '[FILE …]',
  summary: 'run the tests inside pipeline files (those that come with Haetae when none is named)',
  async run(args) {
    const { positionals } = parseArgs({ args: [...args], allowPositionals: true })
    const settings = readSettings()
    let failed = 0
    let passed = 0
    const held: Stage[] = []
    try {
      for (const file of positionals.length > 0 ? positionals : shippedPipelines()) {
        const { pipeline } = loadWithStandIns(file, settings)
        const deps = offlineDeps(pipeline.name, settings)
        if (pipeline.tests.length > 0) held.push(...(await holdDatabases(pipeline, deps)))
        for (const { name, failures } of await runPipelineTests(pipeline, deps)) {
          if (failures.length === 0) passed++
          else failed++
          console.log(`${failures.length === 0 ? 'ok  ' : 'FAIL'} ${file}: ${name}`)
          for (const failure of failures) console.log(`       ${failure}`)
        }
      }
    } finally {
      for (const stage of held) await stage.close?.()
    }
    console.log(`${passed} passed, ${failed} failed`)
    return failed > 0 ? 1 : 0
  },
}

/** Each test opens its stages anew. While one that shares its databases is open, the others open them no second time. */
async function holdDatabases({ stages }: PipelineConfig, deps: Deps): Promise<Stage[]> {
  const shared = stages.filter(({ spec }) => spec.type === 'geoip')
  return Promise.all(shared.map(({ spec, config }) => spec.open(config, deps)))
}
