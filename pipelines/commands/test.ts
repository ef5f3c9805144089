import { parseArgs } from 'node:util'
import type { Command } from '../cli.ts'
import { shippedPipelines } from '../files.ts'
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
    for (const file of positionals.length > 0 ? positionals : shippedPipelines()) {
      const { pipeline } = loadWithStandIns(file, settings)
      for (const { name, failures } of await runPipelineTests(pipeline, offlineDeps(pipeline.name, settings))) {
        if (failures.length === 0) passed++
        else failed++
        console.log(`${failures.length === 0 ? 'ok  ' : 'FAIL'} ${file}: ${name}`)
        for (const failure of failures) console.log(`       ${failure}`)
      }
    }
    console.log(`${passed} passed, ${failed} failed`)
    return failed > 0 ? 1 : 0
  },
}
